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
