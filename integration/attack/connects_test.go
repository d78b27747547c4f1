package attack

import (
	"errors"
	"flag"
	"io"
	"net"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sitegate/emulator"
	"sitegate/integration"
)

var connects = flag.Int("connects", 6000, "how many connections one address makes in TestOneAddressConnectsWithoutEnd")

// What a node lets in of one address, as cmd/sitegate has it, for each of up to four cores.
const (
	fromOne      = 125 // a second
	fromOneBurst = 1000
)

// TestOneAddressConnectsWithoutEnd: what comes from it faster than a node lets in is closed
// before anything is computed for it, the node takes no more memory for that, and whoever
// comes from elsewhere is served meanwhile. The rest is as it is with all that say nothing
// after they have connected. They are kept open, so that none is taken for junk.
func TestOneAddressConnectsWithoutEnd(t *testing.T) {
	s := integration.NewSiteWithoutLinks(t, 1, users)
	n := s.Nodes[0]
	to := strings.TrimPrefix(n.URL, "https://")
	honest(t, s, n)
	colleague := s.Client(t, user(t, s), "COLLEAGUE", 0)
	before := metric(t, s, n, `process_resident_memory_bytes`)
	var left atomic.Int64
	left.Store(int64(*connects))
	begun := time.Now()
	var flood sync.WaitGroup
	const atOnce, hold = 16, 400
	var all [atOnce][hold]net.Conn // the last ones
	defer func() {
		for _, open := range all {
			for _, c := range open {
				if c != nil {
					c.Close()
				}
			}
		}
	}()
	for at := range all {
		flood.Go(func() {
			d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: address(t)}}
			open := &all[at]
			for i := 0; left.Add(-1) >= 0; i++ {
				c, err := d.Dial("tcp", to)
				if errors.Is(err, syscall.ECONNRESET) {
					continue // it was closed already
				}
				if err != nil {
					t.Errorf("connecting: %v", err)
					return
				}
				if old := open[i%hold]; old != nil {
					old.(*net.TCPConn).SetLinger(0) // its port is free at once
					old.Close()
				}
				open[i%hold] = c
			}
		})
	}
	served, over := 0, make(chan struct{})
	go func() { flood.Wait(); close(over) }()
	now := time.NewTicker(250 * time.Millisecond)
	defer now.Stop()
	for done := false; !done; served++ {
		session, err := colleague.Start(t.Context(), emulator.ProductCapped)
		if err == nil {
			err = session.Stop(t.Context())
		}
		if err != nil {
			t.Errorf("an honest start and stop meanwhile: got %v, want it served", err)
		}
		select {
		case <-over:
			done = true
		case <-now.C:
		}
	}
	// Whatever was not let in was closed for one of these reasons.
	closed := closedFor(t, s, n, "too-often") // by a connection of its own, which comes after all others
	flooded := time.Since(begun)
	otherwise := closedFor(t, s, n, "junk") + closedFor(t, s, n, "too-many")
	admitted := float64(min(runtime.NumCPU(), 4)) * (fromOneBurst + fromOne*flooded.Seconds())
	least := float64(*connects) - admitted - otherwise
	if least > 0 && closed < least {
		t.Errorf("of %d connections in %v %.0f were closed as too often, want %.0f at least", *connects, flooded, closed, least)
	}
	const most = 60 << 20 // each that was let in costs some 5 kB until it has asked for something
	after := metric(t, s, n, `process_resident_memory_bytes`)
	if after > before+most {
		t.Errorf("the node has %.0f MB, and had %.0f before: want at most %d more", after/(1<<20), before/(1<<20), most>>20)
	}
	t.Logf("%d connections from one address in %v; %.0f of them closed as too often (%.0f at least), and %.0f else; %d honest starts and stops meanwhile; the node has %.0f MB, and had %.0f",
		*connects, flooded.Round(time.Millisecond), closed, least, otherwise, served, after/(1<<20), before/(1<<20))
	if least <= 0 {
		t.Skipf("in %v a node lets that many in: nothing had to be closed; more are made with -connects", flooded)
	}
}

// closedFor is how many connections a node has closed at once, for a reason.
func closedFor(t *testing.T, s *integration.Site, n *integration.Node, why string) float64 {
	t.Helper()
	return metric(t, s, n, `sitegate_connections_closed_total{why="`+why+`"}`)
}

// metric is what a node serves under a name.
func metric(t *testing.T, s *integration.Site, n *integration.Node, name string) float64 {
	t.Helper()
	resp, err := s.HTTP().Get(n.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("/metrics has no %s", name)
	}
	v, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
