// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

var decodeError = regexp.MustCompile(`\*\*\*decode error: (\w+)\*\*\*`)

// stockVerdicts returns, for each message, the error that the stock program
// finds in it, "" if none. Between the messages it is shown echo requests, so that
// its words can be told apart.
func stockVerdicts(t *testing.T, msgs [][]byte) []string {
	t.Helper()
	var b []byte
	mark := func(i int) string {
		return fmt.Sprintf("OFPT_ECHO_REQUEST (xid=0x%x): 0 bytes of payload", 0xabc00000+i)
	}
	for i, m := range msgs {
		b = append(b, m...)
		b = binary.BigEndian.AppendUint32(append(b, 1, 2, 0, 8), uint32(0xabc00000+i))
	}
	file := filepath.Join(t.TempDir(), "msgs")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := ofctl(t, "ofp-parse", file)
	if err != nil {
		t.Fatal(err)
	}
	vs := make([]string, len(msgs))
	for i := range msgs {
		said, rest, ok := strings.Cut(out, mark(i))
		if !ok {
			t.Fatalf("message %d, %x, is missing in what ovs-ofctl printed", i, msgs[i])
		}
		if m := decodeError.FindStringSubmatch(said); m != nil {
			vs[i] = m[1]
		}
		out = rest
	}
	return vs
}

// mutate changes one or two bytes to values that decoders dislike.
func mutate(r *rand.Rand, b []byte) []byte {
	b = append([]byte(nil), b...)
	for n := 1 + r.IntN(2); n > 0; n-- {
		i := HeaderLen + r.IntN(len(b)-HeaderLen)
		switch r.IntN(6) {
		case 0:
			b[i] = 0
		case 1:
			b[i] = 1
		case 2:
			b[i] = 0xff
		case 3:
			b[i]++
		case 4:
			b[i]--
		default:
			b[i] = byte(r.Uint32())
		}
	}
	if r.IntN(8) == 0 { // cut or lengthen
		if n := HeaderLen + r.IntN(len(b)-HeaderLen); r.IntN(2) == 0 {
			b = b[:n]
		} else {
			b = append(b, make([]byte, 8)...)
		}
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	}
	return b
}

// unlike lists the verdicts that differ on purpose or by scope: fields, actions
// and messages that the stock program knows and we do not yet (tunnel metadata,
// NSH, ct, ...; for actions in the same list the stock program may then find
// something else), and one accident of it: the error for an unknown
// field in set_field depends there on the bucket of a hash table.
func unlike(ours, stock string) bool {
	switch ours {
	case "OFPBMC_BAD_FIELD", "OFPBAC_BAD_VENDOR_TYPE", "OFPBRC_BAD_SUBTYPE", "NXFMFC_INVALID_TLV_FIELD":
		return true
	case "OFPBAC_BAD_SET_TYPE":
		return true // an unknown field in an action
	case "OFPGMFC_BAD_WATCH":
		return stock == "" // stock forgets a bad port where a good one follows
	case "OFPBPC_BAD_LEN":
		return stock == "" // a property too short for its value, in controller actions
	}
	return false
}

// TestErrorsStock compares verdicts on damaged flow_mods: whether they are
// refused, and for which reason.
func TestErrorsStock(t *testing.T) {
	seed := uint64(1)
	if *update {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	const perVersion = 4000
	for _, v := range testVersions {
		t.Run(v.String(), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, uint64(v)))
			var good, msgs [][]byte
			for _, x := range recorded(t, v) {
				b, _ := hex.DecodeString(x.bytes)
				good = append(good, b)
			}
			for len(msgs) < perVersion {
				msgs = append(msgs, mutate(r, good[r.IntN(len(good))]))
			}
			stock := stockVerdicts(t, msgs)
			diff := make(map[string]int)
			example := make(map[string][]byte)
			for i, b := range msgs {
				ours := ""
				if _, err := Decode(b, Proto{Version: v, TableID: true}); err != nil {
					ours = ofp.KindOf(err).String()
				}
				if ours != stock[i] && !unlike(ours, stock[i]) {
					k := fmt.Sprintf("%q, stock %q", ours, stock[i])
					diff[k]++
					if e, ok := example[k]; !ok || len(b) < len(e) {
						example[k] = b
					}
				}
			}
			// Whether a message is refused is never different. For which of several
			// things that are wrong with it may be, rarely: two of two damaged bytes.
			kinds := 0
			for k, n := range diff {
				if !strings.Contains(k, `""`) {
					if kinds += n; kinds <= perVersion/400 {
						continue
					}
				}
				_, err := Decode(example[k], Proto{Version: v, TableID: true})
				t.Errorf("%d times ours %s: %x (%v)", n, k, example[k], err)
			}
		})
	}
}
