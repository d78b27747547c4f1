package main

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// jury is wary of one address, and notes what it is told.
type jury struct {
	wary netip.Addr

	mu         sync.Mutex
	mute, idle []string
}

func (j *jury) Wary(a netip.Addr) bool { return a == j.wary }
func (j *jury) Mute(a netip.Addr) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.mute = append(j.mute, a.String())
}
func (j *jury) Idle(a netip.Addr) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.idle = append(j.idle, a.String())
}

// Who is suspected is let in slowly and hung up on beyond it; who asks for nothing is told
// of; who asks is not; and of one network only so many are silent at once.
func TestSilentConnectionsAreJudged(t *testing.T) {
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	j := &jury{wary: netip.MustParseAddr("127.2.0.9")}
	room := &crowd{max: 100, each: 100, log: slog.New(slog.DiscardHandler), from: map[netip.Prefix]int{},
		suspects: &pace{each: Pace{PerSecond: 1e-6, Burst: 1}, from: map[netip.Prefix]*visits{}}}
	ln := room.judged(raw, j)
	ln.(*limitedListener).queue.silent = 2
	queue := ln.(*limitedListener).queue
	srv := &http.Server{ConnState: hear, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })}
	served := make(chan struct{})
	go func() { defer close(served); srv.Serve(ln) }()
	defer func() { srv.Close(); <-served }()
	dial := func(from string) net.Conn {
		t.Helper()
		c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: time.Minute}).Dial("tcp", raw.Addr().String())
		if errors.Is(err, syscall.ECONNRESET) {
			return nil // it was hung up on already
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(time.Minute))
		return c
	}
	asks := func(c net.Conn) bool {
		if c == nil {
			return false
		}
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		b := make([]byte, 12)
		_, err := io.ReadFull(c, b)
		return err == nil && string(b) == "HTTP/1.1 200"
	}
	if !asks(dial("127.2.0.9")) {
		t.Error("the first of a suspected network was hung up on")
	}
	if asks(dial("127.2.0.10")) != true || asks(dial("127.2.0.9")) {
		t.Error("want another of its network served, and the suspect hung up on")
	}

	silent := []net.Conn{dial("127.3.0.1"), dial("127.3.0.2")}
	eventually(t, "two are silent", func() bool { return queue.silentOf("127.3.0.0/24") == 2 })
	third := dial("127.3.0.3")
	if !asks(dial("127.4.0.1")) {
		t.Error("another network waits for those that say nothing")
	}
	if !asks(silent[0]) || !asks(third) {
		t.Error("one has asked: want it and the next one served")
	}
	silent[1].Close()
	eventually(t, "who hung up is told of", func() bool {
		j.mu.Lock()
		defer j.mu.Unlock()
		return slices.Equal(j.idle, []string{"127.3.0.2"}) && len(j.mute) == 0
	})
	old := &watched{from: j.wary, since: time.Now().Add(-headerTime), judges: j, queue: queue}
	old.closed()
	old.closed()
	if !slices.Equal(j.mute, []string{"127.2.0.9"}) {
		t.Errorf("mute are %v, want the one whose time was up, once", j.mute)
	}
}

// silentOf is how many of a network are inside and silent.
func (q *queue) silentOf(network string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l := q.of[netip.MustParsePrefix(network)]; l != nil {
		return l.silent
	}
	return 0
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not come about within a minute: %s", what)
		}
	}
}
