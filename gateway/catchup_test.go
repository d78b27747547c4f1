package gateway

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

// lagging is a follower's log: it has applied what the leader's had when it was cut off.
type lagging struct {
	Log
	to      *Gateway
	early   *license.State // what it shows, until
	abreast atomic.Bool
}

func (l *lagging) Forward(ctx context.Context, body []byte) ([]byte, error) {
	return l.to.Serve(ctx, "n2", body)
}
func (l *lagging) Leading() (uint64, bool) { return 0, false }
func (l *lagging) View(f func(*license.State)) {
	if l.abreast.Load() {
		l.Log.View(f)
		return
	}
	f(l.early)
}

// A node that knows its site's name has not caught up with it for that.
func TestANodeHasCaughtUpOnceItKnowsWhatItsLeaderDoes(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		behind := &lagging{Log: s.log, to: s.Gateway, early: license.NewState()}
		license.Apply(behind.early, license.Entry{At: s.log.Now(), Command: license.Found{Cluster: "site-1", Level: license.Level}})
		f := New(Config{Log: behind, Logger: s.logger})
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := f.CatchUp(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a node that has applied one entry has caught up: %v", err)
		}
		done := make(chan error, 1)
		go func() { done <- f.CatchUp(t.Context()) }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("it has caught up before it has applied anything more: %v", err)
		default:
		}
		behind.abreast.Store(true)
		if err := <-done; err != nil {
			t.Errorf("a node that has applied everything: %v", err)
		}
	})
}

// Of what is not its callers' one line is logged in a window, and how many there were.
func TestWhatIsNotVouchedForIsLoggedOnceInAWindow(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		var logged bytes.Buffer
		leader := New(Config{Log: s.log, Logger: slog.New(slog.NewTextHandler(&logged, nil)), Verify: func(context.Context, string) (Who, error) {
			return Who{}, &CallerError{"expired"}
		}})
		f := &Gateway{log: forwarder{Log: s.log, to: leader}}
		lines := func(with string) int { return strings.Count(logged.String(), with) }
		ask := func() error {
			_, err := f.Start(WithProof(t.Context(), "ada's token"), license.Start{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws101})
			return err
		}
		for range 100 {
			err := ask()
			if told, ok := errors.AsType[*CallerError](err); !ok || told.Word != "expired" || !errors.Is(err, ErrCaller) {
				t.Fatalf("the node that was asked heard %v; want the leader's word, expired", err)
			}
		}
		if n := lines("a forwarded request was not decided"); n != 1 {
			t.Errorf("logged %d lines, want one: %s", n, logged.String())
		}
		time.Sleep(notVouchedEvery)
		if err := ask(); err == nil || lines("times=100") != 1 {
			t.Errorf("after the window, answered with %v and logged %s; want that there were 100 since the first", err, logged.String())
		}
	})
}
