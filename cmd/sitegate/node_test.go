package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"sitegate/gateway"
	"sitegate/raftstore"
)

func TestTranslateNeverSaysThatWhatIsUnknownWasNotDone(t *testing.T) {
	for range 50 {
		for _, err := range []error{
			errors.Join(raftstore.ErrUnknown, raftstore.ErrClosed),
			fmt.Errorf("proposing: %w", errors.Join(raftstore.ErrNotLeader, raftstore.ErrUnknown)),
			errors.Join(raftstore.ErrUnknown, context.DeadlineExceeded),
		} {
			if got := translate(err); got != gateway.ErrUnknown {
				t.Fatalf("%q: got %v, want ErrUnknown", err, got)
			}
		}
	}
	for from, want := range map[error]error{
		raftstore.ErrNotLeader: gateway.ErrNotLeader,
		raftstore.ErrNoLeader:  gateway.ErrNoLeader,
		raftstore.ErrClosed:    gateway.ErrNoLeader,
		context.Canceled:       context.Canceled,
		nil:                    nil,
	} {
		if got := translate(from); got != want {
			t.Errorf("%v: got %v, want %v", from, got, want)
		}
	}
}
