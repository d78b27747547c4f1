package attack

import (
	"errors"
	"flag"
	"fmt"
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
// after they have connected.
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
	const atOnce, hold = 16, 50
	for range atOnce {
		flood.Go(func() {
			d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: address(t)}}
			var open [hold]net.Conn
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
			for _, c := range open {
				if c != nil {
					c.Close()
				}
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
	flooded := time.Since(begun)
	cores := min(runtime.NumCPU(), 4)
	integration.Eventually(t, patience, "what came too often is closed", func() error {
		closed := shut(t, s, n)
		admitted := float64(cores) * (fromOneBurst + fromOne*time.Since(begun).Seconds())
		if least := float64(*connects) - admitted; closed < least {
			return fmt.Errorf("of %d connections %v were closed, want %v at least", *connects, closed, least)
		}
		return nil
	})
	const most = 250 << 20 // each that is held costs some 30 kB: 100,000 would be 3 GB
	after := metric(t, s, n, `process_resident_memory_bytes`)
	if after > before+most {
		t.Errorf("the node has %.0f MB, and had %.0f before: want at most %d more", after/(1<<20), before/(1<<20), most>>20)
	}
	t.Logf("%d connections from one address in %v; %.0f of them closed at once; %d honest starts and stops meanwhile; the node has %.0f MB, and had %.0f",
		*connects, flooded.Round(time.Millisecond), shut(t, s, n), served, after/(1<<20), before/(1<<20))
}

// shut is how many connections a node has closed at once: they came too often, or their
// network has said nothing but junk before.
func shut(t *testing.T, s *integration.Site, n *integration.Node) (all float64) {
	t.Helper()
	for _, why := range []string{"too-often", "junk", "too-many"} {
		all += metric(t, s, n, `sitegate_connections_closed_total{why="`+why+`"}`)
	}
	return all
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
