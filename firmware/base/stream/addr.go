// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Default TCP ports (IANA; RFC 7047 section 6.1, OpenFlow 1.3.3 section 6.3).
const (
	OVSDBPort    = 6640
	OpenFlowPort = 6653
)

// DefaultDSCP is how stock marks its connections: CS6, network control (ovs-vswitchd.conf.db(5)).
const DefaultDSCP = 48

// ErrNoTLS: an ssl: or pssl: address was opened without a configuration.
var ErrNoTLS = errors.New("TLS not configured")

// Addr is a parsed connection name.
type Addr struct {
	Passive bool   // listen instead of connecting
	TLS     bool   // ssl: or pssl:
	Path    string // unix:, punix:; else empty
	Host    string // name or address without brackets; empty: all addresses
	Port    int    // 0..65535; 0 with Passive: the kernel chooses
	DSCP    uint8  // 0..63, marks packets over TCP (RFC 2474); not part of the name
}

// IsName says whether s starts with one of the schemes that [Parse] knows.
func IsName(s string) bool {
	scheme, _, ok := strings.Cut(s, ":")
	if !ok {
		return false
	}
	switch scheme {
	case "unix", "punix", "tcp", "ptcp", "ssl", "pssl":
		return true
	}
	return false
}

// Parse reads a connection name. A missing port is defaultPort.
func Parse(name string, defaultPort int) (Addr, error) {
	var a Addr
	scheme, rest, ok := strings.Cut(name, ":")
	if !ok || !IsName(name) {
		return a, fmt.Errorf("connection %q: want unix:, punix:, tcp:, ptcp:, ssl: or pssl:", name)
	}
	a.Passive = scheme[0] == 'p'
	a.TLS = strings.HasSuffix(scheme, "ssl")
	if strings.HasSuffix(scheme, "unix") {
		if rest == "" || strings.IndexByte(rest, 0) >= 0 {
			return a, fmt.Errorf("connection %q: no socket path", name)
		}
		a.Path = rest
		return a, nil
	}
	a.Port = defaultPort
	host, port, hasPort, err := cutHostPort(rest, a.Passive)
	if err == nil && hasPort {
		a.Port, err = parsePort(port, a.Passive)
	}
	if err == nil && host == "" && !a.Passive {
		err = errors.New("no host")
	}
	if err != nil {
		return a, fmt.Errorf("connection %q: %w", name, err)
	}
	a.Host = host
	return a, nil
}

// cutHostPort reads HOST[:PORT], or with passive [PORT][:HOST].
func cutHostPort(s string, passive bool) (host, port string, hasPort bool, err error) {
	if passive {
		port, host, _ = strings.Cut(s, ":")
		host, err = bareHost(host)
		return host, port, port != "", err
	}
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", "", false, errors.New("no closing bracket")
		}
		rest := s[end+1:]
		if rest != "" && rest[0] != ':' {
			return "", "", false, fmt.Errorf("unexpected %q after the bracket", rest)
		}
		host, err = bareHost(s[:end+1])
		port = strings.TrimPrefix(rest, ":")
		return host, port, port != "", err
	}
	host, port, _ = strings.Cut(s, ":")
	host, err = bareHost(host)
	return host, port, port != "", err
}

// bareHost takes the brackets off and checks an address that has them.
func bareHost(s string) (string, error) {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		s = s[1 : len(s)-1]
		a, err := netip.ParseAddr(s)
		if err != nil {
			return "", fmt.Errorf("address: %w", err)
		}
		if !a.Is6() {
			return "", fmt.Errorf("address %s: brackets are for IPv6", s)
		}
		return s, nil
	}
	if strings.ContainsAny(s, "[]:/ \t\n\x00") {
		return "", fmt.Errorf("bad host %q (IPv6 addresses stand in brackets)", s)
	}
	return s, nil
}

func parsePort(s string, zero bool) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 && !zero {
		return 0, fmt.Errorf("bad port %q", s)
	}
	return int(n), nil
}

// String returns the name, with the port always in it.
func (a Addr) String() string {
	p, scheme := "", "tcp"
	if a.Passive {
		p = "p"
	}
	if a.Path != "" {
		return p + "unix:" + a.Path
	}
	if a.TLS {
		scheme = "ssl"
	}
	host := a.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	port := strconv.Itoa(a.Port)
	switch {
	case !a.Passive:
		return scheme + ":" + host + ":" + port
	case host == "":
		return p + scheme + ":" + port
	}
	return p + scheme + ":" + port + ":" + host
}

func (a Addr) hostPort() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }
