// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// magic begins each record's header line. (Files of clusters begin with another,
// "OVSDB CLUSTER".)
const magic = "OVSDB JSON "

// maxHeader bounds a header line, in bytes with the newline.
const maxHeader = 128

// frame returns a record: header line and text.
func frame(text []byte) []byte {
	return seal(append(make([]byte, maxHeader, maxHeader+len(text)+1), text...))
}

// seal makes a record of a buffer whose text begins at maxHeader: it ends the text with
// a newline and puts the header line right before it. The record is a part of the
// buffer, which may have grown.
func seal(b []byte) []byte {
	b = append(b, '\n')
	sum := sha1.Sum(b[maxHeader:])
	var line [maxHeader]byte
	h := append(line[:0], magic...)
	h = strconv.AppendInt(h, int64(len(b)-maxHeader), 10)
	h = append(h, ' ')
	h = hex.AppendEncode(h, sum[:])
	h = append(h, '\n')
	from := maxHeader - len(h)
	copy(b[from:], h)
	return b[from:]
}

// errTorn says that a file ends within a record.
var errTorn = errors.New("the file ends within a record")

// reader reads records.
type reader struct {
	r   *bufio.Reader
	off int64 // of the next record
	end int64 // size of the file
}

// next returns the text of the next record. At the end of the file the error is
// io.EOF; otherwise it says what is wrong with the record at off, which stays
// where it is.
func (r *reader) next() ([]byte, error) {
	if r.off == r.end {
		return nil, io.EOF
	}
	line, err := r.header()
	if err != nil {
		return nil, err
	}
	n, sum, err := parseHeader(line)
	if err != nil {
		return nil, err
	}
	if n > r.end-r.off-int64(len(line)) {
		return nil, fmt.Errorf("%d bytes of text: %w", n, errTorn)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r.r, text); err != nil {
		return nil, fmt.Errorf("read %d bytes of text: %w", n, err)
	}
	if got := sha1.Sum(text); got != sum {
		return nil, fmt.Errorf("%d bytes have SHA-1 hash %x but should have hash %x", n, got, sum)
	}
	r.off += int64(len(line)) + n
	return text, nil
}

func (r *reader) header() ([]byte, error) {
	var line []byte
	for len(line) < maxHeader {
		c, err := r.r.ReadByte()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("header line: %w", errTorn)
		}
		if err != nil {
			return nil, fmt.Errorf("read header line: %w", err)
		}
		line = append(line, c)
		if c == '\n' {
			return line, nil
		}
	}
	return nil, fmt.Errorf("header line longer than %d bytes", maxHeader)
}

// parseHeader parses "OVSDB JSON <length> <hash>\n".
func parseHeader(line []byte) (n int64, sum [sha1.Size]byte, err error) {
	bad := func() (int64, [sha1.Size]byte, error) {
		return 0, sum, fmt.Errorf("parse error in header line %q", line)
	}
	rest, ok := bytes.CutPrefix(line, []byte(magic))
	if !ok {
		return bad()
	}
	length, hash, ok := bytes.Cut(bytes.TrimSuffix(rest, []byte("\n")), []byte(" "))
	if !ok || len(hash) != 2*sha1.Size {
		return bad()
	}
	for _, c := range length {
		if c < '0' || c > '9' {
			return bad()
		}
	}
	if n, err = strconv.ParseInt(string(length), 10, 64); err != nil || n < 1 {
		return bad()
	}
	if _, err := hex.Decode(sum[:], hash); err != nil {
		return bad()
	}
	return n, sum, nil
}
