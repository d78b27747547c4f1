package gateway

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sitegate/license"
)

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

// endingLeader ends while it decides what it is asked first.
type endingLeader struct {
	forwarder
	asked int
}

func (l *endingLeader) Forward(ctx context.Context, body []byte) ([]byte, error) {
	if l.asked++; l.asked > 1 {
		return l.forwarder.Forward(ctx, body)
	}
	ended, end := context.WithCancel(ctx)
	end()
	return l.to.Serve(ended, "n2", body)
}

// What a leader that ends had under way is asked of the next one: nobody is told that something
// broke.
func TestALeaderThatEndsIsNoError(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		l := &endingLeader{forwarder: forwarder{Log: s.log, to: s.Gateway}}
		f := &Gateway{log: l}
		a, err := f.Start(t.Context(), license.Start{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws101})
		if err != nil || a.Outcome.Denial != nil || l.asked != 2 {
			t.Errorf("answered with %v and %v after %d times; want a session after two", a.Outcome.Denial, err, l.asked)
		}
	})
}
