package gateway

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

// What waits is delivered and what the cloud says is read by the time a refresh is
// answered, though nobody would have asked the cloud for a while.
func TestRefreshSendsUsageAndReadsTheFeedAtOnce(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.start(t, 1, ws101)
		s.stop(t, 1, ws101)
		s.books.set(func() {
			s.books.feed = append(s.books.feed, license.Change{License: &license.License{ID: "L9", Product: "road", Assignee: "ben"}})
		})
		begun := time.Now()
		if _, err := s.Refresh(context.Background()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
		var sent int
		s.books.set(func() { sent = len(s.books.usage) })
		if sent != 1 {
			t.Errorf("the cloud has %d usage records, want 1", sent)
		}
		s.log.View(func(st *license.State) {
			if st.License("L9") == nil {
				t.Error("what the cloud says was not read")
			}
		})
	})
}

func TestManyRefreshesAreOneReading(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		var before, after int
		s.books.set(func() { before = s.books.polls })
		answers := make(chan error, 50)
		for range cap(answers) {
			go func() {
				_, err := s.Refresh(context.Background())
				answers <- err
			}()
		}
		for range cap(answers) {
			if err := <-answers; err != nil {
				t.Fatal(err)
			}
		}
		s.books.set(func() { after = s.books.polls })
		if n := after - before; n < 1 || n > 5 {
			t.Errorf("the feed was read %d times for %d refreshes, want once or a few times", n, cap(answers))
		}
	})
}

func TestRefreshSaysThatTheCloudDoesNotAnswer(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.start(t, 1, ws101)
		s.stop(t, 1, ws101)
		s.books.set(func() { s.books.down = true })
		if _, err := s.Refresh(context.Background()); !errors.Is(err, ErrCloud) {
			t.Errorf("got %v, want %v", err, ErrCloud)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, err := s.Refresh(context.Background()); !errors.Is(err, ErrCloud) {
			t.Errorf("later: got %v, want %v", err, ErrCloud)
		}
		s.books.set(func() { s.books.down = false })
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, err := s.Refresh(context.Background()); err != nil {
			t.Errorf("when it answers again: %v", err)
		}
		if len(s.books.usage) != 1 {
			t.Errorf("the cloud has %d usage records, want 1", len(s.books.usage))
		}
	})
}

func TestRefreshThroughAFollowerAndWithoutACloud(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		follower := New(Config{Log: forwarder{s.log, s.Gateway}, Logger: s.logger})
		if _, err := follower.Refresh(context.Background()); err != nil {
			t.Errorf("through a follower: %v", err)
		}
		s.books.set(func() { s.books.down = true })
		if _, err := follower.Refresh(context.Background()); !errors.Is(err, ErrCloud) {
			t.Errorf("through a follower, with the cloud down: got %v, want %v", err, ErrCloud)
		}
		sealed := New(Config{Log: s.log, Logger: s.logger})
		if _, err := sealed.Refresh(context.Background()); !errors.Is(err, ErrCloud) {
			t.Errorf("without a cloud: got %v, want %v", err, ErrCloud)
		}
	})
}
