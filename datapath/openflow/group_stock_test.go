// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

func groupFile(v ofp.Version) string {
	return filepath.Join("testdata", "groups."+v.String()+".txt")
}

// groupCommands are commands of ovs-ofctl with their groups.
func groupCommands(v ofp.Version) []string {
	cs := []string{
		"add-group group_id=1,type=all,bucket=output:1,bucket=mod_dl_dst:02:00:00:00:00:09,output:2",
		"add-group group_id=2,type=select,bucket=weight:0,output:1,bucket=weight:300,watch_port:2,output:2,bucket=output:3",
		"add-group group_id=3,type=indirect,bucket=dec_ttl,group:4",
		"add-group group_id=4,type=ff,bucket=watch_port:1,output:1,bucket=watch_group:3,output:2",
		"add-group group_id=5,type=all",
		"mod-group group_id=0xffffff00,type=all,bucket=resubmit(,3),bucket=controller",
		"mod-group group_id=0,type=all,bucket=set_queue:4,output:3,bucket=load:5->NXM_NX_REG0[],output:LOCAL",
		"del-groups group_id=7",
		"del-groups",
		"--may-create mod-group group_id=6,type=all,bucket=output:1",
	}
	if v == ofp.V10 || v >= ofp.V15 {
		cs = append(cs,
			"add-group group_id=8,type=select,selection_method=hash,fields(ip_src,tcp_dst,eth_dst=ff:ff:ff:00:00:00),bucket=output:1",
			"add-group group_id=9,type=select,selection_method=dp_hash,selection_method_param=5,bucket=output:1",
			"add-group group_id=10,type=all,bucket=bucket_id:9,output:1,bucket=output:2",
			"insert-buckets group_id=10,command_bucket_id=first,bucket=bucket_id:7,output:3",
			"insert-buckets group_id=10,command_bucket_id=9,bucket=bucket_id:8,weight:4,output:3",
			"remove-buckets group_id=10,command_bucket_id=all",
			"remove-buckets group_id=10,command_bucket_id=7",
		)
	}
	return cs
}

type groupVector struct {
	command, bytes string
	printed        []string
}

func recordGroups(t *testing.T, v ofp.Version) (vs []groupVector) {
	for _, c := range groupCommands(v) {
		verb, arg, ok := strings.Cut(c, " ")
		var args []string
		if strings.HasPrefix(verb, "-") {
			args = append(args, verb)
			verb, arg, ok = strings.Cut(arg, " ")
		}
		args = append(args, verb, "SWITCH")
		if ok {
			args = append(args, arg)
		}
		msgs := capture(t, v, args...)
		if len(msgs) != 1 {
			t.Fatalf("%s: %d messages", c, len(msgs))
		}
		m := msgs[0]
		m[4], m[5], m[6], m[7] = 0, 0, 0, 0x10
		vs = append(vs, groupVector{c, hex.EncodeToString(m), strings.Split(stockPrint(t, m), "\n")})
	}
	return vs
}

func recordedGroups(t *testing.T, v ofp.Version) (vs []groupVector) {
	for _, l := range lines(t, groupFile(v)) {
		if c, ok := strings.CutPrefix(l, "command "); ok {
			vs = append(vs, groupVector{command: c})
			continue
		}
		last := &vs[len(vs)-1]
		if b, ok := strings.CutPrefix(l, "bytes "); ok {
			last.bytes = b
		} else if p, ok := strings.CutPrefix(l, "stock "); ok {
			last.printed = append(last.printed, p)
		}
	}
	return vs
}

// TestGroupsStock: group modifications that the stock ovs-ofctl sends are read, and written
// so that it prints the same of them.
func TestGroupsStock(t *testing.T) {
	for _, v := range []ofp.Version{ofp.V10, ofp.V13, ofp.V14, ofp.V15} {
		t.Run(v.String(), func(t *testing.T) {
			if *update {
				var b strings.Builder
				b.WriteString("# Made by `go test -run TestGroupsStock -update`: what ovs-ofctl (3.1.0) sends and prints.\n")
				for _, g := range recordGroups(t, v) {
					fmt.Fprintf(&b, "\ncommand %s\nbytes %s\n", g.command, g.bytes)
					for _, p := range g.printed {
						fmt.Fprintf(&b, "stock %s\n", p)
					}
				}
				if err := os.WriteFile(groupFile(v), []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			p := Proto{Version: v}
			for _, g := range recordedGroups(t, v) {
				b, err := hex.DecodeString(g.bytes)
				if err != nil {
					t.Fatal(err)
				}
				m, err := Decode(b, p)
				if err != nil {
					t.Errorf("%s: %v", g.command, err)
					continue
				}
				out, err := Encode(p, 0x10, m)
				if err != nil {
					t.Errorf("%s: %v", g.command, err)
					continue
				}
				if hex.EncodeToString(out) == g.bytes {
					continue
				}
				again, err := Decode(out, p)
				if err != nil || !reflect.DeepEqual(m, again) {
					t.Errorf("%s: read %+v, after writing %+v (%v)", g.command, m, again, err)
				}
				if got := strings.TrimSpace(stockPrint(t, out)); got != strings.Join(g.printed, "\n") {
					t.Errorf("%s\n bytes %s\n ours  %x\n which stock prints as %s", g.command, g.bytes, out, got)
				}
			}
		})
	}
}

// TestGroupErrorsStock compares verdicts on damaged group modifications.
func TestGroupErrorsStock(t *testing.T) {
	const seed, perVersion = 7, 3000
	t.Logf("seed %d", seed)
	for _, v := range []ofp.Version{ofp.V10, ofp.V13, ofp.V15} {
		t.Run(v.String(), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, uint64(v)))
			var good, msgs [][]byte
			for _, g := range recordedGroups(t, v) {
				b, _ := hex.DecodeString(g.bytes)
				good = append(good, b)
			}
			for len(msgs) < perVersion {
				msgs = append(msgs, mutate(r, good[r.IntN(len(good))]))
			}
			diff, example := make(map[string]int), make(map[string][]byte)
			for i, stock := range stockVerdicts(t, msgs) {
				ours := ""
				if _, err := Decode(msgs[i], Proto{Version: v}); err != nil {
					ours = ofp.KindOf(err).String()
				}
				if ours != stock && !unlike(ours, stock) {
					k := fmt.Sprintf("%q, stock %q", ours, stock)
					diff[k]++
					if e, ok := example[k]; !ok || len(msgs[i]) < len(e) {
						example[k] = msgs[i]
					}
				}
			}
			rest := 0
			for k, n := range diff {
				if !strings.Contains(k, `""`) {
					if rest += n; rest <= perVersion/200 {
						t.Logf("%d times ours %s: %x", n, k, example[k])
						continue
					}
				}
				_, err := Decode(example[k], Proto{Version: v})
				t.Errorf("%d times ours %s: %x (%v)", n, k, example[k], err)
			}
		})
	}
}
