// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/u-root/u-root/pkg/cpio"

	"github.com/weirswitch/weir/firmware/base/order"
)

// File is one entry of an image. Exactly one of Source, Data, Link, Device and Dir says
// what it is.
type File struct {
	Path   string      // absolute, clean: "/bin/weir"
	Perm   fs.FileMode // permission bits
	Source string      // file on this machine that has the content
	Data   []byte      // the content; may be empty but not nil
	Link   string      // target of a symbolic link
	Device *Device
	Dir    bool
}

// Device is a character device's number.
type Device struct{ Major, Minor uint64 }

// Base returns the tree of every image; weir is the path of the static binary, links
// are the names under which it is called.
func Base(weir string, links []string) []File {
	files := []File{
		{Path: "/init", Link: "/bin/weir"},
		{Path: "/bin/weir", Perm: 0o755, Source: weir},
		// Process 1 gets its streams before it can mount devtmpfs.
		{Path: "/dev/console", Perm: 0o600, Device: &Device{5, 1}},
		{Path: "/var/run", Link: "/run"},
		{Path: "/tmp", Perm: 0o777 | fs.ModeSticky, Dir: true},
	}
	for _, d := range []string{"/dev", "/etc", "/etc/openvswitch", "/proc", "/run", "/sys"} {
		files = append(files, File{Path: d, Perm: 0o755, Dir: true})
	}
	for _, l := range links {
		files = append(files, File{Path: "/bin/" + l, Link: "weir"})
	}
	return files
}

// Links are the names that Base usually gives the binary.
func Links() []string {
	return []string{"ovs-vsctl", "ovs-ofctl", "ovs-appctl", "ovsdb-client", "poweroff", "reboot"}
}

// Modules returns the kernel modules in a folder, for /lib/modules. A folder that is not
// there has none.
func Modules(dir string) ([]File, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("kernel modules: %w", err)
	}
	var files []File
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".ko") {
			files = append(files, File{Path: "/lib/modules/" + e.Name(), Perm: 0o644, Source: filepath.Join(dir, e.Name())})
		}
	}
	return files, nil
}

// Compression is how an image is made small.
type Compression string

const (
	None Compression = ""   // boots fastest where the image comes from memory: emulation
	XZ   Compression = "xz" // smallest: flash; by the program xz
)

// Pack writes the image to w.
func Pack(w io.Writer, files []File, c Compression) error {
	records, err := records(files)
	if err != nil {
		return err
	}
	switch c {
	case None:
		return write(w, records)
	case XZ:
		// The kernel's decompressor knows CRC32 only (lib/decompress_unxz.c). One
		// thread: how work is split must not depend on the machine.
		cmd := exec.Command("xz", "--check=crc32", "--threads=1", "-9e", "--stdout")
		var text, errs bytes.Buffer
		if err := write(&text, records); err != nil {
			return err
		}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = &text, w, &errs
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("xz: %w: %s", err, errs.Bytes())
		}
		return nil
	}
	return fmt.Errorf("unknown compression %q", c)
}

// records returns the archive's entries, sorted, with the folders that nobody named.
func records(files []File) ([]cpio.Record, error) {
	byPath := map[string]File{}
	for _, f := range files {
		if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || f.Path == "/" {
			return nil, fmt.Errorf("image: %q is no clean absolute path", f.Path)
		}
		if old, twice := byPath[f.Path]; twice && !(old.Dir && f.Dir) {
			return nil, fmt.Errorf("image: %s is given twice", f.Path)
		}
		byPath[f.Path] = f
	}
	for _, f := range files {
		for d := path.Dir(f.Path); d != "/"; d = path.Dir(d) {
			parent, ok := byPath[d]
			if !ok {
				byPath[d] = File{Path: d, Perm: 0o755, Dir: true}
			} else if !parent.Dir {
				return nil, fmt.Errorf("image: %s lies in %s, which is no folder", f.Path, d)
			}
		}
	}
	all := make([]File, 0, len(byPath))
	for _, f := range byPath {
		all = append(all, f)
	}
	order.Sort(all, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	var out []cpio.Record
	for i, f := range all {
		r, err := record(f)
		if err != nil {
			return nil, fmt.Errorf("image: %s: %w", f.Path, err)
		}
		r.Ino = uint64(i) + 1
		out = append(out, r)
	}
	return out, nil
}

func record(f File) (cpio.Record, error) {
	name := strings.TrimPrefix(f.Path, "/")
	perm := uint64(f.Perm.Perm())
	if f.Perm&fs.ModeSticky != 0 {
		perm |= 0o1000
	}
	kinds := 0
	for _, is := range []bool{f.Source != "", f.Data != nil, f.Link != "", f.Device != nil, f.Dir} {
		if is {
			kinds++
		}
	}
	if kinds != 1 {
		return cpio.Record{}, errors.New("must be one of file, data, link, device and folder")
	}
	switch {
	case f.Dir:
		return cpio.Directory(name, perm), nil
	case f.Link != "":
		return cpio.Symlink(name, f.Link), nil
	case f.Device != nil:
		return cpio.CharDev(name, perm, f.Device.Major, f.Device.Minor), nil
	case f.Source != "":
		text, err := os.ReadFile(f.Source)
		if err != nil {
			return cpio.Record{}, err
		}
		return cpio.StaticFile(name, string(text), perm), nil
	}
	return cpio.StaticFile(name, string(f.Data), perm), nil
}

func write(w io.Writer, records []cpio.Record) error {
	cw := cpio.Newc.Writer(w)
	if err := cpio.WriteRecords(cw, records); err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	if err := cpio.WriteTrailer(cw); err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	return nil
}
