// SPDX-License-Identifier: Apache-2.0

package image

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// libDirs are where Debian's dynamic loader looks without a cache, for the
// architecture's name in paths.
func libDirs(triplet string) []string {
	return []string{"/lib/" + triplet, "/usr/lib/" + triplet, "/lib64", "/lib", "/usr/lib"}
}

// triplets are Debian's names of architectures in paths (multiarch).
var triplets = map[elf.Machine]string{
	elf.EM_X86_64: "x86_64-linux-gnu", elf.EM_AARCH64: "aarch64-linux-gnu",
}

// Programs returns programs of this machine, found in PATH or given by path, with the
// libraries that they need and the loader: for test images. They go to /bin.
func Programs(names ...string) ([]File, error) {
	var files []File
	have := map[string]bool{}
	add := func(to, from string) {
		if !have[to] {
			have[to] = true
			files = append(files, File{Path: to, Perm: 0o755, Source: from})
		}
	}
	for _, n := range names {
		at, err := exec.LookPath(n)
		if err != nil {
			return nil, fmt.Errorf("program for the image: %w", err)
		}
		add("/bin/"+filepath.Base(n), at)
		queue := []string{at}
		for len(queue) > 0 {
			at, queue = queue[0], queue[1:]
			needs, interp, triplet, err := dynamic(at)
			if err != nil {
				return nil, fmt.Errorf("program for the image: %s: %w", at, err)
			}
			if interp != "" {
				add(interp, interp)
			}
			for _, lib := range needs {
				from, err := findLib(lib, triplet)
				if err != nil {
					return nil, fmt.Errorf("program for the image: %s: %w", at, err)
				}
				if to := "/lib/" + triplet + "/" + lib; !have[to] {
					add(to, from)
					queue = append(queue, from)
				}
			}
		}
	}
	return files, nil
}

func findLib(name, triplet string) (string, error) {
	for _, d := range libDirs(triplet) {
		at := filepath.Join(d, name)
		if f, err := elf.Open(at); err == nil {
			f.Close()
			return at, nil
		}
	}
	return "", fmt.Errorf("library %s is in none of %s", name, strings.Join(libDirs(triplet), ", "))
}

// dynamic returns what a program or library needs, and its loader; nothing for a static
// program.
func dynamic(at string) (needs []string, interp, triplet string, err error) {
	f, err := elf.Open(at)
	if err != nil {
		return nil, "", "", err
	}
	defer f.Close()
	needs, err = f.ImportedLibraries()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return nil, "", "", err
	}
	// The loader itself is named as a library too.
	needs = slices.DeleteFunc(needs, func(l string) bool { return strings.HasPrefix(l, "ld-linux") })
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			text, err := io.ReadAll(p.Open())
			if err != nil {
				return nil, "", "", err
			}
			interp = strings.TrimRight(string(text), "\x00")
		}
	}
	triplet, ok := triplets[f.Machine]
	if !ok && len(needs) > 0 {
		return nil, "", "", fmt.Errorf("no Debian name for %s", f.Machine)
	}
	return needs, interp, triplet, nil
}
