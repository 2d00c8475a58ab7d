// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
)

// needRoot skips a test that loads programs where that is not permitted.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("loading BPF programs needs root")
	}
}

// TestObjects: the objects of both byte orders hold the same.
func TestObjects(t *testing.T) {
	var specs [2]*ebpf.CollectionSpec
	for i, name := range []string{"weir_el.o", "weir_eb.o"} {
		var err error
		if specs[i], err = ebpf.LoadCollectionSpec(name); err != nil {
			t.Fatal(err)
		}
	}
	el, eb := specs[0], specs[1]
	if el.ByteOrder == eb.ByteOrder || len(el.Maps) != len(eb.Maps) || len(el.Programs) != len(eb.Programs) {
		t.Errorf("byte orders %v and %v, %d and %d maps", el.ByteOrder, eb.ByteOrder, len(el.Maps), len(eb.Maps))
	}
	for name, a := range el.Maps {
		b := eb.Maps[name]
		if b == nil || a.Type != b.Type || a.KeySize != b.KeySize || a.ValueSize != b.ValueSize || a.Flags != b.Flags {
			t.Errorf("map %s: %v and %v", name, a, b)
		}
	}
	// No calls of functions within BPF, which 32-bit JITs cannot do.
	for _, s := range specs {
		for name, p := range s.Programs {
			for _, ins := range p.Instructions {
				if ins.IsFunctionCall() {
					t.Errorf("%s: %v", name, ins)
				}
			}
		}
	}
}

// TestVerifier loads the program and says what the verifier did for it. The
// bound is a third of the kernel's (BPF_COMPLEXITY_LIMIT_INSNS, 1,000,000).
func TestVerifier(t *testing.T) {
	needRoot(t)
	const limit = 333_000
	l := (&Config{MaxFlows: segLen}).limitsFor(1<<30, ebpf.MustPossibleCPU())
	s, err := spec(l)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ebpf.NewCollectionWithOptions(s, ebpf.CollectionOptions{
		Programs: ebpf.ProgramOptions{LogLevel: ebpf.LogLevelStats},
	})
	if err != nil {
		var ve *ebpf.VerifierError
		var tail []string
		if errors.As(err, &ve) {
			tail = ve.Log[max(0, len(ve.Log)-40):]
		}
		t.Fatalf("%v\n%s", err, strings.Join(tail, "\n"))
	}
	defer c.Close()
	p := c.Programs["weir_tc"]
	info, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	n, ok := info.VerifiedInstructions()
	t.Logf("%d instructions, %d verified; %s", len(s.Programs["weir_tc"].Instructions), n, p.VerifierLog)
	if ok && n > limit {
		t.Errorf("the verifier looked at %d instructions, more than %d", n, limit)
	}
}
