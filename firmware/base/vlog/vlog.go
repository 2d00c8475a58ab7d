// SPDX-License-Identifier: Apache-2.0

package vlog

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// LevelEmer is for the last words of a program.
const LevelEmer = slog.LevelError + 4

const levelOff = slog.Level(1 << 20)

// A destination of records.
const (
	console = iota
	syslog
	file
	nDests
)

var destNames = [nDests]string{"console", "syslog", "file"}

var levelNames = []struct {
	name  string
	level slog.Level
}{
	{"off", levelOff}, {"emer", LevelEmer}, {"err", slog.LevelError},
	{"warn", slog.LevelWarn}, {"info", slog.LevelInfo}, {"dbg", slog.LevelDebug},
}

// levelName returns the name of the lowest level that l reaches, upper case.
func levelName(l slog.Level) string {
	for _, n := range levelNames {
		if l >= n.level {
			return strings.ToUpper(n.name)
		}
	}
	return "DBG"
}

type levels [nDests]slog.Level

// Set is a program's log: its modules with their levels, and where it goes.
type Set struct {
	now func() time.Time

	mu      sync.Mutex
	modules map[string]*levels
	initial levels
	console io.Writer
	file    *os.File
	path    string
	seq     int
}

// New returns a log that prints to w (nil: no console) from level INFO on.
// now gives the time of records that slog does not stamp.
func New(w io.Writer, now func() time.Time) *Set {
	l := levels{slog.LevelInfo, slog.LevelInfo, slog.LevelInfo}
	return &Set{now: now, modules: map[string]*levels{}, initial: l, console: w}
}

// Logger returns the logger of a module, which vlog/list shows from now on.
func (s *Set) Logger(module string) *slog.Logger {
	return slog.New(&handler{set: s}).With(slog.String(moduleKey, module))
}

// Root returns a logger without a module; see the package's description.
func (s *Set) Root() *slog.Logger { return slog.New(&handler{set: s}) }

func (s *Set) module(name string) *levels {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.modules[name]
	if l == nil {
		c := s.initial
		l = &c
		s.modules[name] = l
	}
	return l
}

// OpenFile logs to the file too, appending, created with mode 0640 less the
// umask as stock does.
func (s *Set) OpenFile(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return fmt.Errorf("log file: %w", err)
	}
	s.mu.Lock()
	old := s.file
	s.file, s.path = f, path
	s.mu.Unlock()
	if old != nil {
		old.Close()
	}
	s.Logger("vlog").Info("opened log file " + path)
	return nil
}

// Reopen opens the log file again, after it was rotated. Without a log file it
// does nothing.
func (s *Set) Reopen() error {
	s.mu.Lock()
	path := s.path
	s.mu.Unlock()
	if path == "" {
		return nil
	}
	return s.OpenFile(path)
}

// CloseFile stops logging to the file until [Set.Reopen].
func (s *Set) CloseFile() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
}

// Apply changes levels: spec has words of the form [module[:destination[:level]]]
// in any order, separated by colons, commas or spaces, as vlog/set and the
// option -v take them. What is left out means all modules, all destinations,
// level DBG. "ANY" stands for all. Errors are stock's texts.
func (s *Set) Apply(spec string) error {
	words := strings.FieldsFunc(spec, func(r rune) bool { return strings.ContainsRune(" ,:\t\r\n", r) })
	if len(words) > 0 && (strings.EqualFold(words[0], "PATTERN") || strings.EqualFold(words[0], "FACILITY")) {
		return fmt.Errorf("%s cannot be changed in this program", strings.ToUpper(words[0]))
	}
	module, dest, level := "", -1, slog.LevelDebug
	hasLevel := false
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range words {
		if strings.EqualFold(w, "ANY") {
			continue
		}
		if d := slices.Index(destNames[:], strings.ToLower(w)); d >= 0 {
			if dest >= 0 {
				return fmt.Errorf("cannot specify multiple destinations")
			}
			dest = d
			continue
		}
		if l, ok := parseLevel(w); ok {
			if hasLevel {
				return fmt.Errorf("cannot specify multiple levels")
			}
			level, hasLevel = l, true
			continue
		}
		name := strings.ReplaceAll(w, "-", "_")
		if s.modules[name] == nil {
			return fmt.Errorf("no destination, level, or module %q", w)
		}
		if module != "" {
			return fmt.Errorf("cannot specify multiple modules")
		}
		module = name
	}
	set := func(l *levels) {
		for d := range l {
			if dest < 0 || d == dest {
				l[d] = level
			}
		}
	}
	if module != "" {
		set(s.modules[module])
		return nil
	}
	set(&s.initial) // modules that come later
	for _, l := range s.modules {
		set(l)
	}
	return nil
}

