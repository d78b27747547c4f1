package upstream

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// siteHold is what user i of a large site holds.
func siteHold(i int) license.CloudHold {
	u := license.UserID(fmt.Sprint("u", i))
	return license.CloudHold{Key: string(u), Ref: license.ID{1, byte(i), byte(i >> 8), byte(i >> 16), 1}, User: u, Product: "p", License: "L" + license.LicenseID(u),
		Machine: license.Machine{ID: fmt.Sprint("m", i)}}
}

// A site of 100,000 at eight o'clock, all of whom start within the hour, while others
// stop; its full list, its feed, its usage and its probes go to the same cloud, which
// takes 60 requests in 30 s of a site, and never has to say that these were too many.
func TestASiteOfAHundredThousandStaysInsideTheVendorsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			users    = 100_000
			second   = users / 3600 // starts, and half as many stops
			during   = 90 * time.Second
			there    = users / 2 // hold something already
			patience = 5 * time.Second
		)
		first, cloud, _ := newInside(t, "right")
		defer first.Close()
		cloud.MaxRequests = 60
		crowded(cloud, users)
		c := limited(t, first, 60)
		defer c.Close()
		inner := c.http.Transport
		var sent, tooMany atomic.Int64
		c.http.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			resp, err := inner.RoundTrip(r)
			sent.Add(1)
			if err != nil {
				return nil, err
			}
			if resp.StatusCode == http.StatusTooManyRequests {
				tooMany.Add(1)
			}
			return resp, nil
		})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		time.AfterFunc(during, stop)
		var order, agreed, failed atomic.Int64
		var worst time.Duration
		var mu sync.Mutex // guards worst
		fence := func() license.Fence { return license.Fence{Epoch: 1, Term: 1, Order: uint64(order.Add(1))} }
		var list []license.CloudHold
		for i := range there {
			list = append(list, siteHold(i))
		}
		var all sync.WaitGroup
		errand := func(every time.Duration, what string, do func() error) {
			all.Go(func() {
				for ctx.Err() == nil {
					if err := do(); err != nil && ctx.Err() == nil {
						t.Errorf("%s: %v", what, err)
					}
					select {
					case <-time.After(every):
					case <-ctx.Done():
					}
				}
			})
		}
		cursor := cloud.Cursor()
		errand(0, "the feed", func() error {
			page, err := c.Changes(ctx, cursor, 25*time.Second)
			if err == nil {
				cursor = page.Cursor
			}
			return err
		})
		errand(time.Minute, "the full list", func() error { _, err := c.RenewHolds(ctx, fence(), list); return err })
		errand(10*time.Second, "a probe", func() error { return c.Ping(ctx) })
		posted := 0
		errand(500*time.Millisecond, "usage", func() error {
			var usage []license.Usage
			for range second {
				posted++
				usage = append(usage, license.Usage{Record: fmt.Sprint("r", posted), Seq: uint64(posted), User: "u1", Product: "p", License: "Lu1",
					Started: license.TimeOf(time.Now().Add(-time.Hour)), Ended: license.TimeOf(time.Now())})
			}
			_, err := c.SendUsage(ctx, fmt.Sprint("k", posted), usage)
			return err
		})
		for n := range second * int(during/time.Second) {
			all.Go(func() {
				time.Sleep(time.Duration(n) * time.Second / second)
				ask, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				begun := time.Now()
				d, err := c.Hold(ask, fence(), siteHold(there+n))
				took := time.Since(begun)
				mu.Lock()
				worst = max(worst, took)
				mu.Unlock()
				if d != nil || err != nil {
					failed.Add(1)
				} else {
					agreed.Add(1)
				}
				if n%2 == 0 {
					if err := c.Release(ask, fence(), siteHold(n)); err != nil {
						failed.Add(1)
					}
				}
			})
		}
		all.Wait()
		if failed.Load() > 0 || worst > patience {
			t.Errorf("%d starts were agreed to and %d starts or stops not heard; the slowest start took %v", agreed.Load(), failed.Load(), worst)
		}
		if tooMany.Load() > 0 {
			t.Errorf("%d of %d requests were too many for the cloud", tooMany.Load(), sent.Load())
		}
		if most := int64(60 * (during/(30*time.Second) + 1)); sent.Load() > most {
			t.Errorf("it took %d requests in %v, want %d at the most", sent.Load(), during, most)
		}
		t.Logf("%d starts in %v took %d requests of all kinds, the slowest %v (%d batches)", agreed.Load(), during, sent.Load(), worst, cloud.Requests(cloudapi.PathHoldsBatch))
	})
}
