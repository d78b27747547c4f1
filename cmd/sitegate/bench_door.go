package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sitegate/endpoint"
	"sitegate/license"
	"sitegate/load"
	"sitegate/notice"
	"sitegate/upstream/egress"
)

const benchDoorHelp = `
Usage: sitegate bench door --listen ADDRESS --allow TARGET,…

Serves the forward proxy of a node alone: what bench tunnels measures. Names may lead
it to loopback, and an address may open as many tunnels as it likes. It is not for
sites.

Example:
  sitegate bench door --listen 127.0.0.1:9001 --allow localhost:9000
`

// benchDoorCommand is the proxy in a process of its own.
func benchDoorCommand(ctx context.Context, p *program, args []string) error {
	f := p.flags("bench door", benchDoorHelp)
	listen := f.String("listen", "127.0.0.1:0", "for clients")
	allow := f.StringSlice("allow", nil, "the targets, name:port")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	lines := newLogWriter(p.stderr)
	defer lines.close()
	log := slog.New(slog.NewTextHandler(lines, nil))
	out, err := egress.New(egress.Config{Direct: true, Logger: log})
	if err != nil {
		return err
	}
	node := &hubNode{state: license.NewState(), hub: notice.New(0, 0)}
	ep, err := endpoint.New(endpoint.Config{Gateway: node, Hub: node.hub, Logger: log})
	if err != nil {
		return err
	}
	loopback := &guestDialer{out: out, private: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, own: ownAddresses}
	tunnel, err := ep.Tunnel(endpoint.TunnelConfig{Dialer: loopback, Explain: blamed, Allow: *allow, Max: 100_000, PerClient: 100_000})
	if err != nil {
		return usagef("bench door: %w", err)
	}
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		return cannotListen("clients", "--listen", err)
	}
	room := newCrowd(log)
	room.pace = nil // one address is all there is
	d := newDoor("connect", room.limit(ln), tunnel, log)
	d.tunnel, d.server.MaxHeaderBytes = tunnel, tunnelHeaderBytes
	tunnel.Watch(d.server)
	tidy, stop := context.WithCancel(ctx)
	defer stop()
	go collect(tidy, func() bool { return false })
	return d.run(ctx)
}

// benchDoor is a proxy that is measured.
type benchDoor struct {
	name, addr string
	cmd        *exec.Cmd
	done       chan struct{}
	log        string
}

func (d *benchDoor) pid() int { return d.cmd.Process.Pid }

func (d *benchDoor) stop() {
	d.cmd.Process.Kill()
	<-d.done
}

// startDoor runs a proxy and waits until it answers.
func startDoor(ctx context.Context, name, addr, log string, cmd *exec.Cmd) (*benchDoor, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", name, err)
	}
	defer out.Close() // the child has its own
	d := &benchDoor{name: name, addr: addr, cmd: cmd, done: make(chan struct{}), log: log}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		cmd.Wait() // how it ended is in its log
		close(d.done)
	}()
	ctx, cancel := context.WithTimeout(ctx, benchStartIn)
	defer cancel()
	if err := until(ctx, func() error {
		select {
		case <-d.done:
			return errors.New(name + " has ended")
		default:
		}
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err
	}); err != nil {
		d.stop()
		b, _ := os.ReadFile(log)
		return nil, fmt.Errorf("%w; it wrote:\n%s", err, b[max(0, len(b)-4096):])
	}
	return d, nil
}

func startOwnDoor(ctx context.Context, dir string, far *farEnd) (*benchDoor, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	var d *benchDoor
	err = onFreePort(ctx, func(addr string) (err error) {
		d, err = startDoor(ctx, "sitegate", addr, filepath.Join(dir, "door.log"),
			exec.CommandContext(context.WithoutCancel(ctx), self, "bench", "door", "--listen", addr, "--allow", strings.Join(far.targets, ",")))
		return err
	})
	return d, err
}

