// SPDX-License-Identifier: Apache-2.0

package fwtest

import (
	"context"
	"sync"
)

// Shared is a machine that the tests of one binary share: the first that asks boots it.
//
//	var board = fwtest.Shared{Options: fwtest.Options{}}
//
//	func TestMain(m *testing.M) {
//		code := m.Run()
//		board.Close()
//		os.Exit(code)
//	}
type Shared struct {
	Options Options

	once sync.Once
	m    *Machine
	err  error
}

// Get boots the machine or returns the one that runs. An error is the same for all who
// ask.
func (s *Shared) Get() (*Machine, error) {
	s.once.Do(func() { s.m, s.err = Boot(context.Background(), s.Options) })
	return s.m, s.err
}

// Close ends the machine, if there is one.
func (s *Shared) Close() {
	s.once.Do(func() {})
	if s.m != nil {
		s.m.Close()
	}
}
