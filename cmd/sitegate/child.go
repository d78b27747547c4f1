package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"sitegate/api"
	"sitegate/configs"
)

// childNode is a node in a process of its own: a child that runs this same
// program.
type childNode struct {
	name   string
	config configs.Config
	log    string   // file
	ip     string   // by which a link between nodes knows it; empty: there is none
	env    []string // of its own
	cmd    *exec.Cmd
	done   chan struct{}
}

// outliveReaders has this process end its children in good order where whoever reads
// its output is gone: else its next line would end it at once, and not them.
func outliveReaders() { signal.Ignore(syscall.SIGPIPE) }

// again is this same program with other arguments, to be started as a child.
func again(ctx context.Context, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.WaitDelay = 10 * time.Second
	return cmd, nil
}

// freePorts finds addresses that nothing listens on. Their ports are none of those that
// systems take for outgoing connections (from 32768 on, or 49152): one of these could have
// it while the node that it is for is being started again.
func freePorts(n int) ([]string, error) {
	var addrs []string
	for tries := 0; len(addrs) < n; tries++ {
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(10000+rand.IntN(22000))))
		if err != nil && tries >= 1000 {
			return nil, fmt.Errorf("looking for a free port: %w", err)
		}
		if err == nil {
			defer ln.Close() // all at once at the end, so that none comes twice
			addrs = append(addrs, ln.Addr().String())
		}
	}
	return addrs, nil
}

// onFreePort starts what listens on a port of its own; a few times, where somebody else may
// have taken the port meanwhile.
func onFreePort(ctx context.Context, start func(addr string) error) error {
	for tries := 3; ; tries-- {
		ports, err := freePorts(1)
		if err != nil {
			return err
		}
		if err := start(ports[0]); err == nil || tries == 1 || ctx.Err() != nil {
			return err
		}
	}
}

func (n *childNode) start(ctx context.Context) error {
	out, err := os.OpenFile(n.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", n.name, err)
	}
	defer out.Close() // the child has its own
	if n.cmd, err = again(ctx, "serve", "--config", filepath.Join(filepath.Dir(n.config.DataDir), "sitegate.yaml")); err != nil {
		return err
	}
	n.cmd.Stdout, n.cmd.Stderr = out, out
	n.cmd.Env = append(os.Environ(), n.env...)
	n.cmd.Cancel = func() error { return n.cmd.Process.Signal(os.Interrupt) }
	if err := n.cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", n.name, err)
	}
	n.done = make(chan struct{})
	go func() {
		n.cmd.Wait() // how it ended is in its log, and seen by the steps
		close(n.done)
	}()
	return nil
}

// kill ends the node as a power cut would.
func (n *childNode) kill() {
	n.cmd.Process.Kill()
	<-n.done
}

// stop asks the node to end, and ends it if it does not.
func (n *childNode) stop() {
	n.cmd.Process.Signal(syscall.SIGTERM)
	n.resume() // it may be paused
	select {
	case <-n.done:
	case <-time.After(5 * time.Second):
		n.kill()
	}
}

// pause stops the process in its tracks until resume.
func (n *childNode) pause()  { n.cmd.Process.Signal(syscall.SIGSTOP) }
func (n *childNode) resume() { n.cmd.Process.Signal(syscall.SIGCONT) }

func (n *childNode) status(ctx context.Context) (api.Status, error) {
	var s api.Status
	select {
	case <-n.done:
		return s, fmt.Errorf("%s has ended; its log is %s", n.name, n.log)
	default:
	}
	return s, operator(ctx, n.config, http.MethodGet, api.PathStatus, nil, &s)
}

// leaderOf finds the node that leads, by the word of any that answers.
func leaderOf(ctx context.Context, nodes []*childNode) (*childNode, error) {
	var found *childNode
	err := until(ctx, func() error {
		for _, n := range nodes {
			seen, err := n.status(ctx)
			if err != nil {
				continue
			}
			for _, l := range nodes {
				if l.name == seen.Cluster.Leader {
					found = l
					return nil
				}
			}
		}
		return errors.New("no node knows a leader")
	})
	return found, err
}

// tail returns the end of a node's log, for when a step failed.
func (n *childNode) tail() string {
	f, err := os.Open(n.log)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	const last = 4 << 10
	if info, err := f.Stat(); err == nil && info.Size() > last {
		f.Seek(-last, io.SeekEnd)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