// startSquid runs squid, set up for the same; nil: it is not here.
func startSquid(ctx context.Context, program, dir string) (*benchDoor, error) {
	if program == "" {
		return nil, nil
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, nil
	}
	if err := os.Chmod(dir, 0o755); err != nil { // it runs as a user of its own
		return nil, err
	}
	home := filepath.Join(dir, "squid")
	if err := errors.Join(os.Mkdir(home, 0o777), os.Chmod(home, 0o777)); err != nil {
		return nil, fmt.Errorf("making squid's folder: %w", err)
	}
	conf := []string{"visible_hostname bench", "hosts_file /etc/hosts", "pid_filename none", "cache_log " + home + "/cache.log",
		"access_log stdio:" + home + "/access.log", "cache deny all", "cache_mem 8 MB", "coredump_dir " + home, "shutdown_lifetime 0 seconds", "max_filedescriptors 65536",
		"http_access allow all", "read_timeout 15 minutes"}
	file := filepath.Join(dir, "squid.conf")
	var d *benchDoor
	err = onFreePort(ctx, func(addr string) (err error) {
		if err := os.WriteFile(file, []byte("http_port "+addr+"\n"+strings.Join(conf, "\n")+"\n"), 0o644); err != nil {
			return fmt.Errorf("writing squid's configuration: %w", err)
		}
		d, err = startDoor(ctx, "squid", addr, filepath.Join(dir, "squid.log"), exec.CommandContext(context.WithoutCancel(ctx), path, "-N", "-n", fmt.Sprintf("sitegatebench%d", os.Getpid()), "-f", file))
		return err
	})
	return d, err
}

// open opens a tunnel to one of the targets, from one of some addresses of this machine, so
// that ports do not run out.
func (d *benchDoor) open(ctx context.Context, far *farEnd, n int) (*net.TCPConn, *bufio.Reader, error) {
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+n%100))}, Timeout: callPatience}
	c, err := from.DialContext(ctx, "tcp", d.addr)
	if err != nil {
		return nil, nil, err
	}
	target := far.targets[n%len(far.targets)]
	c.SetDeadline(time.Now().Add(callPatience))
	if _, err := fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target); err != nil {
		c.Close()
		return nil, nil, err
	}
	r := bufio.NewReaderSize(c, 2048)
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the proxy answers %s", resp.Status)
	}
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return c.(*net.TCPConn), r, nil
}

// fetch is one small thing through a tunnel of its own.
func (d *benchDoor) fetch(ctx context.Context, far *farEnd, caller int) error {
	c, r, err := d.open(ctx, far, caller)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.WriteString(c, farSmall); err != nil {
		return err
	}
	var answer [farBytes]byte
	_, err = io.ReadFull(r, answer[:])
	return err
}

// pour has so many tunnels carry as much as they can for a time.
func (d *benchDoor) pour(ctx context.Context, far *farEnd, streams int, long time.Duration) (total int64, err error) {
	type result struct {
		n   int64
		err error
	}
	results := make(chan result, streams)
	for i := range streams {
		go func() {
			c, r, err := d.open(ctx, far, i)
			if err != nil {
				results <- result{0, err}
				return
			}
			defer c.Close()
			if _, err := io.WriteString(c, farPour); err != nil {
				results <- result{0, err}
				return
			}
			c.SetDeadline(time.Now().Add(long))
			early, _ := r.Discard(r.Buffered())
			n, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{c}, make([]byte, 256<<10))
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = nil
			}
			results <- result{n + int64(early), err}
		}()
	}
	for range streams {
		r := <-results
		total += r.n
		err = errors.Join(err, r.err)
	}
	return total, err
}

// hold opens so many tunnels, waits until they have settled, and tells the memory of the
// proxy before and then, in MB.
func (d *benchDoor) hold(ctx context.Context, far *farEnd, n int) (mb [2]float64, err error) {
	resident := func() float64 { return float64(load.ProcessRSS(d.pid())) / 1e6 }
	if err := d.fetch(ctx, far, 0); err != nil { // it has done it once
		return mb, err
	}
	mb[0] = resident()
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for i := range n {
		c, _, err := d.open(ctx, far, i)
		if err != nil {
			return mb, fmt.Errorf("tunnel %d: %w", i+1, err)
		}
		conns = append(conns, c)
	}
	select {
	case <-time.After(3 * time.Second):
	case <-ctx.Done():
		return mb, interrupted(ctx)
	}
	mb[1] = resident()
	return mb, nil
}
