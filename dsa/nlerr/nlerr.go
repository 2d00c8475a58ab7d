// SPDX-License-Identifier: Apache-2.0

// Package nlerr says what the kernel's refusals mean to who programs a switch
// chip. It is pure: error numbers are values.
package nlerr

import (
	"errors"
	"syscall"
)

// Error is a refusal by the kernel. errors.Is compares Errno.
type Error struct {
	Errno syscall.Errno
	Text  string // in the words of the kernel or the driver, "" if it said nothing
}

func (e *Error) Error() string {
	if e.Text != "" {
		return e.Errno.Error() + ": " + e.Text
	}
	return e.Errno.Error()
}

func (e *Error) Unwrap() error { return e.Errno }

// Class is what an error means for who programs a chip.
type Class uint8

const (
	None         Class = iota // no error
	NotSupported              // the driver or this kernel cannot: asking again is useless
	NoSpace                   // a table is full: may fit once something else is gone
	Gone                      // the device is not there (any more): read again
	Absent                    // what the operation is about is not there: an entry, a VLAN, a family
	Exists                    // it is there already
	Busy                      // not now: try again
	Invalid                   // the kernel refuses this value
	Timeout                   // no answer in time: what happened is unknown, read again
	Lost                      // the socket overran: read again
	Denied                    // no right to do it
	Other
)

func (c Class) String() string {
	return [...]string{"none", "not supported", "no space", "gone", "absent", "exists", "busy", "invalid", "timeout", "lost", "denied", "other"}[c]
}

// Classify says what err means.
func Classify(err error) Class {
	if err == nil {
		return None
	}
	for _, c := range [...]struct {
		errno syscall.Errno
		class Class
	}{
		{syscall.EOPNOTSUPP, NotSupported}, {syscall.ENOSYS, NotSupported}, {syscall.EAFNOSUPPORT, NotSupported}, {syscall.EPROTONOSUPPORT, NotSupported},
		{syscall.ENOSPC, NoSpace}, {syscall.E2BIG, NoSpace}, {syscall.ENOMEM, NoSpace},
		{syscall.ENODEV, Gone}, {syscall.ENXIO, Gone},
		{syscall.ENOENT, Absent}, {syscall.ESRCH, Absent}, {syscall.EADDRNOTAVAIL, Absent},
		{syscall.EEXIST, Exists},
		{syscall.EBUSY, Busy}, {syscall.EAGAIN, Busy}, {syscall.ENETDOWN, Busy}, {syscall.EINTR, Busy},
		{syscall.ENOBUFS, Lost},
		{syscall.EINVAL, Invalid}, {syscall.ERANGE, Invalid},
		{syscall.ETIMEDOUT, Timeout},
		{syscall.EPERM, Denied}, {syscall.EACCES, Denied},
	} {
		if errors.Is(err, c.errno) {
			return c.class
		}
	}
	var t interface{ Timeout() bool }
	if errors.As(err, &t) && t.Timeout() {
		return Timeout // of a socket's deadline
	}
	return Other
}
