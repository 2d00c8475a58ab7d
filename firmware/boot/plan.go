// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weirswitch/weir/boards"
)

// Where the firmware keeps things. The run directory is the one that Open vSwitch's
// tools look in when nobody tells them.
const (
	RunDir  = "/var/run/openvswitch"
	DBDir   = "/etc/openvswitch"
	InitCtl = "/run/weir/init.ctl" // init's control socket
	Program = "/bin/weir"
)

// Early returns what comes first, whatever the board.
func Early() []Step {
	return []Step{
		Mount{Type: "devtmpfs", Target: "/dev", Data: "mode=0755"},
		Mount{Type: "proc", Target: "/proc"},
		Mount{Type: "sysfs", Target: "/sys"},
		Mount{Type: "tmpfs", Target: "/run", Data: "mode=0755,size=25%"},
		Mount{Type: "tmpfs", Target: "/tmp", Data: "mode=1777,size=25%", Exec: true},
		Dir{"/dev/pts"},
		Mount{Type: "devpts", Target: "/dev/pts", Data: "mode=0620", Optional: true},
		Mount{Type: "bpf", Target: "/sys/fs/bpf", Data: "mode=0700", Optional: true},
		Mount{Type: "cgroup2", Target: "/sys/fs/cgroup", Optional: true},
		Mount{Type: "debugfs", Target: "/sys/kernel/debug", Optional: true},
		Mount{Type: "tracefs", Target: "/sys/kernel/tracing", Optional: true},
		Dir{"/run/weir"},
		Dir{DBDir},
		Symlink{"/var/run", "/run"},
		// Without it the kernel drops all but ten lines in five seconds of our log.
		Write{Path: "/proc/sys/kernel/printk_devkmsg", Text: "on", Optional: true},
		Link{"lo", true},
	}
}

// Load returns what can be done when the board is known; board is nil where it is not.
func Load(board *boards.Board, o Options) []Step {
	var steps []Step
	name := o.Hostname
	if name == "" && board != nil {
		name = board.Name
	}
	if name == "" {
		name = "weir"
	}
	steps = append(steps, Hostname{name})
	if board != nil {
		for _, m := range board.Modules {
			steps = append(steps, Module{m})
		}
	}
	for _, m := range o.Modules {
		steps = append(steps, Module{m})
	}
	return steps
}

// Network returns what gives the network devices their names and their first state:
// lan and wan ports down, conduits up, the management port up with its address.
func Network(board *boards.Board, o Options, devices []boards.Device) []Step {
	var steps []Step
	if board == nil {
		if o.Address.IsValid() {
			steps = append(steps, Warn{"no board is known, so no management port: weir.ip= is not used"})
		}
		return steps
	}
	names, missing := assign(board, devices)
	for _, m := range missing {
		steps = append(steps, Warn{fmt.Sprintf("board %s: no device is port %s (%s)", board.Name, m.Name, m.Label)})
	}
	steps = append(steps, renames(devices, names)...)
	for _, p := range board.Ports {
		if !slices.ContainsFunc(devices, func(d boards.Device) bool { return names[d.Name] == p.Name }) {
			continue
		}
		switch p.Role {
		case boards.Mgmt:
			steps = append(steps, Link{p.Name, true})
			if o.Address.IsValid() {
				steps = append(steps, Address{p.Name, o.Address})
			}
			if o.Gateway.IsValid() {
				steps = append(steps, Route{p.Name, o.Gateway})
			}
		case boards.Conduit:
			steps = append(steps, noIPv6(p.Name), Link{p.Name, true})
		default:
			steps = append(steps, noIPv6(p.Name), Link{p.Name, false})
		}
	}
	if o.Address.IsValid() && len(board.PortsOf(boards.Mgmt)) == 0 {
		steps = append(steps, Warn{fmt.Sprintf("board %s has no management port: weir.ip= is not used", board.Name)})
	}
	return steps
}

// noIPv6 keeps the kernel's own router solicitations and neighbour discovery off a port
// that is the switch's: its frames belong to OpenFlow.
func noIPv6(dev string) Step {
	return Write{Path: "/proc/sys/net/ipv6/conf/" + dev + "/disable_ipv6", Text: "1", Optional: true}
}

// assign says which name each device gets, and which ports no device fits. The first
// device that fits a port is it.
func assign(board *boards.Board, devices []boards.Device) (names map[string]string, missing []boards.Port) {
	names = map[string]string{}
	for _, p := range board.Ports {
		i := slices.IndexFunc(devices, func(d boards.Device) bool {
			_, taken := names[d.Name]
			return !taken && p.Match.Fits(d)
		})
		if i < 0 {
			missing = append(missing, p)
			continue
		}
		names[devices[i].Name] = p.Name
	}
	return names, missing
}

// renames returns the steps that give the devices their names. Kernels count eth0 in the
// order of probing, so a name may be another's that has yet to go, or a stranger's: first
// everybody who is in the way of a name goes out of it.
func renames(devices []boards.Device, names map[string]string) []Step {
	wantedName := map[string]bool{}
	for _, to := range names {
		wantedName[to] = true
	}
	var down, away, final []Step
	for i, d := range devices {
		to, ours := names[d.Name]
		inTheWay := wantedName[d.Name] && to != d.Name
		if to == d.Name || !ours && !inTheWay {
			continue
		}
		if d.Up { // only a device that is down can be renamed
			down = append(down, Link{d.Name, false})
		}
		from := d.Name
		if inTheWay {
			from = fmt.Sprintf("other%d", i)
			away = append(away, Rename{d.Name, from})
		}
		if ours {
			final = append(final, Rename{from, to})
		}
	}
	return slices.Concat(down, away, final)
}

// Service is a program that init keeps running.
type Service struct {
	Name    string
	Args    []string // the program's path first
	Console bool     // its streams are the console, not the log
}

// String is the service as a line of a plan.
func (s Service) String() string {
	t := "service " + s.Name + ": " + strings.Join(s.Args, " ")
	if s.Console {
		t += " (on the console)"
	}
	return t
}

// Services returns what init keeps running. The switch comes first and ends last.
func Services(o Options) []Service {
	switchd := Service{Name: "switchd", Args: []string{Program, "switchd"}}
	if o.LogLevel != "" {
		switchd.Args = append(switchd.Args, "--log-level="+o.LogLevel)
	}
	if len(o.Remotes) > 0 {
		// --remote replaces the usual ones, so they are named too.
		for _, r := range append([]string{"punix:" + RunDir + "/db.sock", "db:Open_vSwitch,Open_vSwitch,manager_options"}, o.Remotes...) {
			switchd.Args = append(switchd.Args, "--remote="+r)
		}
	}
	out := []Service{switchd}
	if o.Agent != "" {
		out = append(out, Service{Name: "agent", Args: []string{Program, "agent", o.Agent}})
	}
	if o.Shell != "" {
		out = append(out, Service{Name: "shell", Args: []string{o.Shell}, Console: true})
	}
	return out
}

// Complete says whether each of the board's ports has a device.
func Complete(board *boards.Board, devices []boards.Device) bool {
	_, missing := assign(board, devices)
	return len(missing) == 0
}
