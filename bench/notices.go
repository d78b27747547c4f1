package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"sitegate/load"
)

// peer is a server that notices are measured beside.
type peer struct {
	name   string
	args   []string // of this program, which is started as it
	secure bool     // over TLS
	token  bool     // a client says who it is once it is connected
	begins string   // a frame that tells something
}

// peers are in the order in which they are measured. What gorilla/websocket takes by itself
// nothing that is made of it can do without.
var peers = []peer{
	{name: "centrifuge", args: []string{"centrifuge"}, token: true, begins: `{"push"`},
	{name: "gorilla", args: []string{"gorilla"}, begins: `{"type"`},
	{name: "gorilla", args: []string{"gorilla", "-tls"}, secure: true, begins: `{"type"`},
}

// peerBytes is what is said to a client of centrifuge, so that its frames are as long as
// those of ours, which name a product of 240 bytes twice.
const peerBytes = 640

// notices measures sitegate's notices and those of its peers in turn: the memory of
// idle websockets, a notice to one user while all are held, and one to all. At the end it
// says on stderr how many times as long as a peer's ours to all have taken.
func notices(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := flag.NewFlagSet("bench notices", flag.ContinueOnError)
	f.SetOutput(stderr)
	sitegate := f.String("sitegate", "../bin/sitegate", "the program, as make build makes it")
	clients, rounds := f.Int("clients", 10_000, "clients, each a user of their own"), f.Int("rounds", 3, "how often each is measured")
	span := f.Duration("time", 5*time.Second, "how long to tell single users something")
	rate := f.Float64("rate", 400, "notices to single users a second")
	if err := f.Parse(args); err != nil {
		return err
	}
	switch {
	case f.NArg() > 0:
		return fmt.Errorf("%q is too much: it takes flags only", f.Arg(0))
	case *clients < 1 || *clients > 18_000 || *rounds < 1 || *span <= 0 || *rate <= 0:
		return errors.New("-clients is 1 to 18,000, -rounds at least 1, -time and -rate more than nothing")
	}
	if _, err := exec.LookPath(*sitegate); err != nil {
		return fmt.Errorf("there is no program %s: make build makes it", *sitegate)
	}
	heard := map[string][]load.Line{} // by the name of the line
	say := func(l load.Line) error {
		heard[l.Name] = append(heard[l.Name], l)
		return l.Print(stdout, true)
	}
	for round := range *rounds {
		fmt.Fprintf(stderr, "round %d of %d\n", round+1, *rounds)
		cmd := exec.CommandContext(ctx, *sitegate, "bench", "notices", "--json", "--only", "idle-plain,one-user,fan-out,idle-tls,fan-out-tls",
			"--clients", strconv.Itoa(*clients), "--time", span.String(), "--rate", strconv.FormatFloat(*rate, 'f', -1, 64))
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		cmd.WaitDelay = 20 * time.Second
		cmd.Stderr = stderr
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("%s bench notices: %w", *sitegate, err)
		}
		if err := says(say, "sitegate", out); err != nil {
			return err
		}
		for _, p := range peers {
			dir, err := os.MkdirTemp("", "bench-")
			if err != nil {
				return fmt.Errorf("making a folder: %w", err)
			}
			err = p.notices(ctx, dir, say, *clients, *span, *rate)
			os.RemoveAll(dir)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	median := func(l load.Line) float64 { return l.P50 }
	for _, of := range [][2]string{{"fan-out", "centrifuge"}, {"fan-out", "gorilla"}, {"fan-out-tls", "gorilla"}} {
		tell(stderr, of[0]+", divided by that of "+of[1], heard["sitegate, "+of[0]], heard[of[1]+", "+of[0]], median)
	}
	return nil
}

// says tells the lines of one system under its name.
func says(say func(load.Line) error, name string, lines []byte) error {
	for text := range bytes.Lines(lines) {
		var l load.Line
		if err := json.Unmarshal(text, &l); err != nil {
			return fmt.Errorf("reading what %s says: %w", name, err)
		}
		l.Name = name + ", " + l.Name
		if err := say(l); err != nil {
			return err
		}
	}
	return nil
}

// audience is clients of a peer that hold a websocket each.
type audience struct {
	peer
	addr    string
	tls     *tls.Config
	server  *process
	http    *http.Client
	all     []*hearer
	readers sync.WaitGroup
	heard   atomic.Pointer[load.Times] // of notices to single users; nil: not counted
	missed  atomic.Uint64              // told to who had not read the last
}

type hearer struct {
	conn *websocket.Conn
	told atomic.Int64 // when something was said, Unix nanoseconds; 0: nothing it has not read
	got  chan struct{}
}

// notices measures a peer.
func (p peer) notices(ctx context.Context, dir string, say func(load.Line) error, clients int, span time.Duration, rate float64) error {
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	a := &audience{peer: p, addr: fmt.Sprintf("127.0.0.1:%d", ports[0]), tls: &tls.Config{InsecureSkipVerify: true}} // it makes its own certificate
	a.http = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64, TLSClientConfig: a.tls}}
	if a.server, err = startProcess(ctx, dir, self, append(p.args, "-listen", a.addr)...); err != nil {
		return err
	}
	defer a.close()
	if err := a.server.await(ctx, func() error { return a.post("/collect") }); err != nil {
		return err
	}
	print := func(name string, t *load.Times, took time.Duration, rss float64) error {
		l := load.LineOf(p.name+", "+name, t, took)
		l.Clients, l.RSS = clients, rss
		return say(l)
	}
	before, err := a.resident()
	if err != nil {
		return err
	}
	began := time.Now()
	connect, err := a.open(ctx, clients)
	if err != nil {
		return err
	}
	took := time.Since(began)
	after, err := a.resident()
	if err != nil {
		return err
	}
	idle, fanOut := "idle-plain", "fan-out"
	if p.secure {
		idle, fanOut = "idle-tls", "fan-out-tls"
	}
	if err := print(idle, connect, took, float64(after-before)/1024/float64(clients)); err != nil {
		return err
	}
	if !p.secure {
		one, took, err := a.oneUser(ctx, span, rate)
		if err != nil {
			return err
		}
		if err := print("one-user", one, took, 0); err != nil {
			return err
		}
	}
	worked, own := load.ProcessCPU(a.server.cmd.Process.Pid), load.ProcessCPU(os.Getpid())
	all, err := a.fanOut(ctx)
	if err != nil {
		return err
	}
	l := load.LineOf(p.name+", "+fanOut, all, 0)
	l.Clients = clients
	l.CPU = float64((load.ProcessCPU(a.server.cmd.Process.Pid) - worked).Microseconds()) / float64(all.Count()) / float64(clients)
	l.Driver = float64((load.ProcessCPU(os.Getpid()) - own).Microseconds()) / float64(all.Count()) / float64(clients)
	return say(l)
}

func (a *audience) post(path string) error {
	resp, err := a.http.Post(map[bool]string{false: "http://", true: "https://"}[a.secure]+a.addr+path, "", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s was answered %s", path, resp.Status)
	}
	return nil
}

func (a *audience) publish(channel string) error {
	return a.post("/publish?" + url.Values{"user": {channel}, "size": {strconv.Itoa(peerBytes)}}.Encode())
}

// resident is the memory of the server in bytes, after it has given back what it can.
func (a *audience) resident() (uint64, error) {
	for range 2 {
		if err := a.post("/collect"); err != nil {
			return 0, err
		}
	}
	return load.ProcessRSS(a.server.cmd.Process.Pid), nil
}

// open connects everybody, 64 at a time, and has each read from then on.
func (a *audience) open(ctx context.Context, n int) (*load.Times, error) {
	var times load.Times
	var failed atomic.Pointer[error]
	a.all = make([]*hearer, n)
	var group sync.WaitGroup
	const atOnce = 64
	for k := range atOnce {
		group.Go(func() {
			for i := k; i < n && failed.Load() == nil && ctx.Err() == nil; i += atOnce {
				began := time.Now()
				h, err := a.dial(ctx, i)
				if err != nil {
					err = fmt.Errorf("opening websocket %d: %w", i, err)
					failed.Store(&err)
					return
				}
				times.Add(time.Since(began))
				a.all[i] = h
				a.readers.Go(func() { a.follow(h) })
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	return &times, context.Cause(ctx)
}

func (a *audience) dial(ctx context.Context, i int) (*hearer, error) {
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%100))}}
	d := websocket.Dialer{NetDialContext: from.DialContext, HandshakeTimeout: 20 * time.Second, ReadBufferSize: 1024, WriteBufferSize: 256, TLSClientConfig: a.tls}
	conn, _, err := d.DialContext(ctx, map[bool]string{false: "ws://", true: "wss://"}[a.secure]+a.addr+"/connection/websocket?user=u-"+strconv.Itoa(i), nil)
	if err != nil {
		return nil, err
	}
	if !a.token {
		return &hearer{conn: conn, got: make(chan struct{}, 64)}, nil
	}
	err = conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"id":1,"connect":{"token":"u-%d"}}`, i))
	if err == nil {
		var answer []byte
		if _, answer, err = conn.ReadMessage(); err == nil && !bytes.Contains(answer, []byte(`"connect"`)) {
			err = fmt.Errorf("the greeting is %s", answer)
		}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &hearer{conn: conn, got: make(chan struct{}, 64)}, nil
}

// follow reads what comes, and answers pings, which are empty objects.
func (a *audience) follow(h *hearer) {
	for {
		_, r, err := h.conn.NextReader()
		if err != nil {
			return
		}
		head := make([]byte, len(a.begins))
		n, err := io.ReadFull(r, head)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			return
		}
		if string(head[:n]) != a.begins {
			if h.conn.WriteMessage(websocket.TextMessage, []byte("{}")) != nil {
				return
			}
			continue
		}
		times, told := a.heard.Load(), h.told.Swap(0)
		switch {
		case told != 0 && times != nil:
			times.Add(time.Duration(time.Now().UnixNano() - told))
		case times != nil:
			a.missed.Add(1)
		default:
			select {
			case h.got <- struct{}{}:
			default:
			}
		}
	}
}

// oneUser tells users something one by one, whether or not the last has heard it.
func (a *audience) oneUser(ctx context.Context, span time.Duration, rate float64) (*load.Times, time.Duration, error) {
	var times load.Times
	a.heard.Store(&times)
	defer a.heard.Store(nil)
	began := time.Now()
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	said := uint64(0)
	var group sync.WaitGroup
	var failed atomic.Pointer[error]
	for time.Since(began) < span {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, 0, context.Cause(ctx)
		}
		i := rand.IntN(len(a.all))
		said++
		group.Go(func() {
			a.all[i].told.Store(time.Now().UnixNano())
			if err := a.publish(fmt.Sprint("u-", i)); err != nil {
				failed.Store(&err)
			}
		})
	}
	group.Wait()
	took := time.Since(began)
	if err := failed.Load(); err != nil {
		return nil, 0, *err
	}
	err := a.server.await(ctx, func() error {
		if n := times.Count() + a.missed.Load(); n < said {
			return fmt.Errorf("%d of %d notices have been read", n, said)
		}
		return nil
	})
	return &times, took, err
}

// fanOut tells everybody something, ten times.
func (a *audience) fanOut(ctx context.Context) (*load.Times, error) {
	var times load.Times
	for range 10 {
		began := time.Now()
		if err := a.publish(everybody); err != nil {
			return nil, err
		}
		late := time.After(20 * time.Second)
		for _, h := range a.all {
			select {
			case <-h.got:
			case <-late:
				return nil, errors.New("a notice did not come within 20 s")
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		times.Add(time.Since(began))
	}
	return &times, nil
}

func (a *audience) close() {
	for _, h := range a.all {
		if h != nil {
			h.conn.Close()
		}
	}
	a.server.stop()
	a.readers.Wait()
}
