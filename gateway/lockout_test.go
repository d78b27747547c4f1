package gateway

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

// A secret that a proxy rejects is told once, from a node that does not lead as well,
// and once more when the proxy takes one, or is no longer configured.
func TestASecretThatIsNotSentIsToldOnce(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		var mu sync.Mutex
		secrets := []Secret{{Proxy: "north"}, {Proxy: "south", Taken: true}}
		set := func(now ...Secret) { mu.Lock(); defer mu.Unlock(); secrets = now }
		follower := New(Config{Log: forwarder{Log: s.log, to: s.Gateway}, Logger: slog.New(slog.DiscardHandler),
			Secrets: func() []Secret { mu.Lock(); defer mu.Unlock(); return slices.Clone(secrets) }})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); follower.watchSecrets(ctx) }()
		t.Cleanup(func() { cancel(); <-done })
		told := func(stopped, resumed int, when string) {
			t.Helper()
			time.Sleep(3 * secretsEvery)
			synctest.Wait()
			began := s.facts(func(f license.Fact) bool { _, ok := f.(license.SecretStopped); return ok })
			over := s.facts(func(f license.Fact) bool { _, ok := f.(license.SecretResumed); return ok })
			if began != stopped || over != resumed {
				t.Errorf("%s: told %d times that it is not sent and %d times that it is taken, want %d and %d", when, began, over, stopped, resumed)
			}
		}
		told(0, 0, "while all is well")
		set(Secret{Proxy: "north", Stopped: true, Until: time.Now().Add(10 * time.Minute)}, Secret{Proxy: "south", Taken: true})
		told(1, 0, "when it is rejected")
		time.Sleep(time.Hour)
		told(1, 0, "long after, with nothing taken since")
		set(Secret{Proxy: "north"}, Secret{Proxy: "south", Stopped: true, Until: time.Now().Add(10 * time.Minute)})
		told(2, 0, "when the node was started anew and knows nothing of it, and another proxy rejects it")
		set(Secret{Proxy: "north", Taken: true})
		told(2, 2, "when the one takes it and the other is gone")
		s.log.View(func(state *license.State) {
			if left := state.Head().Lockouts; len(left) > 0 {
				t.Errorf("%+v are left", left)
			}
		})
	})
}

// What cannot be told for want of a leader is told when there is one.
func TestASecretIsToldOfWhenThereIsALeader(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.secrets = func() []Secret {
			return []Secret{{Proxy: "north", Stopped: true, Until: time.Now().Add(10 * time.Minute)}}
		}
		cut := &cutLog{Log: s.log}
		s.Gateway.log = cut
		cut.set(ErrNoLeader)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); s.watchSecrets(ctx) }()
		t.Cleanup(func() { cancel(); <-done })
		stopped := func() int {
			synctest.Wait()
			return s.facts(func(f license.Fact) bool { _, ok := f.(license.SecretStopped); return ok })
		}
		time.Sleep(time.Minute)
		if n := stopped(); n != 0 {
			t.Fatalf("told %d times without a leader", n)
		}
		cut.set(nil)
		time.Sleep(time.Minute)
		if n := stopped(); n != 1 {
			t.Errorf("told %d times, want once", n)
		}
	})
}

// cutLog proposes nothing while there is an error.
type cutLog struct {
	Log
	mu  sync.Mutex
	err error
}

func (l *cutLog) set(err error) { l.mu.Lock(); defer l.mu.Unlock(); l.err = err }

func (l *cutLog) Propose(ctx context.Context, c license.Command) (license.Outcome, error) {
	l.mu.Lock()
	err := l.err
	l.mu.Unlock()
	if _, mine := c.(license.NoteLockout); mine && err != nil {
		return license.Outcome{}, errors.Join(err)
	}
	return l.Log.Propose(ctx, c)
}
