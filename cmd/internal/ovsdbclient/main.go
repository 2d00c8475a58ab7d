// SPDX-License-Identifier: Apache-2.0

package ovsdbclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/weirswitch/weir/cmd/internal/dbconn"
	"github.com/weirswitch/weir/cmd/internal/env"
	"github.com/weirswitch/weir/cmd/internal/getopt"
	"github.com/weirswitch/weir/cmd/internal/table"
	"github.com/weirswitch/weir/cmd/internal/version"
	"github.com/weirswitch/weir/firmware/base/stream"
	"github.com/weirswitch/weir/ovsdb/jsontree"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// exitAlarm is what a shell sees of a tool that SIGALRM ended.
const exitAlarm = 128 + 14

// needs says what a command's arguments begin with.
type needs uint8

const (
	needsNothing  needs = iota // connects by itself
	needsServer                // [SERVER]
	needsDatabase              // [SERVER] [DATABASE]
)

// command is a command of the tool.
type command struct {
	name     string
	needs    needs
	min, max int // arguments behind SERVER and DATABASE
	run      func(*session) error
}

const many = int(^uint(0) >> 1)

func commands() []command {
	return []command{
		{"list-dbs", needsServer, 0, 0, listDBs},
		{"get-schema", needsDatabase, 0, 0, getSchema},
		{"get-schema-version", needsDatabase, 0, 0, getSchemaVersion},
		{"get-schema-cksum", needsDatabase, 0, 0, getSchemaCksum},
		{"list-tables", needsDatabase, 0, 0, listTables},
		{"list-columns", needsDatabase, 0, 1, listColumns},
		{"transact", needsServer, 1, 1, transact},
		{"query", needsServer, 1, 1, runQuery},
		{"monitor", needsDatabase, 1, many, monitor},
		{"monitor-cond", needsDatabase, 2, 3, monitorCond},
		{"monitor-cond-since", needsDatabase, 2, 4, monitorCondSince},
		{"wait", needsNothing, 2, 3, wait},
		{"dump", needsDatabase, 0, many, dump},
		{"backup", needsDatabase, 0, 0, backup},
		{"restore", needsDatabase, 0, 0, restore},
		{"convert", needsServer, 1, 1, convert},
		{"needs-conversion", needsServer, 1, 1, needsConversion},
		{"lock", needsServer, 1, 1, lock},
		{"steal", needsServer, 1, 1, lock},
		{"unlock", needsServer, 1, 1, lock},
	}
}

// session is one run of the tool.
type session struct {
	env     env.Env
	ctx     context.Context
	style   table.Style
	force   bool
	timeout time.Duration
	files   dbconn.Files

	cmd    command
	server string
	db     string
	args   []string // behind SERVER and DATABASE
	conn   *dbconn.Conn
	logged int
}

func options() []getopt.Option {
	opts := table.Options()
	return append(opts, []getopt.Option{
		{Long: "force"},
		{Long: "timeout", Short: 't', Arg: getopt.Required},
		{Long: "db-change-aware"},
		{Long: "no-db-change-aware"},
		{Long: "leader-only"},
		{Long: "no-leader-only"},
		{Long: "help", Short: 'h'},
		{Long: "version", Short: 'V'},
		{Long: "verbose", Short: 'v', Arg: getopt.Optional},
		{Long: "log-file", Arg: getopt.Optional},
		{Long: "syslog-method", Arg: getopt.Required},
		{Long: "syslog-target", Arg: getopt.Required},
		{Long: "private-key", Short: 'p', Arg: getopt.Required},
		{Long: "certificate", Short: 'c', Arg: getopt.Required},
		{Long: "ca-cert", Short: 'C', Arg: getopt.Required},
		{Long: "bootstrap-ca-cert", Arg: getopt.Required},
		{Long: "ssl-protocols", Arg: getopt.Required},
		{Long: "ssl-ciphers", Arg: getopt.Required},
	}...)
}

// Main runs ovsdb-client and returns its exit code: 0 success, 1 an error, 142
// --timeout passed.
func Main(ctx context.Context, e env.Env) int {
	s := &session{env: e, ctx: ctx, style: table.Style{Layout: table.Grid, Headings: true}}
	text, err := s.parse()
	if err == nil && text != "" {
		io.WriteString(e.Stdout, text)
		return 0
	}
	if err == nil {
		if s.timeout > 0 {
			var cancel context.CancelFunc
			s.ctx, cancel = context.WithTimeout(ctx, s.timeout)
			defer cancel()
		}
		err = s.run()
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(s.ctx.Err(), context.DeadlineExceeded) && ctx.Err() == nil:
		s.log("fatal_signal", "WARN", "terminating with signal 14 (Alarm clock)")
		return exitAlarm
	case ctx.Err() != nil: // the user ended a monitor
		return 1
	}
	fmt.Fprintf(e.Stderr, "%s: %s\n", e.Name, err)
	return 1
}

