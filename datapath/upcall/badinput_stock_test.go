// SPDX-License-Identifier: Apache-2.0

package upcall_test

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// specimens are well-formed messages of a version, by what they are: type, and within that kind of
// statistics or experimenter's type. They come from the tests of the codec, where stock has read them all.
func specimens(t *testing.T, version byte) map[string][][]byte {
	names := map[byte]string{1: "10", 4: "13", 5: "14", 6: "15"}
	out := make(map[string][][]byte)
	for _, kind := range []string{"messages", "flows", "groups"} {
		f, err := os.Open(filepath.Join("..", "openflow", "testdata", kind+".OpenFlow"+names[version]+".txt"))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for sc := bufio.NewScanner(f); sc.Scan(); {
			word, rest, _ := strings.Cut(sc.Text(), " ")
			if word != "bytes" {
				continue
			}
			b, err := hex.DecodeString(rest)
			if err != nil {
				t.Fatal(err)
			}
			k := fmt.Sprintf("type %02d", b[1])
			switch {
			case (b[1] == 18 || b[1] == 19) && version > 1, (b[1] == 16 || b[1] == 17) && version == 1:
				k += fmt.Sprintf(" part %d", binary.BigEndian.Uint16(b[8:]))
				if len(b) >= 24 && b[8] == 0xff {
					k += fmt.Sprintf(" %x", b[12:24])
				}
			case b[1] == 4 && len(b) >= 16:
				k += fmt.Sprintf(" %x", b[8:16])
			}
			out[k] = append(out[k], b)
		}
	}
	return out
}

// mutants are copies of a message, each with one field wrong: every 16-bit word (a length is one)
// at 0, 1, one less, one more and all ones, every byte one more and all ones, and the end cut off or
// more behind it. The header stays as it is but for its length.
func mutants(m []byte) (out [][]byte) {
	be := binary.BigEndian
	add := func(at int, b ...byte) {
		if n := slices.Clone(m); !slices.Equal(n[at:at+len(b)], b) {
			copy(n[at:], b)
			out = append(out, n)
		}
	}
	for i := 8; i+2 <= len(m); i += 2 {
		v := be.Uint16(m[i:])
		for _, w := range []uint16{0, 1, v - 1, v + 1, 0xffff} {
			add(i, byte(w>>8), byte(w))
		}
	}
	for i := 8; i < len(m); i++ {
		add(i, m[i]+1)
		add(i, 0xff)
	}
	for _, n := range []int{8, 9, 12, 16, len(m) - 8, len(m) - 4, len(m) - 1} {
		if n >= 8 && n < len(m) {
			out = append(out, slices.Clone(m[:n]))
		}
	}
	for _, n := range []int{1, 4, 8} {
		out = append(out, append(slices.Clone(m), make([]byte, n)...))
	}
	for _, b := range out {
		be.PutUint16(b[2:], uint16(len(b)))
	}
	return out
}

// askAll sends messages, each with a barrier behind it, and returns what was answered to each;
// nil if the connection ended.
func (c *rawConn) askAll(ms [][]byte) [][]string {
	be := binary.BigEndian
	version := c.version
	request, reply := byte(20), byte(21)
	if version == 1 {
		request, reply = 18, 19
	}
	var b []byte
	first := c.xid + 1
	for _, m := range ms {
		c.xid++
		at := len(b)
		b = append(b, m...)
		be.PutUint32(b[at+4:], c.xid)
		b = be.AppendUint32(append(b, version, request, 0, 8), c.xid)
	}
	var wg sync.WaitGroup
	wg.Go(func() { c.write(b) })
	defer wg.Wait()
	out := make([][]string, len(ms))
	for done := 0; done < len(ms); {
		b := c.read()
		if b == nil {
			c.nc.Close()
			return nil
		}
		i := be.Uint32(b[4:]) - first
		switch {
		case i >= uint32(len(ms)): // not asked for
		case b[1] == reply:
			done++
		default:
			out[i] = append(out[i], gist(b))
		}
	}
	return out
}

// gist is what must be equal of a message: all of an error, of others what they are and how long, for
// times and counters differ.
func gist(b []byte) string {
	if b[1] == 1 {
		return fmt.Sprintf("error %x", b[8:])
	}
	n := min(len(b), 8)
	if b[1] == 19 && b[0] > 1 || b[1] == 17 && b[0] == 1 {
		n = 12
	}
	return fmt.Sprintf("%d bytes %x", len(b), append(append([]byte{}, b[:4]...), b[8:max(n, 8)]...))
}

