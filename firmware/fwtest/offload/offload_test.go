// SPDX-License-Identifier: Apache-2.0

package offload

import (
	"context"
	"testing"
	"time"

	"github.com/weirswitch/weir/firmware/fwtest"
)

func TestDraft(t *testing.T) {
	m, err := fwtest.Boot(t.Context(), fwtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	t.Logf("ready after %v", m.Took)
	say := func(out string, err error) { t.Logf("%v\n%s", err, out) }
	say(m.Vsctl(ctx, "add-br", "br0", "--", "add-port", "br0", "lan1", "tag=10", "--", "add-port", "br0", "lan2", "tag=10", "--", "add-port", "br0", "lan3", "tag=20", "--", "add-port", "br0", "lan4"))
	time.Sleep(2 * time.Second)
	for _, c := range []string{"weir offload show", "bridge vlan", "ip -br link", "bridge fdb", "weir ports", "ovs-appctl dpif/show", "cat /proc/loadavg"} {
		say(m.Output(ctx, c))
	}
	t.Log(m.Tail())
}
