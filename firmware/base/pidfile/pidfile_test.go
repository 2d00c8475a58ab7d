// SPDX-License-Identifier: Apache-2.0

package pidfile

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A lock is seen by other processes only, so the test runs itself as a holder.
func TestMain(m *testing.M) {
	if path := os.Getenv("PIDFILE_HOLD"); path != "" {
		f, err := Create(path)
		if err != nil {
			os.Stdout.WriteString("error " + err.Error() + "\n")
			os.Exit(1)
		}
		os.Stdout.WriteString("ok\n")
		bufio.NewReader(os.Stdin).ReadString('\n')
		if err := f.Close(); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// hold starts a process that holds the file; it returns what it said.
func hold(t *testing.T, path string) (cmd *exec.Cmd, said string, release func() error) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(exe)
	cmd.Env = append(os.Environ(), "PIDFILE_HOLD="+path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	said, _ = bufio.NewReader(out).ReadString('\n')
	return cmd, strings.TrimSpace(said), func() error { in.Close(); return cmd.Wait() }
}

func TestLifeAndDeath(t *testing.T) {
	path := Path(t.TempDir(), "ovs-vswitchd")
	if _, _, err := Read(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("read before: %v", err)
	}
	cmd, said, release := hold(t, path)
	if said != "ok" {
		t.Fatal(said)
	}
	pid, alive, err := Read(path)
	if err != nil || pid != cmd.Process.Pid || !alive {
		t.Errorf("read %d, %v, %v; want %d", pid, alive, err, cmd.Process.Pid)
	}
	if b, _ := os.ReadFile(path); string(b) != strconv.Itoa(pid)+"\n" {
		t.Errorf("contents %q", b)
	}
	_, said, _ = hold(t, path)
	if want := "error " + path + ": already running as pid " + strconv.Itoa(pid); said != want {
		t.Errorf("second one said %q, want %q", said, want)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	if names, _ := filepath.Glob(filepath.Dir(path) + "/*"); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}

	// Killed: the file stays, stale, and is taken over.
	cmd, _, _ = hold(t, path)
	cmd.Process.Kill()
	cmd.Wait()
	if pid, alive, err := Read(path); err != nil || alive || pid != cmd.Process.Pid {
		t.Errorf("stale: %d, %v, %v", pid, alive, err)
	}
	_, said, release = hold(t, path)
	if said != "ok" {
		t.Error(said)
	}
	// Somebody else's file under our name is not removed.
	os.Remove(path)
	os.WriteFile(path, []byte("1\n"), 0o600)
	if err := release(); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(path); string(b) != "1\n" {
		t.Errorf("another's file: %q, %v", b, err)
	}
}

func TestReadGarbage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pid")
	for _, s := range []string{"", "x\n", "-1\n", "0\n", strings.Repeat("9", 100)} {
		os.WriteFile(path, []byte(s), 0o600)
		if pid, _, err := Read(path); err == nil {
			t.Errorf("%q read as %d", s, pid)
		}
	}
}
