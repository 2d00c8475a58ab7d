// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/dsa"
	"github.com/weirswitch/weir/dsa/nlattr"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "rewrite testdata/*/ports.* from the records")

// Every record under testdata was made by weir ports --record on the machine
// that its folder names.
func TestRecordedBoards(t *testing.T) {
	dirs, err := filepath.Glob("testdata/*/record.txt")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no records: %v", err)
	}
	for _, path := range dirs {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			rec, err := ParseRecord(bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			var again bytes.Buffer
			if _, err := rec.WriteTo(&again); err != nil || again.String() != string(text) {
				t.Errorf("the record is not written as it was read, %v", err)
			}
			topo, err := Build(rec)
			if err != nil {
				t.Fatal(err)
			}
			var table bytes.Buffer
			if err := topo.WriteText(&table); err != nil {
				t.Fatal(err)
			}
			j, err := json.MarshalIndent(topo, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join(dir, "ports.txt"), table.String())
			golden(t, filepath.Join(dir, "ports.json"), string(j)+"\n")
			var back dsa.Topology
			if err := json.Unmarshal(j, &back); err != nil || !cmp.Equal(back, topo) {
				t.Errorf("JSON does not give the topology back: %v\n%s", err, cmp.Diff(topo, back))
			}
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", path, d)
	}
}

// message builds what a kernel with the other byte order would have sent.
type message struct {
	order binary.AppendByteOrder
	b     []byte
}

func (m *message) attr(typ uint16, v []byte) {
	m.b = m.order.AppendUint16(m.b, uint16(4+len(v)))
	m.b = m.order.AppendUint16(m.b, typ)
	m.b = append(m.b, v...)
	for len(m.b)%4 != 0 {
		m.b = append(m.b, 0)
	}
}

func (m *message) u32(typ uint16, v uint32) { m.attr(typ, m.order.AppendUint32(nil, v)) }