// log prints a log line on stderr.
func (s *session) log(module, level, text string) {
	s.logged++
	fmt.Fprintf(s.env.Stderr, "%s|%05d|%s|%s|%s\n", s.env.Now().UTC().Format("2006-01-02T15:04:05Z"), s.logged, module, level, text)
}

// parse reads the command line up to what needs the server. A text is to be
// printed instead of running.
func (s *session) parse() (text string, err error) {
	found, args, err := getopt.Parse(options(), permute(options(), s.env.Args))
	if err != nil {
		return "", err
	}
	for _, o := range found {
		if ok, err := s.style.SetOption(o); err != nil {
			return "", err
		} else if ok {
			continue
		}
		switch o.Name {
		case "help":
			return help(s.env), nil
		case "version":
			return fmt.Sprintf("%s (Weir) %s\n", s.env.Name, version.String()), nil
		case "force":
			s.force = true
		case "timeout":
			n, err := strconv.ParseUint(o.Value, 10, 31)
			if err != nil || n == 0 {
				return "", fmt.Errorf("value %s on -t or --timeout is invalid", o.Value)
			}
			s.timeout = time.Duration(n) * time.Second
		case "private-key":
			s.files.Key = o.Value
		case "certificate":
			s.files.Cert = o.Value
		case "ca-cert", "bootstrap-ca-cert":
			s.files.CA, s.files.Bootstrap = o.Value, o.Name == "bootstrap-ca-cert"
		}
	}
	if len(args) == 0 {
		return "", fmt.Errorf("missing command name; use --help for help")
	}
	i := slices.IndexFunc(commands(), func(c command) bool { return c.name == args[0] })
	if i < 0 {
		if args[0] == "help" {
			return help(s.env), nil
		}
		return "", fmt.Errorf("unknown command '%s'; use --help for help", args[0])
	}
	s.cmd, s.args = commands()[i], args[1:]
	s.server = "unix:" + s.env.RunDir() + "/db.sock"
	if s.cmd.needs != needsNothing && len(s.args) > 0 && stream.IsName(s.args[0]) {
		s.server, s.args = s.args[0], s.args[1:]
	}
	if s.cmd.needs != needsDatabase {
		return "", s.count()
	}
	return "", nil
}

// permute moves options in front of the arguments: this tool, unlike ovs-vsctl,
// takes them anywhere.
func permute(opts []getopt.Option, args []string) []string {
	var first, rest []string
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			rest = append(rest, args[i+1:]...)
			i = len(args)
		case len(a) > 1 && a[0] == '-':
			_, left, err := getopt.Parse(opts, args[i:])
			if err != nil {
				return args[i:] // to fail with this error
			}
			n := len(args) - i - len(left)
			first = append(first, args[i:i+n]...)
			i += n - 1
			if args[i] == "--" && first[len(first)-1] == "--" && n > 1 { // it ended the options
				first = first[:len(first)-1]
				i--
			}
		default:
			rest = append(rest, a)
		}
	}
	return append(append(first, "--"), rest...)
}

// count checks the number of arguments left.
func (s *session) count() error {
	if n := len(s.args); n < s.cmd.min || n > s.cmd.max {
		return fmt.Errorf("invalid syntax for '%s' (use --help for help)", s.cmd.name)
	}
	return nil
}

func (s *session) run() error {
	if s.cmd.needs == needsNothing {
		return s.cmd.run(s)
	}
	var err error
	if s.conn, err = dbconn.Dial(s.ctx, s.env.RunDir(), s.server, s.files); err != nil {
		return fmt.Errorf("failed to connect to \"%s\" (%s)", s.server, dbconn.Cause(err))
	}
	defer s.conn.Close()
	if s.cmd.needs == needsDatabase {
		if err := s.pickDatabase(); err != nil {
			return err
		}
		if err := s.count(); err != nil {
			return err
		}
	}
	return s.cmd.run(s)
}

// databases asks for the names of the databases, sorted.
func (s *session) databases() ([]string, error) {
	v, err := s.call("list_dbs", "[]")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range v.Array() {
		names = append(names, d.Str())
	}
	slices.Sort(names)
	return names, nil
}

func (s *session) pickDatabase() error {
	names, err := s.databases()
	if err != nil {
		return err
	}
	switch {
	case len(s.args) > 0 && slices.Contains(names, s.args[0]):
		s.db, s.args = s.args[0], s.args[1:]
	case slices.Contains(names, "Open_vSwitch"):
		s.db = "Open_vSwitch"
	default:
		names = slices.DeleteFunc(names, func(n string) bool { return n[:1] == "_" })
		if len(names) != 1 {
			return fmt.Errorf("no default database for '%s' command, please specify a database name", s.cmd.name)
		}
		s.db = names[0]
	}
	return nil
}

