// SPDX-License-Identifier: Apache-2.0

package ovsdb

import (
	"fmt"

	"github.com/weirswitch/weir/ovsdb/jsontree"
)

// The error strings of RFC 7047, section 3.1 and 5.2, and those that the stock
// server adds to them. Clients compare them.
const (
	ErrSyntax      = "syntax error"
	ErrConstraint  = "constraint violation"
	ErrRefs        = "referential integrity violation"
	ErrColumn      = "unknown column"
	ErrFunction    = "unknown function"
	ErrMutator     = "unknown mutator"
	ErrDomain      = "domain error"
	ErrRange       = "range error"
	ErrTimedOut    = "timed out"
	ErrAborted     = "aborted"
	ErrNotOwner    = "not owner"
	ErrDupName     = "duplicate uuid-name"
	ErrDupUUID     = "duplicate uuid"
	ErrNotAllowed  = "not allowed"
	ErrIO          = "I/O error"
	ErrUnknownDB   = "unknown database"
	ErrResources   = "resources exhausted"
	ErrUnspecified = "ovsdb error" // e.g. a set that contains a duplicate
)

// Error is an error of the protocol: it goes to the client as a JSON object.
type Error struct {
	Name    string // one of the strings above: the member "error"
	Details string // for people
	Syntax  string // the JSON text that is wrong, or ""
}

// Errorf makes an Error with formatted details.
func Errorf(name, format string, args ...any) *Error {
	return &Error{Name: name, Details: fmt.Sprintf(format, args...)}
}

// maxSyntax bounds the offending text that an error carries back, in bytes, so
// that a megabyte of nonsense is not answered with a megabyte.
const maxSyntax = 4096

// SyntaxErrorf makes an Error that quotes the JSON value in question.
func SyntaxErrorf(name string, v jsontree.Value, format string, args ...any) *Error {
	s := v.AppendJSON(nil)
	if len(s) > maxSyntax {
		s = append(s[:cutRune(s, maxSyntax)], "..."...)
	}
	return &Error{Name: name, Details: fmt.Sprintf(format, args...), Syntax: string(s)}
}

// cutRune returns the largest index <= n at which s may be cut without cutting
// a UTF-8 sequence.
func cutRune(s []byte, n int) int {
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return n
}

func (e *Error) Error() string {
	s := e.Name
	if e.Syntax != "" {
		s = e.Syntax + ": " + s
	}
	if e.Details != "" {
		s += ": " + e.Details
	}
	return s
}

// AppendJSON appends the error as the object that RFC 7047 calls <error>.
func (e *Error) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	if e.Details != "" {
		b = append(b, `"details":`...)
		b = jsontree.AppendString(b, e.Details)
		b = append(b, ',')
	}
	b = append(b, `"error":`...)
	b = jsontree.AppendString(b, e.Name)
	if e.Syntax != "" {
		b = append(b, `,"syntax":`...)
		b = jsontree.AppendString(b, e.Syntax)
	}
	return append(b, '}')
}