// A big-endian router with a Marvell tree of two chips, from the numbers in
// the kernel's headers: user ports on both, a cascade, an unused port.
func TestBuildTree(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		link := func(index int, name, kind string, lower int, physName string) []byte {
			m := &message{order: order}
			m.b = append(m.b, 0, 0)
			m.b = order.AppendUint16(m.b, arphrdEther)
			m.b = order.AppendUint32(m.b, uint32(index))
			m.b = order.AppendUint32(m.b, iffUp)
			m.b = append(m.b, 0, 0, 0, 0)
			m.attr(iflaName, append([]byte(name), 0))
			m.u32(iflaMTU, 1500)
			m.attr(iflaCarrier, []byte{1})
			if kind != "" {
				in := &message{order: order}
				in.attr(infoKind, append([]byte(kind), 0))
				m.attr(iflaLinkinfo, in.b)
			}
			if lower != 0 {
				m.u32(iflaLink, uint32(lower))
			}
			if physName != "" {
				m.attr(iflaPhysSwitchID, []byte{0, 0, 0, 0})
				m.attr(iflaPhysPortName, append([]byte(physName), 0))
			}
			return m.b
		}
		port := func(dev string, index, ifindex, fl int) []byte {
			m := &message{order: order}
			m.attr(dlBusName, []byte("mdio_bus\x00"))
			m.attr(dlDevName, append([]byte(dev), 0))
			m.u32(dlPortIndex, uint32(index))
			if ifindex != 0 {
				m.u32(dlNetdevIfindex, uint32(ifindex))
			}
			m.attr(dlPortFlavour, order.AppendUint16(nil, uint16(fl)))
			if fl != 6 {
				m.u32(dlPortNumber, uint32(index))
			}
			return m.b
		}
		rec := &Record{
			Order: order.(binary.ByteOrder),
			Links: [][]byte{
				link(2, "eth0", "", 0, ""), link(9, "br0", "bridge", 0, ""),
				link(4, "lan2", "dsa", 2, "p2"), link(3, "lan1", "dsa", 2, "p1"), link(5, "lan9", "dsa", 2, "p1"),
			},
			Ports: [][]byte{port("f:10", 1, 3, 0), port("f:10", 2, 4, 0), port("f:10", 5, 0, 1), port("f:10", 6, 0, 2), port("f:11", 1, 5, 0), port("f:11", 6, 0, 2), port("f:11", 3, 0, 6)},
			Facts: map[string]string{"eth0/dsa/tagging": "edsa", "lan1/device/driver": "mv88e6085", "lan2/device/driver": "mv88e6085", "lan9/device/driver": "mv88e6085"},
		}
		topo, err := Build(rec)
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		if err := topo.WriteText(&text); err != nil {
			t.Fatal(err)
		}
		const want = `switch 00000000 (dsa)
  chip mdio_bus/f:10 driver mv88e6085
    port 5 cpu
    port 6 dsa
  chip mdio_bus/f:11 driver mv88e6085
    port 3 unused
    port 6 dsa
PORT  KIND   SWITCH    NUMBER  DRIVER     CONDUIT   TAGGING  MASTER  LINK  MTU   IN THE CHIP                                              COUNTERS
lan1  dsa    00000000  1       mv88e6085  eth0      edsa     -       up    1500  bridge,vlan,fdb,mdb,lag,mst,mirror,police?,learning,flood  standard
lan2  dsa    00000000  2       mv88e6085  eth0      edsa     -       up    1500  bridge,vlan,fdb,mdb,lag,mst,mirror,police?,learning,flood  standard
lan9  dsa    00000000  1       mv88e6085  eth0      edsa     -       up    1500  bridge,vlan,fdb,mdb,lag,mst,mirror,police?,learning,flood  standard
br0   plain  -         -       -          -         -        -       up    1500  -                                                        link
eth0  plain  -         -       -          (is one)  edsa     -       up    1500  -                                                        link
`
		if d := cmp.Diff(squeeze(want), squeeze(text.String())); d != "" {
			t.Errorf("%v (-want +got):\n%s", order, d)
		}
	}
}

// squeeze makes runs of blanks one.
func squeeze(s string) string {
	var b strings.Builder
	for l := range strings.Lines(s) {
		b.WriteString(strings.Join(strings.Fields(l), " ") + "\n")
	}
	return b.String()
}

func TestNumberOf(t *testing.T) {
	for name, want := range map[string]int{"p3": 3, "sw1p12": 12, "p3s1": 3, "p0": 0, "": dsa.NoNumber, "pf0vf1": dsa.NoNumber, "lan1": dsa.NoNumber, "p99999999999": dsa.NoNumber} {
		if got := numberOf(name); got != want {
			t.Errorf("numberOf(%q) = %d, want %d", name, got, want)
		}
	}
}

func TestParseRecordRefuses(t *testing.T) {
	for _, tc := range []struct{ text, err string }{
		{"", "it is empty"},
		{"hello\n", "line 1: want"},
		{"weir record 1 middle x\n", "line 1: want"},
		{"weir record 1 little x\nabc\n", "line 2: a line before the first section"},
		{"weir record 1 little x\n[wifi]\n", "no section is named [wifi]"},
		{"weir record 1 little x\n[links]\nxyz\n", "line 3: encoding/hex"},
		{"weir record 1 little x\n[facts]\nxyz\n", "line 3: want name=value"},
	} {
		if _, err := ParseRecord(strings.NewReader(tc.text)); err == nil || !strings.Contains(err.Error(), tc.err) {
			t.Errorf("ParseRecord(%q): %v, want %q", tc.text, err, tc.err)
		}
	}
}

// inNetns locks the test to a thread in a network namespace of its own, with a
// sysfs that shows it.
func inNetns(t *testing.T) (sysfs string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root for a network namespace")
	}
	runtime.LockOSThread() // never unlocked: the thread dies with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	return "/sys"
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %v: %v %s", args, err, out)
	}
}

