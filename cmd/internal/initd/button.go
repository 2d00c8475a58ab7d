// SPDX-License-Identifier: Apache-2.0

package initd

import (
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Codes of linux/input-event-codes.h.
const (
	evKey    = 1
	keyPower = 116
)

// watchPowerButton reads every input device that can send the power key; the kernel
// makes one of an ACPI button and of gpio-keys.
func (d *initd) watchPowerButton() {
	paths, _ := filepath.Glob("/sys/class/input/event*")
	for _, p := range paths {
		if !hasKey(line(filepath.Join(p, "device/capabilities/key")), keyPower) {
			continue
		}
		f, err := os.Open("/dev/input/" + filepath.Base(p))
		if err != nil {
			d.log.printf("power button: %v", err)
			continue
		}
		go func() {
			defer f.Close()
			if pressed(f) {
				d.end(powerOff, "power button")
			}
		}()
	}
}

// hasKey reads the bitmap of an input device as sysfs prints it: words of the kernel's
// long in hexadecimal, the highest first.
func hasKey(bitmap string, key uint) bool {
	const longBits = uint(unsafe.Sizeof(uintptr(0))) * 8
	words := strings.Fields(bitmap)
	i := len(words) - 1 - int(key/longBits)
	if i < 0 || len(words[i]) > int(longBits/4) {
		return false
	}
	var w uint64
	for _, c := range []byte(words[i]) {
		digit := strings.IndexByte("0123456789abcdef", c)
		if digit < 0 {
			return false
		}
		w = w<<4 | uint64(digit)
	}
	return w>>(key%longBits)&1 == 1
}

// pressed reads struct input_event (linux/input.h: two longs of time, type and code of
// 16 bits, value of 32, in the machine's byte order) until the power key goes down; it
// returns false if the device goes away.
func pressed(r io.Reader) bool {
	const stamp = int(unsafe.Sizeof(unix.Timeval{}))
	var ev [stamp + 8]byte
	for {
		if _, err := io.ReadFull(r, ev[:]); err != nil {
			return false
		}
		typ := binary.NativeEndian.Uint16(ev[stamp:])
		code := binary.NativeEndian.Uint16(ev[stamp+2:])
		value := binary.NativeEndian.Uint32(ev[stamp+4:])
		if typ == evKey && code == keyPower && value == 1 {
			return true
		}
	}
}

// line returns a file's text without white space at its ends, "" if there is none.
func line(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
