package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sitegate/api"
)

const benchJunkHelp = `
Usage: sitegate bench junk --to HOST:PORT [--from N] [--time D] < TOKEN

Floods a node of bench flood, from addresses 127.0.1.x of this machine and as fast as
it can: forged tokens, bad paths, wrong passwords, half-open handshakes. TOKEN is a good one,
which it puts another signature under, so that the node has to look at that. It says what
it has sent and what it was told. It is not for sites.

Example:
  sitegate bench junk --to 127.0.0.1:8443 --from 200 --time 1m < token
`

// junk is a flood.
type junk struct {
	to                    string
	hello                 []byte // what a TLS client says first
	requests              [3]string
	dialled, halves, shut atomic.Uint64
	sent, refused, told   atomic.Uint64
}

// junkDone is what a flood has done: connections that were made, half-open handshakes among
// them, and those that were closed before a handshake; requests that were sent, and of their
// answers those that say to come later.
type junkDone struct {
	Connections uint64 `json:"connections"`
	Halves      uint64 `json:"half_open"`
	Shut        uint64 `json:"shut"`
	Requests    uint64 `json:"requests"`
	Refused     uint64 `json:"too_many"`
	Answered    uint64 `json:"answered"`
}

func (d junkDone) counts() map[string]uint64 {
	return map[string]uint64{"connections": d.Connections, "half_open": d.Halves, "shut": d.Shut, "requests": d.Requests, "too_many": d.Refused, "answered": d.Answered}
}

func benchJunk(ctx context.Context, p *program, args []string) error {
	f := p.flags("bench junk", benchJunkHelp)
	j := &junk{}
	var from int
	var long time.Duration
	f.StringVar(&j.to, "to", "", "the node: host:port")
	f.IntVar(&from, "from", 200, "addresses to come from")
	f.DurationVar(&long, "time", time.Minute, "for how long")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	if j.to == "" || from < 1 || from > 250 {
		return usagef("bench junk: --to is needed, and --from is 1 to 250; see sitegate bench junk --help")
	}
	var err error
	if j.hello, err = clientHello(); err != nil {
		return err
	}
	token, err := forged(p.stdin)
	if err != nil {
		return err
	}
	form := "name=admin&password=correct+horse+battery+staple"
	j.requests = [3]string{
		"GET " + api.PathMe + " HTTP/1.1\r\nHost: " + j.to + "\r\nAuthorization: Bearer " + token + "\r\n\r\n",
		"GET /wp-admin/../index.php?x=%00 HTTP/1.1\r\nHost: " + j.to + "\r\n\r\n",
		fmt.Sprintf("POST /console/sign-in HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", j.to, len(form), form),
	}
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	var all sync.WaitGroup
	for i := range from {
		d := &net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(i+1))}}
		all.Go(func() { j.half(ctx, d) })
		for _, r := range j.requests {
			all.Go(func() { j.ask(ctx, d, r) })
		}
	}
	all.Wait()
	return json.NewEncoder(p.stdout).Encode(junkDone{j.dialled.Load(), j.halves.Load(), j.shut.Load(), j.sent.Load(), j.refused.Load(), j.told.Load()})
}

// forged is a token with another signature than its own.
func forged(from io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(from, 64<<10))
	if err != nil {
		return "", fmt.Errorf("reading a token: %w", err)
	}
	i := strings.LastIndexByte(string(b), '.')
	if i < 0 || strings.ContainsAny(strings.TrimSpace(string(b)), " \r\n") {
		return "", usagef("bench junk: a good token is to be on stdin; see sitegate bench junk --help")
	}
	signature := make([]byte, 64)
	rand.Read(signature)               // it never fails
	signature[0], signature[32] = 1, 1 // within the curve's order, so that it is computed
	return string(b[:i+1]) + base64.RawURLEncoding.EncodeToString(signature), nil
}

// clientHello is the first thing that a TLS client says.
func clientHello() ([]byte, error) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	go tls.Client(client, &tls.Config{InsecureSkipVerify: true}).Handshake() // it hears no answer
	head := make([]byte, 5)
	if _, err := io.ReadFull(server, head); err != nil {
		return nil, fmt.Errorf("making a hello: %w", err)
	}
	rest := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(server, rest); err != nil {
		return nil, fmt.Errorf("making a hello: %w", err)
	}
	return append(head, rest...), nil
}

// halvesEach is how many half-open handshakes an address holds.
const halvesEach = 25

// half begins handshakes and leaves them.
func (j *junk) half(ctx context.Context, d *net.Dialer) {
	var open [halvesEach]net.Conn
	for i := 0; ctx.Err() == nil; i++ {
		conn, err := d.DialContext(ctx, "tcp", j.to)
		if err != nil {
			continue
		}
		j.dialled.Add(1)
		if _, err := conn.Write(j.hello); err == nil {
			j.halves.Add(1)
		}
		if old := open[i%halvesEach]; old != nil {
			hangUp(old)
		}
		open[i%halvesEach] = conn
	}
	for _, c := range open {
		if c != nil {
			hangUp(c)
		}
	}
}

// hangUp closes a connection so that its port is free at once.
func hangUp(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}

// ask sends one request again and again, on one connection for as long as it is there.
func (j *junk) ask(ctx context.Context, d *net.Dialer, request string) {
	for ctx.Err() == nil {
		raw, err := d.DialContext(ctx, "tcp", j.to)
		if err != nil {
			continue
		}
		j.dialled.Add(1)
		conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
		stop := context.AfterFunc(ctx, func() { raw.Close() })
		raw.SetDeadline(time.Now().Add(30 * time.Second))
		if conn.HandshakeContext(ctx) != nil {
			j.shut.Add(1)
		} else {
			j.talk(conn, request)
		}
		stop()
		hangUp(raw)
	}
}

func (j *junk) talk(conn net.Conn, request string) {
	r := bufio.NewReader(conn)
	for {
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.WriteString(conn, request); err != nil {
			return
		}
		j.sent.Add(1)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return
		}
		j.told.Add(1)
		if resp.StatusCode == http.StatusTooManyRequests {
			j.refused.Add(1)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || resp.Close {
			return
		}
	}
}
