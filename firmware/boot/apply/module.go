// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxDepth bounds the chain of modules that depend on each other.
const maxDepth = 16

// load loads a module and first what it depends on, which its .modinfo section says.
// One that is not in the folder but in /sys/module is built in or loaded.
func (m *Machine) load(name string) error { return m.loadAt(name, 0) }

func (m *Machine) loadAt(name string, depth int) error {
	if depth > maxDepth {
		return errors.New("modules depend on each other too deeply")
	}
	if _, err := os.Stat(filepath.Join(m.Sys, "module", strings.ReplaceAll(name, "-", "_"))); err == nil {
		return nil
	}
	f, err := m.openModule(name)
	if err != nil {
		return err
	}
	defer f.Close()
	deps, err := dependencies(f)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	for _, d := range deps {
		if err := m.loadAt(d, depth+1); err != nil {
			return fmt.Errorf("needs %s: %w", d, err)
		}
	}
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// openModule finds the file, whose name may have either of - and _ in each place.
func (m *Machine) openModule(name string) (*os.File, error) {
	for _, n := range []string{name, strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "_", "-")} {
		f, err := os.Open(filepath.Join(m.Modules, n+".ko"))
		if err == nil {
			return f, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s.ko is not in %s: %w", name, m.Modules, fs.ErrNotExist)
}

// dependencies reads "depends=a,b" from the section .modinfo: words that end with NUL
// (linux/moduleparam.h).
func dependencies(f *os.File) ([]string, error) {
	e, err := elf.NewFile(f)
	if err != nil {
		return nil, err
	}
	s := e.Section(".modinfo")
	if s == nil {
		return nil, errors.New("no section .modinfo")
	}
	text, err := s.Data()
	if err != nil {
		return nil, err
	}
	for word := range bytes.SplitSeq(text, []byte{0}) {
		if d, ok := bytes.CutPrefix(word, []byte("depends=")); ok {
			if len(d) == 0 {
				return nil, nil
			}
			return strings.Split(string(d), ","), nil
		}
	}
	return nil, nil
}
