package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// process is a peer's server.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// startProcess starts a program that writes to a file in dir.
func startProcess(ctx context.Context, dir, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, name, args...), log: filepath.Join(dir, filepath.Base(name)+".log"), done: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		p.cmd.Wait() // how it ended is in its log
		close(p.done)
	}()
	return p, nil
}

// stop asks it to end, and waits for it.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		p.cmd.Process.Kill()
		<-p.done
	}
}

// await tries until it comes out well, the process ends, or half a minute is over.
func (p *process) await(ctx context.Context, try func() error) error {
	limit := time.After(30 * time.Second)
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			said, _ := os.ReadFile(p.log)
			return fmt.Errorf("it has ended: %s", said[max(0, len(said)-2000):])
		case <-limit:
			return fmt.Errorf("it does not answer: %w", err)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// freePorts finds ports of loopback that nothing listens on, and that no outgoing
// connection is given.
func freePorts(n int) ([]int, error) {
	var ports []int
	for tries := 0; len(ports) < n; tries++ {
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(10000+rand.IntN(22000))))
		if err != nil && tries >= 1000 {
			return nil, fmt.Errorf("looking for a free port: %w", err)
		}
		if err == nil {
			defer ln.Close() // all at once, so that none comes twice
			ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
		}
	}
	return ports, nil
}