// deliberate are the differences that are meant, by what the message is, with the reason.
type deliberate struct {
	kind   *regexp.Regexp // of the specimen, with its version in front
	ours   *regexp.Regexp
	stock  *regexp.Regexp
	reason string
}

func mean(kind, ours, stock, reason string) deliberate {
	return deliberate{regexp.MustCompile(kind), regexp.MustCompile(ours), regexp.MustCompile(stock), reason}
}

var meant = []deliberate{
	mean(`version 1 type 16 part [45]|version . type 18 part [45]`, `error 000[59]0001`, `bytes 0[146]1[13]....0005`, "the stock switch's dummy devices have a queue, with number 0, and statistics of it"),
	mean(`version . type (20|22)$|version . type 18 part 15`, `^16 bytes`, `bytes|0009000[01]`, "the same: its configuration"),
	mean(`version 6 type 18 part [45]`, `^\d+ bytes 0613`, `^\d+ bytes 0613`, "the dummy devices have statistics of their own"),
	mean(`version . type 18 part 1[123]`, `bytes 041......000c|bytes 061......000c|bytes 041......|bytes 061......`, `bytes`, "table features: stock names fields that we do not have (NSH, ERSPAN, GTP-U)"),
	mean(`version . type 18 part 15`, `error (00010006|00100005)`, `^$`, "flow monitors: stock (3.1) is silent, or sends uninitialized memory, where it refuses them"),
	mean(`type 04 0000232000000010`, `error 0001000[14]`, `error 00010006`, "NXT_PACKET_IN and NXT_FLOW_AGE: not decoded by their subtype, which is refused in any case"),
	mean(`version 1 type 04 00002320000000(0[df]|1[048])|version [46] type 04 000023200000001[049a]`, `error 0001000[145]`, `error 00010006`, "a mutated subtype of a message that only a switch sends, or that we do not know: refused as such, whatever its length"),
	mean(`type 04 000023200000001[ad]`, `error 0001000[14]`, `error (000[de]000[13]|b0c2|00010006)`, "NXT_RESUME is not there, and NXT_SET_ASYNC_CONFIG2 is refused where stock looks at its length first"),
	mean(`type 04 0000232000000020`, `error 00010004`, `error (00010006|b0c2|....000c)`, "a neighbour of NXT_CT_FLUSH, 31, is not known here"),
	mean(`type 04 4f4e4600000008fc|type 33`, `error (ffff|0011)`, `^(16|24) bytes|error 00010006`, "a bundle control of an unknown type is OFPBFC_BAD_TYPE (OpenFlow 1.5, 7.3.9.2); stock answers as if it had done something"),
	mean(`type 04 4f4e4600000008fd|type 34`, `error (ffff0905|00110009)`, `error ffff(000a|0016)`, "a message in a bundle with flags or a type that do not go: OFPBFC_MSG_BAD_XID and the like before stock's own error"),
	mean(`version [46] type 1[45]`, `error 00020003`, `^$|error 0002`, "actions that we do not have (bundle, multipath, sample, ct, ...) are OFPBAC_BAD_VENDOR_TYPE whatever is in them"),
	mean(`version 6 type 13`, `error 0004000[16]`, `error (0004000[01]|0001000b)`, "the match of a packet-out is read strictly: a field that nobody knows is refused"),
	mean(`version 6 type 15`, `error (000e0001|0006000d)`, `error 00060000`, "a bucket's property of a wrong length, and a port to watch that is not there, are refused before it is seen that the group exists"),
	mean(`version 1 type 04 000023200000001f`, `error b0c2000000002320000(d0003|6000d)`, `error b0c200000000232000(060000|010209)`, "the same, in NXT_GROUP_MOD; a property cut off is short before its fields are looked at"),
	mean(`version 1 type 04 000023200000001f`, `error b0c200000000232000000107`, `error b0c200000000232000010(10[0-9a-f]|209)`, "an entry with a mask among the fields of a selection method is refused as an unknown field"),
	mean(`version [46] type (1[012]|19 part .*|31)$`, `error 0001000[16]`, `error 0001000[16]`, "messages that only switches send: OFPBRC_BAD_TYPE or, where they are short, OFPBRC_BAD_LEN; stock's least lengths differ in a few"),
}

func isMeant(kind, ours, stock string) bool {
	return slices.ContainsFunc(meant, func(d deliberate) bool {
		return d.kind.MatchString(kind) && d.ours.MatchString(ours) && d.stock.MatchString(stock)
	})
}

