package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/client"
	"sitegate/emulator"
)

// acceptTime has the site go by its nodes' clocks, by an operator.
func acceptTime(t *testing.T, s *Site) {
	t.Helper()
	status, stdout, stderr := s.Tool(t, s.Nodes[0], "time", "accept", "--note", "the machines were set", "--by", "ida")
	if status != 0 || !strings.Contains(stdout, "Accepted by ida") {
		t.Fatalf("accepting: status %d, %s%s", status, stdout, stderr)
	}
}

// later has all clocks of the site go on by so much since the test began, and waits until all
// nodes go by them.
func later(t *testing.T, s *Site, by time.Duration) {
	t.Helper()
	for i := range s.Nodes {
		s.Fault(t, i, func(f *Faults) { f.ClockMS = by.Milliseconds() })
	}
	is := func(held bool, what string, right func(api.Status) bool) {
		t.Helper()
		Eventually(t, time.Minute, what, func() error {
			for _, n := range s.Nodes {
				st, err := s.Status(n)
				if err != nil {
					return err
				}
				if st.TimeHeld != held || !right(st) {
					return fmt.Errorf("at %s it is %v, held: %t", st.Node, st.Time, st.TimeHeld)
				}
			}
			return nil
		})
	}
	is(true, "all clocks are off", func(api.Status) bool { return true })
	acceptTime(t, s)
	is(false, "all go by the clocks", func(st api.Status) bool { return time.Until(st.Time.Add(-by)).Abs() < 90*time.Second })
}

// For a day after the last sign-in a machine's key alone starts something new, on each node;
// after that it does not, and what runs goes on by it. With the sign-in it starts at once. What
// a program has for a time is over on all nodes by the same clock.
func TestAKeyAloneStartsForADay(t *testing.T) {
	t.Parallel()
	s := NewFaultySite(t, 3, 10, Faults{}, "SITEGATE_RULES_AUTONOMY_CAPPED=1h")
	ctx := deadline(t, 8*time.Minute)
	var away atomic.Bool
	key := machineKey(t)
	desk := everywhere(ctx, t, s, key, &away)
	session, err := desk[0].Start(ctx, emulator.ProductCapped)
	if err != nil {
		t.Fatal(err)
	}
	token := apiToken(t, s, 20*time.Hour)
	away.Store(true)
	starts := func(when string, want error) {
		t.Helper()
		for i, c := range desk {
			more, err := c.Start(ctx, emulator.ProductCapped)
			if !errors.Is(err, want) {
				t.Fatalf("%s, at node %d: got %v, want %v", when, i, err, want)
			}
			if err != nil {
				continue
			}
			if err := more.Stop(ctx); err != nil {
				t.Fatalf("%s, at node %d: %v", when, i, err)
			}
		}
	}
	programs := func(when string, status int, word string) {
		t.Helper()
		for i, n := range s.Nodes {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL+api.PathStatus, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			resp, err := s.HTTP().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != status || !strings.Contains(got, word) {
				t.Errorf("%s, an API token at node %d: %s %q, want %d and %q", when, i, resp.Status, got, status, word)
			}
		}
	}
	starts("without an access token", nil)
	programs("at first", http.StatusOK, "")

	later(t, s, 23*time.Hour)
	starts("after 23 hours", nil)
	programs("after 23 hours", http.StatusUnauthorized, `"over"`)

	later(t, s, 25*time.Hour)
	starts("after 25 hours", client.ErrSignInNeeded)
	if got := desk[0].SignIn(); !got.ByKey || !got.Keyed {
		t.Errorf("it goes by %+v, want the key alone", got)
	}
	before, began := session.Left(), time.Now()
	Eventually(t, time.Minute, "what runs is renewed by the key", func() error {
		session.Beat()
		if err := session.Err(); err != nil {
			t.Fatalf("lost with %v", err)
		}
		if left, old := session.Left(), before-time.Since(began); left < old+2*time.Second {
			return fmt.Errorf("%v are left, as of the lease of before", left)
		}
		return nil
	})

	// Another program there, which has the sign-in, shows it, and so the first one starts, too.
	away.Store(false)
	other := keyed(t, s, emulator.UserA, "WS-101", 1, key, &away)
	if _, err := other.Me(ctx); err != nil {
		t.Fatal(err)
	}
	starts("after the sign-in was shown again", nil)
	if err := session.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// apiToken is one that looks, for so long.
func apiToken(t *testing.T, s *Site, life time.Duration) string {
	t.Helper()
	body, err := json.Marshal(api.APITokenRequest{Name: "nagios", Role: "viewer", Scopes: []string{"read"}, ForMS: life.Milliseconds(), By: "ida"})
	if err != nil {
		t.Fatal(err)
	}
	var made api.NewAPIToken
	Eventually(t, time.Minute, "an API token", func() error { // of the leader, whichever that is
		req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, "http://operator"+api.PathAPITokens, bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := s.operator(s.Nodes[s.Leader(t)]).Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusCreated {
			return errors.New(resp.Status)
		}
		return json.NewDecoder(resp.Body).Decode(&made)
	})
	return made.Token
}