// bigTree allows the contents of a big database.
var bigTree = jsontree.Limits{Values: 1 << 26}

// call sends a request; an error reply is an error.
func (s *session) call(method, params string) (jsontree.Value, error) {
	result, failure, err := s.conn.Call(s.ctx, method, []byte(params))
	switch {
	case err != nil:
		return jsontree.Value{}, s.lost(err)
	case failure != nil:
		return jsontree.Value{}, fmt.Errorf("%s returned error: %s", transactionName(method), sorted(failure))
	}
	return jsontree.Parse(result, bigTree)
}

func transactionName(method string) string {
	if method == "transact" {
		return "transaction"
	}
	return method
}

// sorted returns JSON with members sorted.
func sorted(raw json.RawMessage) string {
	v, err := jsontree.Parse(raw, bigTree)
	if err != nil {
		return string(raw)
	}
	return string(v.AppendJSON(nil))
}

func (s *session) lost(err error) error {
	if s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	return fmt.Errorf("%s: receive failed (%s)", s.server, dbconn.Cause(err))
}

// schema asks for a database's schema.
func (s *session) schema(db string) (*schema.Schema, jsontree.Value, error) {
	v, err := s.call("get_schema", `[`+quote(db)+`]`)
	if err != nil {
		return nil, v, err
	}
	sch, err := schema.Parse(v.AppendJSON(nil))
	if err != nil {
		return nil, v, fmt.Errorf("%s: schema of %s: %w", s.server, db, err)
	}
	return sch, v, nil
}

func quote(s string) string { return string(jsontree.AppendString(nil, s)) }

// print writes text and a newline.
func (s *session) print(text string) error {
	if _, err := io.WriteString(s.env.Stdout, text+"\n"); err != nil {
		return fmt.Errorf("write to stdout failed")
	}
	return nil
}

// printJSON writes a value, indented with --pretty.
func (s *session) printJSON(v jsontree.Value) error {
	text := string(v.AppendJSON(nil))
	if s.style.Pretty {
		text = table.Indent(text)
	}
	return s.print(text)
}

func (s *session) printTable(t *table.Table) error {
	return table.NewPrinter(s.env.Stdout, s.style).Print(t)
}

func help(e env.Env) string {
	return fmt.Sprintf(`%s: prints and changes the contents of a database server
usage: %s [OPTIONS] COMMAND [ARG...]

  list-dbs [SERVER]                             databases of SERVER
  get-schema [SERVER] [DATABASE]                the schema, as JSON
  get-schema-version [SERVER] [DATABASE]        its version
  get-schema-cksum [SERVER] [DATABASE]          its checksum
  list-tables [SERVER] [DATABASE]               its tables
  list-columns [SERVER] [DATABASE] [TABLE]      the columns of TABLE or of all
  transact [SERVER] TRANSACTION                 run TRANSACTION, print the results
  query [SERVER] TRANSACTION                    the same without changing anything
  dump [SERVER] [DATABASE] [TABLE [COLUMN]...]  print the contents
  monitor [SERVER] [DATABASE] TABLE [COLUMN,...]...
  monitor [SERVER] [DATABASE] ALL               print contents and changes
  monitor-cond [SERVER] [DATABASE] CONDITION TABLE [COLUMN,...]
  monitor-cond-since [SERVER] [DATABASE] [LASTID] CONDITION TABLE [COLUMN,...]
                                                the same of rows that match
  backup [SERVER] [DATABASE]                    write the contents as a database file
  restore [SERVER] [DATABASE]                   replace them by a file on stdin
  convert [SERVER] SCHEMA, needs-conversion [SERVER] SCHEMA
  wait [SERVER] DATABASE added|connected|removed
  lock|steal|unlock [SERVER] LOCK
COLUMN may be !initial, !insert, !delete or !modify: do not print those changes.
SERVER is unix:%s/db.sock unless given, DATABASE Open_vSwitch.

  -f, --format=FORMAT         table, list, html, csv or json
  -d, --data=FORMAT           string, bare or json
  --no-headings, --pretty, --bare, --max-column-width=N
  --timestamp                 print the time of changes
  --force                     restore: whatever the schema's version
  -t, --timeout=SECS          give up after SECS seconds
  -p, --private-key=FILE  -c, --certificate=FILE  -C, --ca-cert=FILE
  -h, --help                  this text
  -V, --version               the version
`, e.Name, e.Name, e.RunDir())
}
