package main

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestACrowdIsBounded: what is too many, of one address or of all, is closed at
// once; who leaves makes room.
func TestACrowdIsBounded(t *testing.T) {
	var said bytes.Buffer
	c := &crowd{max: 3, each: 2, log: slog.New(slog.NewTextHandler(&said, nil)), from: map[netip.Prefix]int{}}
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := c.limit(raw)
	accepted := make(chan net.Conn, 10)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	defer func() { ln.Close(); <-ended }()

	dial := func(from string) net.Conn {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
		conn, err := d.Dial("tcp", raw.Addr().String())
		if err != nil {
			t.Skipf("this machine has no %s: %v", from, err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	in := func(from string) net.Conn {
		t.Helper()
		dial(from)
		select {
		case conn := <-accepted:
			t.Cleanup(func() { conn.Close() })
			return conn
		case <-time.After(5 * time.Second):
			t.Fatalf("one from %s was not let in", from)
			return nil
		}
	}
	out := func(from string) {
		t.Helper()
		conn := dial(from)
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := conn.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("one too many from %s: got %v, want it closed", from, err)
		}
	}
	first := in("127.0.0.1")
	in("127.0.0.1")
	out("127.0.0.1")
	in("127.0.0.2")
	out("127.0.0.3")
	if _, ok := first.(interface {
		io.ReaderFrom
		CloseWrite() error
	}); !ok {
		t.Errorf("got a %T, want one that can be spliced and closed on one side", first)
	}
	first.Close()
	first.Close() // leaves once
	in("127.0.0.3")
	out("127.0.0.2")
	if got := strings.Count(said.String(), "too many connections"); got != 1 {
		t.Errorf("got %d lines, want one a minute:\n%s", got, &said)
	}
}

// Behind one address can be a whole building: that some of it is turned away is said once
// a minute, and counted.
func TestThatOneAddressComesTooOftenIsSaid(t *testing.T) {
	var said bytes.Buffer
	c := &crowd{max: 10, each: 10, log: slog.New(slog.NewTextHandler(&said, nil)), from: map[netip.Prefix]int{},
		pace: &pace{each: Pace{PerSecond: 1e-6, Burst: 1}, from: map[netip.Prefix]*visits{}}}
	registry := prometheus.NewRegistry()
	c.measure(registry)
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := c.limit(raw)
	in, ended := make(chan net.Conn, 10), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			in <- conn
		}
	}()
	const turnedAway = 3
	for i := range 1 + turnedAway {
		conn, err := net.Dial("tcp", raw.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i == 0 {
			defer (<-in).Close()
			continue
		}
		conn.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := conn.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
			t.Fatalf("one too many: got %v, want it closed", err)
		}
	}
	ln.Close()
	<-ended
	if got := strings.Count(said.String(), "connects too often"); got != 1 || !strings.Contains(said.String(), "from=127.0.0.1") {
		t.Errorf("got %d lines, want one a minute, with the address:\n%s", got, &said)
	}
	families, err := registry.Gather()
	if err != nil || len(families) != 1 {
		t.Fatalf("got %d metrics, %v; want one", len(families), err)
	}
	for _, m := range families[0].Metric {
		want := map[string]float64{"too-many": 0, "too-often": turnedAway}[m.Label[0].GetValue()]
		if got := m.Counter.GetValue(); got != want {
			t.Errorf("%s of %s: got %v, want %v", families[0].GetName(), m.Label[0].GetValue(), got, want)
		}
	}
}

func TestWhatTheServerSays(t *testing.T) {
	var said bytes.Buffer
	s := serverLog{slog.New(slog.NewTextHandler(&said, nil)), "api"}
	io.WriteString(s, "http: TLS handshake error from 10.0.0.9:40000: EOF\n")
	if said.Len() != 0 {
		t.Errorf("got %q, want nothing about what anybody can cause", &said)
	}
	io.WriteString(s, "http: Accept error: accept tcp: too many open files; retrying in 5ms\n")
	if got := said.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "door=api") || !strings.Contains(got, "too many open files") {
		t.Errorf("got %q, want a warning", got)
	}
}
