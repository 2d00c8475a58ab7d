// SPDX-License-Identifier: Apache-2.0

//go:build 386 || amd64 || arm || arm64 || loong64 || mipsle || mips64le || ppc64le || riscv64

package bpf

import _ "embed"

//go:embed weir_el.o
var object []byte
