// SPDX-License-Identifier: Apache-2.0

package unixctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/weirswitch/weir/firmware/base/stream"
	"github.com/weirswitch/weir/ovsdb/jsonrpc"
)

// CommandError is the daemon's own answer that a command failed.
type CommandError struct {
	Command string
	Text    string // ends with a newline, as the daemon sent it
}

func (e *CommandError) Error() string {
	return fmt.Sprintf("command %s: %s", e.Command, strings.TrimSuffix(e.Text, "\n"))
}

// Target finds the control socket that ovs-appctl -t target means: a name with
// a leading slash is the socket itself, else <rundir>/<target>.pid tells the
// process id.
func Target(rundir, target string) (string, error) {
	if strings.HasPrefix(target, "/") {
		return target, nil
	}
	b, err := os.ReadFile(filepath.Join(rundir, target+".pid"))
	if err != nil {
		return "", fmt.Errorf("cannot read pidfile: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 0 {
		return "", fmt.Errorf("pidfile of %s: no process id in %.20q", target, b)
	}
	return Path(rundir, target, pid), nil
}

// Call runs one command on the daemon behind the socket at path. The error is
// a *CommandError if the daemon answered with one.
func Call(ctx context.Context, path, command string, args ...string) (string, error) {
	nc, err := stream.Dial(ctx, stream.Addr{Path: path}, nil)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c := jsonrpc.NewConn(nc, jsonrpc.Limits{Scalar: 16 << 20}, nil) // a dump is one string
	params := []byte("[")
	for i, a := range args {
		if i > 0 {
			params = append(params, ',')
		}
		params = jsonrpc.AppendString(params, a)
	}
	if err := c.Write(jsonrpc.AppendRequest(nil, []byte("0"), command, append(params, ']'))); err != nil {
		return "", fmt.Errorf("%s: %s: %w", path, command, err)
	}
	m, err := c.Read()
	if err != nil {
		return "", fmt.Errorf("%s: %s: %w", path, command, errors.Join(err, ctx.Err()))
	}
	var text string
	switch m.Kind {
	case jsonrpc.Reply:
		err = json.Unmarshal(m.Result, &text)
	case jsonrpc.ErrorReply:
		if err = json.Unmarshal(m.Error, &text); err == nil {
			err = &CommandError{command, text}
		}
	default:
		err = fmt.Errorf("unexpected %s", m.Kind)
	}
	if err != nil {
		var ce *CommandError
		if errors.As(err, &ce) {
			return "", ce
		}
		return "", fmt.Errorf("%s: %s: %w", path, command, err)
	}
	return text, nil
}
