// SPDX-License-Identifier: Apache-2.0

package nlconn

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/dsa/nlattr"
	"github.com/weirswitch/weir/dsa/nlerr"
)

// inNetns runs the test on a thread in a network namespace of its own, which
// ends with the thread.
func inNetns(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root for a network namespace")
	}
	runtime.LockOSThread() // never unlocked: the thread dies with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("unshare: %v", err)
	}
}

func ifinfo(index int) []byte {
	b := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(b[4:], uint32(index))
	return b
}

func TestAgainstKernel(t *testing.T) {
	inNetns(t)
	c, err := Dial(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	events, err := Dial(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()

	msgs, err := c.Dump(unix.RTM_GETLINK, ifinfo(0))
	if err != nil || len(msgs) != 1 || msgs[0].Type != unix.RTM_NEWLINK {
		t.Fatalf("links of a new namespace: %d messages, %v", len(msgs), err)
	}

	add := func(name, kind string) error {
		var w nlattr.Builder
		w.Raw(ifinfo(0))
		w.String(unix.IFLA_IFNAME, name)
		w.Nest(unix.IFLA_LINKINFO, func() { w.String(unix.IFLA_INFO_KIND, kind) })
		b, _ := w.Payload()
		_, err := c.Do(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, b)
		return err
	}
	if err := add("br0", "bridge"); err != nil {
		t.Fatal(err)
	}
	if err := add("br0", "bridge"); nlerr.Classify(err) != nlerr.Exists {
		t.Errorf("a second br0: %v is %v", err, nlerr.Classify(err))
	}
	err = add("x0", "nosuchkind")
	var e *nlerr.Error
	if !errors.As(err, &e) || nlerr.Classify(err) != nlerr.NotSupported || !strings.Contains(e.Text, "Unknown device type") {
		t.Errorf("a link of an unknown kind: %v, %v; want the kernel's text", err, nlerr.Classify(err))
	}
	if _, err := c.Do(unix.RTM_DELLINK, 0, ifinfo(4711)); nlerr.Classify(err) != nlerr.Gone {
		t.Errorf("delete of no device: %v is %v", err, nlerr.Classify(err))
	}

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ms, err := events.Receive(ctx)
	if err != nil || ms[0].Type != unix.RTM_NEWLINK {
		t.Fatalf("event of br0: %v", err)
	}
	cancel()
	for err == nil {
		_, err = events.Receive(ctx)
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Receive after the end: %v", err)
	}

	// An answer that came too late must not be taken for the next one's.
	c.SetTimeout(-time.Second)
	if err := add("br1", "bridge"); nlerr.Classify(err) != nlerr.Timeout {
		t.Errorf("a request without time: %v", err)
	}
	c.SetTimeout(DefaultTimeout)
	for range 3 {
		if _, err := c.Do(unix.RTM_DELLINK, 0, ifinfo(4711)); nlerr.Classify(err) != nlerr.Gone {
			t.Errorf("the request after one without time: %v", err)
		}
	}
}

func TestFamily(t *testing.T) {
	c, err := Dial(unix.NETLINK_GENERIC)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f, err := c.Family("nlctrl")
	if err != nil || f.ID != unix.GENL_ID_CTRL || f.Groups["notify"] == 0 {
		t.Errorf("family nlctrl: %+v, %v", f, err)
	}
	if _, err := c.Family("nosuchfamily"); nlerr.Classify(err) != nlerr.Absent {
		t.Errorf("no such family: %v", err)
	}
}

func TestParseAck(t *testing.T) {
	ne := binary.NativeEndian
	var text nlattr.Builder
	text.String(unix.NLMSGERR_ATTR_MSG, "Offloading not supported")
	tlv, _ := text.Payload()
	quoted := header(unix.RTM_NEWLINK, 0, 1, make([]byte, 6)) // 22 bytes, padded to 24
	ack := func(errno int32, rest ...[]byte) []byte {
		b := ne.AppendUint32(nil, uint32(errno))
		for _, r := range rest {
			b = append(b, r...)
		}
		return b
	}
	for _, tc := range []struct {
		name  string
		m     Message
		note  string
		class nlerr.Class
	}{
		{"yes", Message{unix.NLMSG_ERROR, 0, ack(0, quoted[:16])}, "", nlerr.None},
		{"yes, but", Message{unix.NLMSG_ERROR, unix.NLM_F_ACK_TLVS, ack(0, quoted[:16], tlv)}, "Offloading not supported", nlerr.None},
		{"no, because", Message{unix.NLMSG_ERROR, unix.NLM_F_ACK_TLVS, ack(-int32(unix.EOPNOTSUPP), quoted, []byte{0, 0}, tlv)}, "", nlerr.NotSupported},
		{"no, capped", Message{unix.NLMSG_ERROR, unix.NLM_F_ACK_TLVS | unix.NLM_F_CAPPED, ack(-int32(unix.ENOSPC), quoted[:16], tlv)}, "", nlerr.NoSpace},
		{"done", Message{unix.NLMSG_DONE, 0, ack(0)}, "", nlerr.None},
		{"short", Message{unix.NLMSG_ERROR, 0, ack(0)}, "", nlerr.Other},
		{"quotes too much", Message{unix.NLMSG_ERROR, 0, ack(-1, header(1, 0, 1, nil)[:0], []byte{255, 0, 0, 255}, quoted[4:16])}, "", nlerr.Other},
	} {
		note, err := parseAck(tc.m)
		if note != tc.note || nlerr.Classify(err) != tc.class {
			t.Errorf("%s: note %q, error %v (%v)", tc.name, note, err, nlerr.Classify(err))
		}
		var e *nlerr.Error
		if errors.As(err, &e) && e.Text != "Offloading not supported" {
			t.Errorf("%s: text %q", tc.name, e.Text)
		}
	}
}

// FuzzSplit: whatever comes, messages lie inside what was read, and an
// acknowledgement is read or refused.
func FuzzSplit(f *testing.F) {
	f.Add(header(unix.NLMSG_ERROR, unix.NLM_F_ACK_TLVS, 1, make([]byte, 20)))
	f.Add(append(header(16, 2, 3, []byte{1, 2, 3, 4}), header(3, 2, 3, make([]byte, 4))...))
	f.Add([]byte{255, 255, 255, 255, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		ms, err := split(b)
		total := 0
		for _, m := range ms {
			total += unix.NLMSG_HDRLEN + len(m.Data)
			if m.Type == unix.NLMSG_ERROR || m.Type == unix.NLMSG_DONE {
				_, _ = parseAck(m.Message)
			}
		}
		if total > len(b) {
			t.Fatalf("messages of %d bytes in %d, %v", total, len(b), err)
		}
	})
}