// TestStockBadInput sends every message that we can read or write with each of its fields wrong to both
// switches: the answers must be the same errors, or the connections end alike, and so must the tables
// be then.
func TestStockBadInput(t *testing.T) {
	p := newPair(t)
	soak := os.Getenv("WEIR_SOAK") != ""
	for _, version := range []byte{1, 4, 6} {
		byKind := specimens(t, version)
		kinds := make([]string, 0, len(byKind))
		for k := range byKind {
			kinds = append(kinds, k)
		}
		slices.Sort(kinds)
		n, same, differ := 0, 0, 0
		start := time.Now()
		for _, k := range kinds {
			list := byKind[k]
			if !soak { // the shortest and the longest that is not very long
				slices.SortFunc(list, func(a, b []byte) int { return len(a) - len(b) })
				i := len(list) - 1
				for i > 0 && len(list[i]) > 200 {
					i--
				}
				if i > 0 {
					list = [][]byte{list[0], list[i]}
				} else {
					list = list[:1]
				}
			}
			kind := fmt.Sprintf("version %d %s", version, k)
			for _, m := range list {
				if len(m) > 400 && !soak {
					continue
				}
				d := p.bad(kind, version, append(mutants(m), m))
				n++
				same += d.same
				differ += d.meant
			}
		}
		t.Logf("version %d: %d specimens of %d kinds, %d answers equal, %d differ as meant, in %v", version, n, len(kinds), same, differ, time.Since(start).Round(time.Millisecond))
	}
}

type verdict struct{ same, meant int }

// bad sends messages to both and compares.
func (p *pair) bad(kind string, version byte, ms [][]byte) (v verdict) {
	t := p.t
	dial := func() {
		if p.ours != nil {
			p.ours.nc.Close()
			p.stock.nc.Close()
		}
		p.ours, p.stock = dialRaw(t, p.dir+"/w/br0.mgmt", version), dialRaw(t, p.dir+"/br0.mgmt", version)
	}
	dial()
	shown := 0
	for part := range slices.Chunk(ms, 64) {
		var ours [][]string
		var wg sync.WaitGroup
		wg.Go(func() { ours = p.ours.askAll(part) })
		stock := p.stock.askAll(part)
		wg.Wait()
		if ours == nil || stock == nil { // one by one, to see which it was
			ours, stock = make([][]string, len(part)), make([][]string, len(part))
			for i := range part {
				dial()
				if a := p.ours.askAll(part[i : i+1]); a != nil {
					ours[i] = a[0]
				} else {
					ours[i] = []string{"closed"}
				}
				if a := p.stock.askAll(part[i : i+1]); a != nil {
					stock[i] = a[0]
				} else {
					stock[i] = []string{"closed"}
				}
			}
			dial()
		}
		for i := range part {
			a, b := strings.Join(ours[i], "; "), strings.Join(stock[i], "; ")
			switch {
			case a == b:
				v.same++
			case isMeant(kind, a, b):
				v.meant++
			default:
				if shown++; shown <= 3 {
					t.Errorf("%s: %x\nours  %s\nstock %s", kind, part[i], a, b)
				}
			}
		}
	}
	if shown > 3 {
		t.Errorf("%s: %d more", kind, shown-3)
	}
	p.sameTables(kind)
	p.clean(version)
	return v
}

var brief = regexp.MustCompile(`.*_timeout=\d,.*\n`)

// sameTables compares what both have in their tables.
func (p *pair) sameTables(kind string) {
	p.t.Helper()
	for _, args := range [][]string{{"-O", "OpenFlow15", "dump-flows", "br0"}, {"-O", "OpenFlow15", "dump-groups", "br0"}, {"-O", "OpenFlow13", "dump-meters", "br0"}} {
		a, b := p.ofctl(p.dir+"/w", args), p.ofctl(p.dir, args)
		if args[2] == "dump-groups" { // listed in the order of a hash table
			sorted := func(s string) string {
				l := strings.Split(s, "\n")
				slices.Sort(l)
				return strings.Join(l, "\n")
			}
			a, b = sorted(a), sorted(b)
		}
		a, b = brief.ReplaceAllString(a, ""), brief.ReplaceAllString(b, "") // which may have gone already
		if a != b {
			p.t.Errorf("%s: %s then\nours  %s\nstock %s", kind, args[2], a, b)
		}
	}
}

// clean empties the tables of both.
func (p *pair) clean(byte) {
	for _, dir := range []string{p.dir, p.dir + "/w"} {
		for _, args := range [][]string{{"-O", "OpenFlow13", "del-flows", "br0"}, {"-O", "OpenFlow13", "del-groups", "br0"}, {"-O", "OpenFlow13", "del-meters", "br0"}} {
			if s := p.ofctl(dir, args); !strings.HasSuffix(s, "[<nil>]") {
				p.t.Errorf("%v: %s", args, s)
			}
		}
	}
}
