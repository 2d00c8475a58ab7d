// SPDX-License-Identifier: Apache-2.0

//go:build mips || mips64 || ppc64 || s390x

package bpf

import _ "embed"

//go:embed weir_eb.o
var object []byte
