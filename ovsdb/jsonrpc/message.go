// SPDX-License-Identifier: Apache-2.0

package jsonrpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// Kind says what a message is.
type Kind uint8

const (
	Request      Kind = iota + 1 // method, params and an id that is not null
	Notification                 // method and params; id null or absent
	Reply                        // result; error null
	ErrorReply                   // error; result null or absent
)

func (k Kind) String() string {
	switch k {
	case Request:
		return "request"
	case Notification:
		return "notification"
	case Reply:
		return "reply"
	case ErrorReply:
		return "error reply"
	}
	return "kind " + strconv.Itoa(int(k))
}

// Message is one JSON-RPC 1.0 message. The raw parts are compact or not, as
// the peer wrote them, and never nil where the kind has them.
type Message struct {
	Kind   Kind
	Method string          // requests and notifications
	Params json.RawMessage // requests and notifications: an array
	ID     json.RawMessage // all but notifications
	Result json.RawMessage // replies
	Error  json.RawMessage // error replies
}

// Args returns the elements of the params of a call. They are not copied.
func (m *Message) Args() ([]json.RawMessage, error) {
	a, err := splitArray(m.Params)
	if err != nil {
		return nil, fmt.Errorf("%w: params: %w", ErrMessage, err)
	}
	return a, nil
}

// ErrMessage: valid JSON that is not a JSON-RPC message.
var ErrMessage = errors.New("not a JSON-RPC message")

// Parse sorts an object into a message with the strictness of Open vSwitch:
// a member that JSON-RPC 1.0 does not have, a member of the wrong type or a
// combination that is no kind of message is an error that wraps [ErrMessage].
// Members with the value null count as absent, of two members of one name the
// last counts. raw is not copied.
func Parse(raw []byte) (Message, error) {
	var m Message
	members, err := splitObject(raw)
	if err != nil {
		return m, err
	}
	var method, params json.RawMessage
	for _, kv := range members {
		v := kv.value
		null := bytes.Equal(v, []byte("null"))
		if null {
			v = nil
		}
		switch kv.key {
		case "method":
			method = v
		case "params":
			params = v
		case "id":
			m.ID = v
		case "result":
			m.Result = v
		case "error":
			m.Error = v
		default:
			return m, fmt.Errorf("%w: message has unexpected member %q", ErrMessage, clip(kv.key))
		}
	}
	if method != nil {
		return parseCall(m, method, params)
	}
	switch {
	case params != nil:
		return m, fmt.Errorf("%w: reply must not have \"params\"", ErrMessage)
	case m.ID == nil:
		return m, fmt.Errorf("%w: reply must have \"id\"", ErrMessage)
	case m.Result != nil && m.Error != nil:
		return m, fmt.Errorf("%w: reply must not have both \"result\" and \"error\"", ErrMessage)
	case m.Result != nil:
		m.Kind = Reply
	case m.Error != nil:
		m.Kind = ErrorReply
	default:
		return m, fmt.Errorf("%w: reply must have \"result\" or \"error\"", ErrMessage)
	}
	return m, nil
}

func parseCall(m Message, method, params json.RawMessage) (Message, error) {
	if method[0] != '"' {
		return m, fmt.Errorf("%w: method is not a string", ErrMessage)
	}
	var err error
	if m.Method, err = unquote(method); err != nil {
		return m, fmt.Errorf("%w: method: %w", ErrMessage, err)
	}
	m.Kind = Request
	if m.ID == nil {
		m.Kind = Notification
	}
	switch {
	case m.Result != nil || m.Error != nil:
		return m, fmt.Errorf("%w: %s must not have \"result\" or \"error\"", ErrMessage, m.Kind)
	case params == nil:
		return m, fmt.Errorf("%w: %s must have \"params\"", ErrMessage, m.Kind)
	case params[0] != '[':
		return m, fmt.Errorf("%w: \"params\" must be an array", ErrMessage)
	}
	m.Params = params
	return m, nil
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}

// AppendRequest appends a request. params must be an array, id any JSON.
func AppendRequest(dst []byte, id json.RawMessage, method string, params json.RawMessage) []byte {
	dst = append(dst, `{"id":`...)
	dst = append(dst, id...)
	return appendCall(dst, method, params)
}

// AppendNotification appends a notification. params must be an array.
func AppendNotification(dst []byte, method string, params json.RawMessage) []byte {
	return appendCall(append(dst, `{"id":null`...), method, params)
}

func appendCall(dst []byte, method string, params json.RawMessage) []byte {
	dst = append(dst, `,"method":`...)
	dst = AppendString(dst, method)
	dst = append(dst, `,"params":`...)
	dst = append(dst, params...)
	return append(dst, '}')
}

// AppendReply appends a successful reply.
func AppendReply(dst []byte, id, result json.RawMessage) []byte {
	dst = append(dst, `{"id":`...)
	dst = append(dst, id...)
	dst = append(dst, `,"result":`...)
	dst = append(dst, result...)
	return append(dst, `,"error":null}`...)
}

// AppendError appends an error reply. As in Open vSwitch 3.1's, there is no
// "result" member, where RFC 7047 section 4 has null.
func AppendError(dst []byte, id, e json.RawMessage) []byte {
	dst = append(dst, `{"id":`...)
	dst = append(dst, id...)
	dst = append(dst, `,"error":`...)
	dst = append(dst, e...)
	return append(dst, '}')
}

// AppendString appends s as a JSON string in the form that Open vSwitch
// prints: short escapes for the usual control characters, \u00xx for the
// others, everything else as it is.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// Canonical returns one form for all ways to write the same JSON value: no
// whitespace, keys sorted, one way to escape. Numbers keep their digits. Ids
// of requests and monitors are compared by it.
func Canonical(raw json.RawMessage) (string, error) {
	if plain(raw) {
		return string(raw), nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", fmt.Errorf("canonical JSON: %w", err)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", fmt.Errorf("canonical JSON: %w", err)
	}
	return string(bytes.TrimRight(b.Bytes(), "\n")), nil
}
