// SPDX-License-Identifier: Apache-2.0

package vlog

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/weirswitch/weir/firmware/base/unixctl"
)

// Limit lets one record a second through and counts the others. The zero value
// is ready; keep one for each place that a peer can make log.
type Limit struct {
	mu         sync.Mutex
	last       time.Time
	suppressed int
}

// Allow says whether a record may be printed at now, and how many were held
// back since the last one that was.
func (l *Limit) Allow(now time.Time) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.last.IsZero() && now.Sub(l.last) < time.Second && !now.Before(l.last) {
		l.suppressed++
		return 0, false
	}
	suppressed, l.suppressed, l.last = l.suppressed, 0, now
	return suppressed, true
}

// Log prints through log unless the limit says no. A record that follows
// others that were held back has the attribute suppressed with their number.
func (l *Limit) Log(log *slog.Logger, now time.Time, level slog.Level, msg string, args ...any) {
	if !log.Enabled(context.Background(), level) {
		return
	}
	n, ok := l.Allow(now)
	if !ok {
		return
	}
	if n > 0 {
		args = append(args[:len(args):len(args)], "suppressed", n)
	}
	log.Log(context.Background(), level, msg, args...)
}

// Commands returns the control commands of the log.
func (s *Set) Commands() []unixctl.Command {
	return []unixctl.Command{
		{Name: "vlog/set", Usage: "{spec | PATTERN:destination:pattern}", Max: -1, Run: func(args []string) (string, error) {
			for _, a := range args {
				if err := s.Apply(a); err != nil {
					return "", err
				}
			}
			return "", nil
		}},
		{Name: "vlog/list", Run: func([]string) (string, error) { return s.List(), nil }},
		{Name: "vlog/reopen", Run: func([]string) (string, error) {
			err := s.Reopen()
			if cause := errors.Unwrap(err); cause != nil {
				err = cause
			}
			return "", err
		}},
		{Name: "vlog/close", Run: func([]string) (string, error) { s.CloseFile(); return "", nil }},
	}
}
