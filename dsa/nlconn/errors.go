// SPDX-License-Identifier: Apache-2.0

package nlconn

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Error is a refusal by the kernel. errors.Is compares Errno.
type Error struct {
	Errno unix.Errno
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
	ClassNone         Class = iota // no error
	ClassNotSupported              // the driver or this kernel cannot: asking again is useless
	ClassNoSpace                   // a table is full: may fit once something else is gone
	ClassGone                      // the device or object is not there (any more): read again
	ClassExists                    // it is there already
	ClassBusy                      // not now: try again
	ClassInvalid                   // the kernel refuses this value
	ClassTimeout                   // no answer in time: what happened is unknown, read again
	ClassLost                      // the socket overran: read again
	ClassDenied                    // no right to do it
	ClassOther
)

func (c Class) String() string {
	return [...]string{"none", "not supported", "no space", "gone", "exists", "busy", "invalid", "timeout", "lost", "denied", "other"}[c]
}

// Classify says what err means.
func Classify(err error) Class {
	if err == nil {
		return ClassNone
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ClassTimeout
	}
	for _, c := range [...]struct {
		errno unix.Errno
		class Class
	}{
		{unix.EOPNOTSUPP, ClassNotSupported}, {unix.ENOTSUP, ClassNotSupported}, {unix.ENOSYS, ClassNotSupported}, {unix.EAFNOSUPPORT, ClassNotSupported}, {unix.EPROTONOSUPPORT, ClassNotSupported},
		{unix.ENOSPC, ClassNoSpace}, {unix.E2BIG, ClassNoSpace}, {unix.ENOMEM, ClassNoSpace},
		{unix.ENODEV, ClassGone}, {unix.ENOENT, ClassGone}, {unix.ENXIO, ClassGone}, {unix.ESRCH, ClassGone}, {unix.EADDRNOTAVAIL, ClassGone},
		{unix.EEXIST, ClassExists},
		{unix.EBUSY, ClassBusy}, {unix.EAGAIN, ClassBusy}, {unix.ENETDOWN, ClassBusy}, {unix.EINTR, ClassBusy},
		{unix.ENOBUFS, ClassLost},
		{unix.EINVAL, ClassInvalid}, {unix.ERANGE, ClassInvalid},
		{unix.ETIMEDOUT, ClassTimeout},
		{unix.EPERM, ClassDenied}, {unix.EACCES, ClassDenied},
	} {
		if errors.Is(err, c.errno) {
			return c.class
		}
	}
	return ClassOther
}
