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
