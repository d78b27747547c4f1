package gateway

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

// What a node sees of issuers' keys is in the log, from a node that does not lead as well:
// once, until it sees something else.
func TestIssuersKeysAreToldOnce(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		var mu sync.Mutex
		var keys []IssuerKeys
		set := func(now ...IssuerKeys) { mu.Lock(); defer mu.Unlock(); keys = now }
		follower := New(Config{Log: forwarder{Log: s.log, to: s.Gateway}, Logger: slog.New(slog.DiscardHandler),
			IssuerKeys: func() []IssuerKeys { mu.Lock(); defer mu.Unlock(); return slices.Clone(keys) }})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); follower.watchKeys(ctx) }()
		t.Cleanup(func() { cancel(); <-done })
		seen := func(held, resumed int, taken []license.Digest, when string) {
			t.Helper()
			time.Sleep(3 * keysEvery)
			synctest.Wait()
			if n := s.facts(func(f license.Fact) bool { _, ok := f.(license.KeysHeld); return ok }); n != held {
				t.Errorf("%s: told %d times that keys are held back, want %d", when, n, held)
			}
			if n := s.facts(func(f license.Fact) bool { _, ok := f.(license.KeysResumed); return ok }); n != resumed {
				t.Errorf("%s: told %d times that they are not any more, want %d", when, n, resumed)
			}
			s.log.View(func(state *license.State) {
				if got := license.KnownKeys(state, "https://one"); !slices.Equal(got, taken) {
					t.Errorf("%s: known are %v, want %v", when, got, taken)
				}
			})
		}
		a, b := []license.Digest{{1}}, []license.Digest{{2}}
		seen(0, 0, nil, "before anything is known")
		set(IssuerKeys{Issuer: "https://one"})
		seen(0, 0, nil, "before the issuer was read")
		set(IssuerKeys{Issuer: "https://one", Taken: a})
		seen(0, 0, a, "once it was read")
		set(IssuerKeys{Issuer: "https://one", Taken: a, Held: b})
		seen(1, 0, a, "when all keys are others")
		if out, err := s.AcceptKeys(t.Context(), license.AcceptKeys{Issuer: "https://one", Set: license.SetDigest(b), By: "ida"}); err != nil || out.Outcome.Denial != nil {
			t.Fatalf("accepting them: %v, %+v", err, out.Outcome.Denial)
		}
		seen(1, 0, []license.Digest{{1}, {2}}, "when they are accepted")
		set(IssuerKeys{Issuer: "https://one", Taken: b})
		seen(1, 1, b, "when they are taken")
		set(IssuerKeys{Issuer: "https://two", Taken: a})
		seen(1, 1, nil, "when the issuer is asked no more")
	})
}

// Another node's socket is not believed that somebody there accepts keys.
func TestKeysAreNotAcceptedAtAnotherNodesWord(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.administered()
		c := license.AcceptKeys{Issuer: "https://one", By: "root"}
		if rep := s.pass(t, request{AcceptKeys: &c, Socket: true}); rep.Error != "socket" {
			t.Errorf("by its socket: %+v; want that it is not taken", rep)
		}
		if rep := s.pass(t, request{AcceptKeys: &c}); rep.Error != "caller" {
			t.Errorf("by itself: %+v; want that it is not taken", rep)
		}
	})
}

// A node says of itself alone which keys it goes by.
func TestANodeSpeaksOfItsOwnKeysOnly(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.administered()
		c := license.NoteKeys{Issuer: "https://one", Node: "n3", Taken: []license.Digest{{7}}}
		if rep := s.pass(t, request{NoteKeys: &c}); rep.Error != "caller" {
			t.Errorf("n2 in the name of n3: %+v; want that it is not taken", rep)
		}
		c.Node = "N2"
		if rep := s.pass(t, request{NoteKeys: &c}); rep.Answer == nil || rep.Answer.Outcome.Denial != nil {
			t.Errorf("n2 of itself: %+v; want that it is taken", rep)
		}
	})
}

// What the site does not take of a node is logged once, and said again ever more rarely.
func TestKeysThatAreNotTakenAreSaidMoreRarely(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		if _, err := s.log.Propose(t.Context(), license.RemoveNode{Node: s.log.Cluster().Node, By: "root"}); err != nil {
			t.Fatal(err)
		}
		var logged bytes.Buffer
		asked, said := 0, 0
		g := New(Config{Log: counting{forwarder{Log: s.log, to: s.Gateway}, &said}, Logger: slog.New(slog.NewTextHandler(&logged, nil)), IssuerKeys: func() []IssuerKeys {
			asked++
			return []IssuerKeys{{Issuer: "https://one", Taken: []license.Digest{{1}}}}
		}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); g.watchKeys(ctx) }()
		time.Sleep(time.Hour)
		cancel()
		<-done
		if n := strings.Count(logged.String(), "does not take"); n != 1 || asked < 100 || said < 5 || said > 20 {
			t.Errorf("it looked %d times, said it %d times and logged the denial %d times, want once: %s", asked, said, n, logged.String())
		}
	})
}

// counting counts what is forwarded.
type counting struct {
	forwarder
	n *int
}

func (c counting) Forward(ctx context.Context, body []byte) ([]byte, error) {
	*c.n++
	return c.forwarder.Forward(ctx, body)
}
