# SPDX-License-Identifier: Apache-2.0
#
#   make run     try Weir here: a switch and three hosts in network namespaces
#   make test    everything CI checks
#   make emulate a whole board in QEMU, its console on your terminal
#
# Both install what they need first (.ci/setup), which takes root and Debian 12.

SHELL   := /bin/bash
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
BUILD   := CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)'

# GOMIPS=softfloat: the MIPS cores in router chips have no floating point unit.
ARCHES  := amd64 arm64 arm mips mipsle riscv64

FUZZTIME ?= 20s
SOAKTIME ?= 10m

.PHONY: run test test-boards emulate build cross kernel generate generate-check lint bench bench-go fuzz soak setup-run setup-test clean

run: setup-run build
	bin/weir demo

# The kernel first: its build must not count against the tests' time.
test: setup-test kernel
	$(GO) test -timeout 25m ./...

# The tests that boot boards in QEMU; part of make test.
test-boards: setup-test kernel
	$(GO) test -count 1 -timeout 25m ./firmware/fwtest/...

# make emulate BOARD=name: builds the board's image and boots it. Ctrl-A X leaves.
emulate: setup-test
	@$(GO) run -tags dev ./cmd/weir emulate $(BOARD)

build:
	$(BUILD) -o bin/weir ./cmd/weir

cross:
	@mkdir -p dist; printf '%-10s %12s %12s\n' arch bytes 'bytes (xz)'; \
	for a in $(ARCHES); do \
	  GOOS=linux GOARCH=$$a GOARM=7 GOMIPS=softfloat $(BUILD) -o dist/weir-$$a ./cmd/weir || exit 1; \
	  xz -9e -k -f dist/weir-$$a; \
	  printf '%-10s %12d %12d\n' $$a $$(stat -c %s dist/weir-$$a) $$(stat -c %s dist/weir-$$a.xz); \
	done

# The kernel of an emulated board, from Debian's sources, into the cache (see the script).
BOARD ?= qemu-x86_64-rocker
kernel: setup-test
	@boards/build-kernel $(BOARD)

# BPF objects are committed, for both byte orders, so that a build needs no clang.
generate: setup-test
	$(GO) generate ./...

# Fails if the committed objects are not what the sources and clang 19 give.
generate-check: generate
	@git diff --exit-code --stat -- '*.o' '*_bpfel.go' '*_bpfeb.go' || \
	  { echo 'the committed BPF objects differ from their sources: commit the result of make generate'; exit 1; }

lint: setup-test
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo 'not gofmt-ed:'; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags dev ./cmd/weir
	for a in $(ARCHES); do GOOS=linux GOARCH=$$a $(GO) build -o /dev/null ./cmd/weir || exit 1; done

# Weir beside Debian's Open vSwitch, in turns: a table, losses first. Ten minutes at
# most. BENCH=REGEXP measures only the rows that match; ROUNDS=N: the best of N.
BENCH  ?=
ROUNDS ?= 5
bench: setup-test
	$(GO) test ./cmd/weir -run '^TestBenchTable$$' -count 1 -timeout 30m -v \
	  -args -bench-table -bench-rounds $(ROUNDS) -bench-only '$(BENCH)' -bench-out '$(CURDIR)/bin/bench.md'

# The benchmarks of single packages.
bench-go: setup-test
	$(GO) test -run '^$$' -bench . -benchmem ./...

# Every fuzz target of the tree for FUZZTIME each; prints how many executions that made.
fuzz:
	@.ci/fuzz $(FUZZTIME)

# The long forms of the tests that have one: WEIR_SOAK is read by them.
soak: setup-test
	WEIR_SOAK=$(SOAKTIME) $(GO) test -timeout 4h -count 1 -v -run 'Soak|Twin' ./...
	$(MAKE) fuzz FUZZTIME=2m

setup-run:
	@.ci/setup run

setup-test:
	@.ci/setup test

clean:
	rm -rf bin dist
