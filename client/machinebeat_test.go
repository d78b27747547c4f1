package client_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/api"
	"sitegate/client"
)

// A connection that was made before the key was shown renews nothing that was granted to the
// key: the heartbeat is sent with the key, and the connection is made again by it.
func TestAHeartbeatThatWantsTheKeyIsSentWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g, _ := keyedSite(t, nil)
		var refused atomic.Int32
		g.Keyless = func() bool { return refused.CompareAndSwap(0, 1) }
		session := start(t, c)
		g.took()
		time.Sleep(4 * time.Minute) // longer than the lease of the start
		if isClosed(session.Lost()) || refused.Load() != 1 {
			t.Fatalf("lost with %v after %d heartbeats that wanted the key", session.Err(), refused.Load())
		}
		if n := g.Asked("POST /v1/sessions/"); n != 1 {
			t.Errorf("%d heartbeats were sent as requests, want the one that wanted the key", n)
		}
		if n := g.Asked("GET /v1/notices"); n != 2 || g.Connected() != 1 {
			t.Errorf("connected %d times, and %d are up; want once more, by the key", n, g.Connected())
		}
		if got := g.took(); !strings.HasSuffix(got, "session session") {
			t.Errorf("shown %q, want the key with the heartbeat and the connection", got)
		}
	})
}

// Where the key cannot be shown now, that says nothing about the session: it lives as long as
// its lease, and on if the key can be shown in time. What the gateway will not have of the key
// ends it at once.
func TestAHeartbeatIsNotRefusedForAKeyThatCannotBeShownNow(t *testing.T) {
	for name, test := range map[string]struct {
		refuse string
		lost   bool
	}{"no majority": {api.CodeNoQuorum, false}, "too many keys": {"too-many-keys", true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, g, _ := keyedSite(t, nil)
				var strict atomic.Bool
				g.Keyless = strict.Load
				g.Before = func(r *http.Request) *api.Problem {
					if strict.Load() && strings.HasSuffix(r.URL.Path, "/heartbeat") {
						return &api.Problem{Code: string(client.ErrKeyNeeded), Status: http.StatusForbidden}
					}
					return nil
				}
				session := start(t, c)
				g.set(func() { g.refuse = test.refuse })
				strict.Store(true)
				time.Sleep(90 * time.Second)
				if lost := isClosed(session.Lost()); lost != test.lost {
					t.Fatalf("lost: %t, with %v; want %t", lost, session.Err(), test.lost)
				}
				if test.lost {
					if !errors.Is(session.Err(), client.ErrTooManyKeys) {
						t.Errorf("lost with %v, want the gateway's reason, %v", session.Err(), client.ErrTooManyKeys)
					}
					return
				}
				g.set(func() { g.refuse = "" })
				strict.Store(false)
				time.Sleep(4 * time.Minute)
				if isClosed(session.Lost()) {
					t.Errorf("lost with %v though the key could be shown in time", session.Err())
				}
			})
		})
	}
}

// Whose a sign-in is the gateway says, by another id than the issuer may: the next access
// token of the same person is no other one's, though it cannot be shown with the key yet.
func TestTheGatewaySaysWhoTheUserIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g, s := keyedSite(t, nil)
		sign := func(id string) {
			token := accessToken("issuers-own-id", id)
			g.set(func() { g.access = token; g.Users[token] = ann })
			s.set(token, nil)
		}
		sign("1")
		if _, err := c.Me(t.Context()); err != nil {
			t.Fatal(err)
		}
		sign("2")
		g.set(func() { g.refuse = api.CodeNoQuorum })
		g.took()
		if _, err := c.Me(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := g.took(); !strings.HasSuffix(got, "session") {
			t.Errorf("shown %q, want the key in the end: it is the same person", got)
		}
	})
}

// Where the site's time was set while there is no access token, the next token is made by the
// time that the gateway has answered with.
func TestAMachineFollowsTheSitesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g, s := keyedSite(t, nil)
		if _, err := c.Me(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.set("", errors.New("the issuer is away"))
		for _, ahead := range []time.Duration{25 * time.Hour, -2 * time.Hour} {
			g.set(func() { g.ahead = ahead })
			if _, err := c.Me(t.Context()); err != nil {
				t.Fatalf("%v ahead: %v", ahead, err)
			}
			if got, told := c.Skew(); !told || (got-ahead).Abs() > 2*time.Second {
				t.Errorf("the site is %v ahead, and it goes by %v", ahead, got)
			}
		}
	})
}
