package integration

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"sitegate/emulator/proxy"
)

// greeter is a proxy behind which the sign-in says a word, and then says again what it
// is told.
func greeter(t *testing.T, word string) *proxy.Proxy {
	t.Helper()
	ln := listen(t)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.WriteString(c, word+"\n")
				io.Copy(c, c)
			}()
		}
	}()
	p := proxy.Start(listen(t), proxy.Config{Hosts: map[string]string{LoginHost + ":443": ln.Addr().String()}})
	t.Cleanup(func() { p.Close() })
	return p
}

// tunnelled is a tunnel through a node's door to the sign-in.
type tunnelled struct {
	c     net.Conn
	lines *bufio.Reader
}

func (x *tunnelled) line() (string, error) {
	x.c.SetDeadline(time.Now().Add(20 * time.Second))
	s, err := x.lines.ReadString('\n')
	return strings.TrimSpace(s), err
}

// knock asks a node's door for a tunnel to the sign-in, and reads the first line of what it says.
func (n *Node) knock(t *testing.T) (x *tunnelled, status string, err error) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(n.Door, "http://"))
	if err != nil {
		return nil, "", err
	}
	t.Cleanup(func() { c.Close() })
	x = &tunnelled{c, bufio.NewReader(c)}
	if _, err := fmt.Fprintf(c, "CONNECT %s:443 HTTP/1.1\r\nHost: %s\r\n\r\n", LoginHost, LoginHost); err != nil {
		return nil, "", err
	}
	status, err = x.line()
	return x, status, err
}

// tunnel opens one, and reads who greets.
func (n *Node) tunnel(t *testing.T) (x *tunnelled, greeting string, err error) {
	t.Helper()
	x, status, err := n.knock(t)
	if err != nil || !strings.Contains(status, " 200 ") {
		return nil, "", fmt.Errorf("the door says %q, %w", status, err)
	}
	if _, err := x.line(); err != nil {
		return nil, "", err
	}
	greeting, err = x.line()
	return x, greeting, err
}

// A running node takes another way out, by the operator's command and by SIGHUP, and a
// wrong one not at all; a tunnel that is open goes on through all of it.
func TestTheWayOutIsTakenAnew(t *testing.T) {
	t.Parallel()
	s := NewSite(t, 1, 5)
	n := s.Nodes[0]
	first, second := greeter(t, "first"), greeter(t, "second")
	reload := func() (int, string) {
		cmd := exec.Command(Program(t, "sitegate"), "reload", "--config", n.Config)
		out, _ := cmd.CombinedOutput()
		return cmd.ProcessState.ExitCode(), string(out)
	}
	by := func(want string) func() error {
		return func() error {
			x, greeting, err := n.tunnel(t)
			if err != nil || greeting != want {
				return fmt.Errorf("the sign-in says %q, %w", greeting, err)
			}
			return x.c.Close()
		}
	}

	edit(t, n.Config, s.Proxy.Addr(), first.Addr())
	if status, out := reload(); status != 0 || !strings.Contains(out, "has taken the way out anew: proxy proxy") {
		t.Fatalf("reload: status %d, %s", status, out)
	}
	old, greeting, err := n.tunnel(t)
	if err != nil || greeting != "first" {
		t.Fatalf("the sign-in says %q, %v, want it by the first proxy at once", greeting, err)
	}

	edit(t, n.Config, first.Addr(), second.Addr())
	if err := n.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	Eventually(t, time.Minute, "the sign-in is reached by the second proxy", by("second"))

	edit(t, n.Config, second.Addr(), "nowhere")
	if status, out := reload(); status != 64 || !strings.Contains(out, "egress.proxy.address") {
		t.Errorf("reload with a wrong address: status %d, %s", status, out)
	}
	if err := n.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	Eventually(t, time.Minute, "the log tells of the wrong configuration", func() error {
		if !strings.Contains(n.Output(), "the way out stays as it was") {
			return fmt.Errorf("it does not")
		}
		return nil
	})
	edit(t, n.Config, "nowhere", second.Addr())
	edit(t, n.Config, "proxy.password", "no.password")
	if status, out := reload(); status != 1 || !strings.Contains(out, "the node refused") || !strings.Contains(out, "no.password") || !strings.Contains(out, "stays as it was") {
		t.Errorf("reload without the password's file: status %d, %s", status, out)
	}
	if err := by("second")(); err != nil {
		t.Errorf("after a wrong configuration: %v, want the second proxy as before", err)
	}
	fmt.Fprintln(old.c, "still here")
	if got, err := old.line(); err != nil || got != "still here" {
		t.Errorf("the tunnel that was open gives %q, %v, want it to go on", got, err)
	}
}
