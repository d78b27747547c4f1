package gateway

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

// The record that waits longest is known while any waits, and the next is it when the cloud
// has taken that.
func TestTheOldestUsageThatWaits(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		oldest := func() license.Time {
			at, err := s.OldestUsage(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			return at
		}
		s.others(t, 3)
		s.used(t, 0, 1)
		s.wait(2 * time.Minute)
		if _, _, waiting, _ := s.outboxState(); waiting != 0 || oldest() != 0 {
			t.Fatalf("%d wait, since %v; want none", waiting, oldest())
		}
		s.books.set(func() { s.books.down = true })
		s.wait(time.Minute)
		begun := s.Now()
		s.used(t, 1, 2)
		s.wait(time.Hour)
		s.used(t, 2, 2)
		for range 2 { // what was found is remembered
			if got := oldest(); got < begun || got.Sub(begun) > time.Minute {
				t.Errorf("the oldest waits since %v; want %v", got.Std(), begun.Std())
			}
		}
		s.books.set(func() { s.books.down = false })
		s.wait(2 * time.Minute)
		if _, _, waiting, _ := s.outboxState(); waiting != 0 || oldest() != 0 {
			t.Fatalf("after the link is back %d wait, since %v; want none", waiting, oldest())
		}
		s.books.set(func() { s.books.down = true })
		s.wait(time.Minute)
		begun = s.Now()
		s.used(t, 0, 3)
		if got := oldest(); got < begun {
			t.Errorf("the oldest waits since %v; want %v", got.Std(), begun.Std())
		}
	})
}

// Who asks while the journal is read for another waits no longer than they mean to.
func TestTheOldestUsageIsNotWaitedForWithoutALimit(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.others(t, 1)
		s.books.set(func() { s.books.down = true })
		s.used(t, 0, 1)
		s.wait(time.Minute)
		slow := New(Config{Log: hungJournal{s.log}, Logger: s.logger})
		first, end := context.WithTimeout(t.Context(), time.Hour)
		defer end()
		go slow.OldestUsage(first)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		if at, err := slow.OldestUsage(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
			t.Errorf("got %v, %v after %v; want %v after a second", at, err, time.Since(begun), context.DeadlineExceeded)
		}
		end()
		synctest.Wait()
		if at, err := slow.OldestUsage(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after the first has given up: %v, %v; want %v", at, err, context.DeadlineExceeded)
		}
	})
}

// hungJournal is not read before who asks gives up.
type hungJournal struct{ Log }

func (hungJournal) Journal(ctx context.Context, _ uint64, _ int) ([]license.Event, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