// The real kernel: what iproute2 makes is what is read, and every change is
// told.
func TestWatchKernel(t *testing.T) {
	r, err := Open(inNetns(t))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ip(t, "link", "add", "br0", "type", "bridge")
	ip(t, "link", "add", "p1", "mtu", "1600", "type", "veth", "peer", "name", "p1x")
	ip(t, "link", "set", "p1", "master", "br0", "up")

	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var topo dsa.Topology
	var told []string
	step := 0
	err = Watch(ctx, r, func(now dsa.Topology, changes []dsa.Change) {
		topo = now
		for _, c := range changes {
			p := c.New
			if c.Kind == dsa.PortRemoved {
				p = c.Old
			}
			told = append(told, string(c.Kind)+" "+p.Name)
		}
		switch {
		case step == 0:
			p, ok := topo.Port("p1")
			if !ok || p.Kind != dsa.KindPlain || p.MTU != 1600 || p.Master != "br0" || !p.Up || p.Number != dsa.NoNumber || p.LinkKind != "veth" {
				t.Errorf("p1 is %+v", p)
			}
			step = 1
			ip(t, "link", "set", "p1", "name", "lan1")
		case step == 1 && slices.Contains(told, "changed lan1"):
			step = 2
			ip(t, "link", "del", "lan1")
		case step == 2 && slices.Contains(told, "removed lan1"):
			step = 3
			cancel()
		}
	})
	if err != nil || step != 3 {
		t.Errorf("Watch: %v at step %d, told %q", err, step, told)
	}
	if !slices.Contains(told, "added br0") || !slices.Contains(told, "removed p1x") {
		t.Errorf("told %q", told)
	}
}

// With a burst larger than the socket's buffer the end is seen all the same.
func TestWatchOverrun(t *testing.T) {
	r, err := Open(inNetns(t))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	ip(t, "link", "add", "p1", "type", "veth", "peer", "name", "p1x")
	first := true
	err = Watch(ctx, r, func(topo dsa.Topology, _ []dsa.Change) {
		if first {
			first = false
			var batch strings.Builder
			for i := range 3000 {
				batch.WriteString("link set p1 mtu " + []string{"1400", "1401"}[i%2] + "\n")
			}
			batch.WriteString("link set p1 mtu 1300\n")
			cmd := exec.Command("ip", "-batch", "-")
			cmd.Stdin = strings.NewReader(batch.String())
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("ip: %v %s", err, out)
			}
			return
		}
		if p, _ := topo.Port("p1"); p.MTU == 1300 {
			cancel()
		}
	})
	if err != nil || !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("Watch: %v, %v", err, ctx.Err())
	}
}

// FuzzBuild: any record is read without a panic, and the ports are in order
// and few enough.
func FuzzBuild(f *testing.F) {
	paths, _ := filepath.Glob("testdata/*/record.txt")
	for _, p := range paths {
		if b, err := os.ReadFile(p); err == nil {
			f.Add(b)
		}
	}
	f.Add([]byte("weir record 1 big x\n[links]\n0000000100000002000000010000000000\n[devlink-ports]\n0800010061620000\n[devlink-resources]\n0800 3f00\n[facts]\na/b=c\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rec, err := ParseRecord(bytes.NewReader(b))
		if err != nil {
			return
		}
		topo, _ := Build(rec)
		if len(topo.Ports) > len(rec.Links) {
			t.Fatalf("%d ports of %d links", len(topo.Ports), len(rec.Links))
		}
		sorted := topo
		sorted.Ports = slices.Clone(topo.Ports)
		sorted.Sort()
		if !slices.Equal(sorted.Ports, topo.Ports) || len(dsa.Diff(topo, topo)) != 0 {
			t.Fatal("the order is not stable")
		}
		for _, m := range rec.Links {
			_, _, _ = decodeFeatures(m, rec.Order)
		}
		_ = nlattr.Native
	})
}
