package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/emulator"
	"sitegate/license"
	"sitegate/upstream/cloudapi"
	"sitegate/upstream/egress"
)

// crowded is a cloud whose users u0… have a license of a capped product each.
func crowded(cloud *emulator.Emulator, n int) {
	cloud.PutProduct(cloudapi.Product{ID: "p", Capped: cloudapi.CappedYes})
	for i := range n {
		u := fmt.Sprint("u", i)
		cloud.PutUser(cloudapi.User{ID: u, Country: "DE"})
		cloud.PutLicense(cloudapi.License{ID: "L" + u, ProductID: "p", Kind: cloudapi.LicenseVirtuoso, AssignedTo: u,
			StartsAt: time.Now().Add(-time.Hour), EndsAt: time.Now().AddDate(1, 0, 0)})
	}
}

func holdOf(i int, machine string) license.CloudHold {
	u := license.UserID(fmt.Sprint("u", i))
	return license.CloudHold{Key: string(u), Ref: license.ID{1, byte(i), byte(i >> 8), machine[0]}, User: u, Product: "p", License: "L" + license.LicenseID(u),
		Machine: license.Machine{ID: machine}}
}

// limited makes a client keep to so many requests in 30 s.
func limited(t *testing.T, c *Client, requests int) *Client {
	t.Helper()
	d, err := egress.New(egress.Config{Direct: true})
	if err != nil {
		t.Fatal(err)
	}
	other, err := New(Config{API: "https://cloud.test", Issuer: "https://cloud.test", SiteID: "north", SecretFile: c.tokens.secret, Dialer: d, Requests: requests})
	if err != nil {
		t.Fatal(err)
	}
	other.http.Transport = c.http.Transport
	return other
}

// A morning at a large site: thousands start within half a minute, and the vendor takes
// 60 requests in 30 s.
func TestManyHoldsStayInsideTheVendorsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, cloud, _ := newInside(t, "right")
		defer first.Close()
		cloud.MaxRequests = 60
		const many = 5000
		crowded(cloud, many)
		c := limited(t, first, 60)
		defer c.Close()
		var all sync.WaitGroup
		var agreed, slow atomic.Int64
		for i := range many {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 6 * time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				begun := time.Now()
				if d, err := c.Hold(ctx, license.Fence{Epoch: 1, Term: 1, Order: uint64(i)}, holdOf(i, "m")); d == nil && err == nil {
					agreed.Add(1)
				}
				if time.Since(begun) > 2*time.Second {
					slow.Add(1)
				}
			})
		}
		all.Wait()
		if agreed.Load() != many || slow.Load() > 0 {
			t.Errorf("%d of %d were agreed to, %d took longer than two seconds", agreed.Load(), many, slow.Load())
		}
		if n := cloud.Requests(cloudapi.PathHolds) + cloud.Requests(cloudapi.PathHoldsBatch); n > 62 {
			t.Errorf("it took %d requests in half a minute, want 60", n)
		}
	})
}

// A cloud that says that it is busy, and until when, is left alone, and what was asked
// for goes there afterwards.
func TestABusyCloudGetsItAllLater(t *testing.T) {
	for name, prepare := range map[string]func(*emulator.Emulator){
		"in batches": func(*emulator.Emulator) {},
		"one by one": func(e *emulator.Emulator) { e.NoBatch = true; e.MaxRequests = 60 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, cloud, _ := newInside(t, "right")
				defer c.Close()
				cloud.MaxRequests = 4
				prepare(cloud)
				const many = 100
				crowded(cloud, many)
				var all sync.WaitGroup
				for i := range many {
					all.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
						defer cancel()
						f := license.Fence{Epoch: 1, Term: 1, Order: uint64(i)}
						if d, err := c.Hold(ctx, f, holdOf(i, "m")); d != nil || err != nil {
							t.Errorf("hold %d: %+v, %v", i, d, err)
						}
						if err := c.Release(ctx, f, holdOf(i, "m")); err != nil {
							t.Errorf("release %d: %v", i, err)
						}
					})
				}
				all.Wait()
				if n := len(cloud.Holds("north")); n != 0 {
					t.Errorf("%d holds are left, want none", n)
				}
			})
		})
	}
}

// Each gets the answer to its own question.
func TestABatchAnswersEachForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, cloud, _ := newInside(t, "right")
		defer c.Close()
		const many = 60
		crowded(cloud, many)
		for i := 0; i < many; i += 3 {
			cloud.PutUser(cloudapi.User{ID: fmt.Sprint("u", i), Country: "DE", Blocked: true})
		}
		gate := make(chan struct{})
		inner := c.http.Transport
		c.http.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			<-gate
			return inner.RoundTrip(r)
		})
		var all sync.WaitGroup
		for i := range many {
			all.Go(func() {
				d, err := c.Hold(t.Context(), license.Fence{Epoch: 1, Term: 1, Order: uint64(i)}, holdOf(i, "m"))
				if err != nil || (d != nil) != (i%3 == 0) || d != nil && d.Reason != license.UserBlocked {
					t.Errorf("hold %d: got %+v, %v", i, d, err)
				}
			})
		}
		synctest.Wait()
		close(gate)
		all.Wait()
		if n := cloud.Requests(cloudapi.PathHoldsBatch); n == 0 || n > many/4 {
			t.Errorf("it took %d batches", n)
		}
	})
}

// Who gives up waiting does so alone; a request that nobody waits for is ended, so that
// it does not keep others from being sent.
func TestARequestThatNobodyWaitsForIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, cloud, _ := newInside(t, "right")
		defer c.Close()
		crowded(cloud, 20)
		if err := c.Ping(t.Context()); err != nil { // a token is there
			t.Fatal(err)
		}
		hangs := atomic.Bool{}
		hangs.Store(true)
		inner := c.http.Transport
		c.http.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if hangs.Load() {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return inner.RoundTrip(r)
		})
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				begun := time.Now()
				_, err := c.Hold(ctx, license.Fence{Epoch: 1, Term: 1, Order: uint64(i)}, holdOf(i, "m"))
				if took := time.Since(begun); !errors.Is(err, ErrUnreachable) || took != 5*time.Second {
					t.Errorf("hold %d: got %v after %v, want ErrUnreachable after 5 s", i, err, took)
				}
			})
		}
		all.Wait()
		hangs.Store(false)
		synctest.Wait()
		begun := time.Now()
		if d, err := c.Hold(t.Context(), license.Fence{Epoch: 1, Term: 1, Order: 99}, holdOf(1, "m")); d != nil || err != nil || time.Since(begun) > time.Second {
			t.Errorf("afterwards: got %+v, %v after %v", d, err, time.Since(begun))
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
