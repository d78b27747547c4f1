package console

import (
	"crypto/tls"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"sitegate/api"
	"sitegate/emulator"
	"sitegate/integration"
	"sitegate/load/desk"
)

var paintRows = flag.Int("paint", 0, "measure the first paint of Now with so many active rows")

// When a browser first shows something of the page Now, and that page's list, with many rows
// active: written into the log, for docs/performance.md. It fails by no time.
func TestFirstPaintOfNow(t *testing.T) {
	if *paintRows == 0 {
		t.Skip("it measures with -paint 100000")
	}
	needs(t, "chromium")
	const each, workers, views = 5, 32, 15 // each: sessions of one user, where the product is not capped
	s := integration.NewSiteWith(t, 1, *paintRows/2+100, "rules:\n  lease_ttl: 1h\n")
	n := s.Nodes[0]
	has := map[string]string{} // users who are there, and a product that they have a license of
	for _, u := range s.Cloud.Users() {
		if !u.Blocked {
			has[u.ID] = ""
		}
	}
	for _, l := range s.Cloud.Licenses() {
		if _, there := has[l.AssignedTo]; there && l.EndsAt.After(time.Now()) && (has[l.AssignedTo] == "" || l.ProductID == emulator.ProductUncapped) {
			has[l.AssignedTo] = l.ProductID
		}
	}
	maps.DeleteFunc(has, func(_, product string) bool { return product == "" })
	t.Logf("%d users with a license", len(has))

	began := time.Now()
	var started atomic.Int64
	var refused sync.Map
	work := make(chan desk.User)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			c := &desk.Conn{Addr: strings.TrimPrefix(n.URL, "https://"), TLS: &tls.Config{RootCAs: s.CA, MinVersion: tls.VersionTLS12}}
			defer c.Close()
			for u := range work {
				for i := range each {
					name := fmt.Sprintf("WS-%d-%d", started.Load(), i)
					if err := c.Start(u, desk.Machine{ID: desk.NewID(), Name: name}, desk.NewID()); err != nil {
						refused.Store(err.Error(), true)
						break
					}
					if started.Add(1) >= int64(*paintRows) {
						break
					}
				}
			}
		})
	}
	for user, product := range has {
		if started.Load() >= int64(*paintRows) {
			break
		}
		work <- desk.User{Token: s.Token(t, user), Product: product}
	}
	close(work)
	all.Wait()
	count := asks[api.Status](t, s, n, api.PathStatus).Counts.Sessions
	t.Logf("%d rows are active, begun in %v", count, time.Since(began).Round(time.Second))
	if count < *paintRows {
		refused.Range(func(why, _ any) bool { t.Log(why); return true })
		t.Fatalf("%d rows are active, want %d", count, *paintRows)
	}

	p := newChromium(t, "").page(t)
	p.must(chromedp.EmulateViewport(1280, 900))
	url := openDoor(t, n) + "/console/"
	var paints, answers []time.Duration
	for i := range views {
		p.went(url)
		var ms struct{ Paint, Answer float64 }
		integration.Eventually(t, patience, "something is painted", func() error {
			if err := p.eval(`(() => {
				const paint = performance.getEntriesByName("first-contentful-paint")[0], page = performance.getEntriesByType("navigation")[0];
				return {Paint: paint ? paint.startTime : 0, Answer: page.responseEnd};
			})()`, &ms); err != nil || ms.Paint == 0 {
				return fmt.Errorf("nothing is, %w", err)
			}
			return nil
		})
		took, answer := time.Duration(ms.Paint*float64(time.Millisecond)).Round(time.Millisecond), time.Duration(ms.Answer*float64(time.Millisecond)).Round(time.Millisecond)
		if i == 0 {
			t.Logf("the first view, which makes the node's list: painted after %v, answered after %v", took, answer)
			continue
		}
		paints, answers = append(paints, took), append(answers, answer)
	}
	slices.Sort(paints)
	slices.Sort(answers)
	t.Logf("%d more views: painted after %v (%v to %v), answered after %v (%v to %v)", views-1, paints[len(paints)/2], paints[0], paints[len(paints)-1], answers[len(answers)/2], answers[0], answers[len(answers)-1])
}
