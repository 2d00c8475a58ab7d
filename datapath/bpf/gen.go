// SPDX-License-Identifier: Apache-2.0

package bpf

// The objects hold neither debug information nor paths nor the compiler's
// name, so that the same clang makes the same bytes everywhere.

//go:generate clang-19 -target bpfel -mcpu=v2 -O2 -Wall -Wextra -Werror -Wno-unused-function -fno-ident -fno-addrsig -c c/weir.c -o weir_el.o
//go:generate clang-19 -target bpfeb -mcpu=v2 -O2 -Wall -Wextra -Werror -Wno-unused-function -fno-ident -fno-addrsig -c c/weir.c -o weir_eb.o