func parseLevel(s string) (slog.Level, bool) {
	for _, n := range levelNames {
		if strings.EqualFold(s, n.name) {
			return n.level, true
		}
	}
	return 0, false
}

// List returns the table of vlog/list.
func (s *Set) List() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	b.WriteString("                 console    syslog    file\n")
	b.WriteString("                 -------    ------    ------\n")
	for _, name := range slices.Sorted(maps.Keys(s.modules)) {
		l := s.modules[name]
		fmt.Fprintf(&b, "%-16s  %4s       %4s       %4s\n", name, levelName(l[console]), levelName(l[syslog]), levelName(l[file]))
	}
	return b.String()
}

func (s *Set) enabled(l *levels, level slog.Level) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.console != nil && level >= l[console] || s.file != nil && level >= l[file]
}

func (s *Set) write(module string, l *levels, r slog.Record, text string) {
	t := r.Time
	if t.IsZero() {
		t = s.now()
	}
	t = t.UTC()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	rest := fmt.Sprintf("|%05d|%s|%s|%s\n", s.seq, module, levelName(r.Level), text)
	if s.console != nil && r.Level >= l[console] {
		io.WriteString(s.console, t.Format("2006-01-02T15:04:05Z")+rest)
	}
	if s.file != nil && r.Level >= l[file] {
		io.WriteString(s.file, t.Format("2006-01-02T15:04:05.000Z")+rest)
	}
}

const moduleKey = "module"

// handler is a slog.Handler with a module and the attributes given so far.
type handler struct {
	set    *Set
	name   string
	levels *levels // nil without a module
	attrs  string  // formatted, each with a leading space
	group  string  // prefix of keys, ending with a dot
}

// main is where records of no module go; stock has no such thing.
const mainModule = "main"

func (h *handler) lv() (*levels, string) {
	if h.levels == nil {
		return h.set.module(mainModule), mainModule
	}
	return h.levels, h.name
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	l, _ := h.lv()
	return h.set.enabled(l, level)
}

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(clean(r.Message))
	b.WriteString(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		appendAttr(&b, h.group, a)
		return true
	})
	l, name := h.lv()
	h.set.write(name, l, r, b.String())
	return nil
}

func (h *handler) WithAttrs(as []slog.Attr) slog.Handler {
	n := *h
	var b strings.Builder
	b.WriteString(h.attrs)
	for _, a := range as {
		if a.Key == moduleKey && h.group == "" {
			n.name = a.Value.String()
			n.levels = h.set.module(n.name)
			continue
		}
		appendAttr(&b, h.group, a)
	}
	n.attrs = b.String()
	return &n
}

func (h *handler) WithGroup(name string) slog.Handler {
	n := *h
	switch {
	case name == "":
	case h.levels == nil:
		n.name, n.levels = name, h.set.module(name)
	default:
		n.group += name + "."
	}
	return &n
}

func appendAttr(b *strings.Builder, group string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, m := range v.Group() {
			appendAttr(b, group, m)
		}
		return
	}
	if a.Equal(slog.Attr{}) {
		return
	}
	s := v.String()
	if s == "" || strings.ContainsAny(s, " \"=") || clean(s) != s {
		s = strconv.Quote(s)
	}
	b.WriteByte(' ')
	b.WriteString(group + a.Key + "=" + s)
}

// clean keeps a record on its line: what a peer sent may be in it.
func clean(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] >= 0x7f {
			q := strconv.QuoteToGraphic(s)
			return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
		}
	}
	return s
}
