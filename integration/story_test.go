package integration

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"sitegate/client"
	"sitegate/emulator"
)

func deadline(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func refusedFor(t *testing.T, err error, want client.Reason) *client.Error {
	t.Helper()
	var e *client.Error
	if !errors.Is(err, want) || !errors.As(err, &e) {
		t.Fatalf("got %v, want a refusal for %s", err, want)
	}
	return e
}

func TestOneNodeKeepsItsHoldsThroughAPowerCut(t *testing.T) {
	t.Parallel()
	s := NewSite(t, 1, 20)
	ctx := deadline(t, time.Minute)
	ws101, ws202 := s.Client(t, emulator.UserA, "WS-101", 0), s.Client(t, emulator.UserA, "WS-202", 0)
	session, err := ws101.Start(ctx, emulator.ProductCapped)
	if err != nil {
		t.Fatal(err)
	}
	s.Nodes[0].Kill()
	s.Start(t, 0)
	s.AwaitReady(t, s.Nodes[0])
	_, err = ws202.Start(ctx, emulator.ProductCapped)
	if e := refusedFor(t, err, client.ErrActiveElsewhere); e.Machine != "WS-101" {
		t.Errorf("got machine %q, want WS-101", e.Machine)
	}
	left := session.Left()
	session.Beat()
	Eventually(t, 10*time.Second, "a heartbeat after the restart", func() error {
		if now := session.Left(); now <= left {
			return fmt.Errorf("%v left, was %v", now, left)
		}
		return nil
	})
	if err := session.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := ws202.Start(ctx, emulator.ProductCapped); err != nil {
		t.Fatalf("after the stop: %v", err)
	}
	s.Nodes[0].Stop(t)
}

func TestLeaderThatWasPausedRefusesNothingStale(t *testing.T) {
	t.Parallel()
	s := NewSite(t, 3, 20)
	ctx := deadline(t, time.Minute)
	leader := s.Leader(t)
	others := (leader + 1) % 3
	ws101, ws202 := s.Client(t, emulator.UserA, "WS-101", others), s.Client(t, emulator.UserA, "WS-202", others)
	session, err := ws101.Start(ctx, emulator.ProductCapped)
	if err != nil {
		t.Fatal(err)
	}
	s.Nodes[leader].Pause()
	if err := session.Stop(ctx); err != nil {
		t.Fatalf("stopping while the leader is paused: %v", err)
	}
	s.Nodes[leader].Resume()
	// The old leader still has the hold in its memory. It must not refuse from it.
	late := s.Client(t, emulator.UserA, "WS-202", leader)
	got, err := late.Start(ctx, emulator.ProductCapped)
	if err != nil {
		t.Fatalf("the leader that was paused: %v", err)
	}
	_, err = ws101.Start(ctx, emulator.ProductCapped)
	refusedFor(t, err, client.ErrActiveElsewhere)
	if err := got.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	_ = ws202
}

func TestFollowerThatWasCutOffCatchesUp(t *testing.T) {
	t.Parallel()
	s := NewSite(t, 3, 20)
	ctx := deadline(t, time.Minute)
	cut := (s.Leader(t) + 1) % 3
	s.Nodes[cut].Link.Cut()
	ws101 := s.Client(t, emulator.UserA, "WS-101", (cut+1)%3)
	session, err := ws101.Start(ctx, emulator.ProductCapped)
	if err != nil {
		t.Fatalf("with one of three nodes cut off: %v", err)
	}
	s.Nodes[cut].Link.Mend()
	Eventually(t, 20*time.Second, "the node that was cut off has the session", func() error {
		st, err := s.Status(s.Nodes[cut])
		if err != nil {
			return err
		}
		if st.Counts.Sessions != 1 {
			return fmt.Errorf("it has %d sessions", st.Counts.Sessions)
		}
		return nil
	})
	ws202 := s.Client(t, emulator.UserA, "WS-202", cut)
	_, err = ws202.Start(ctx, emulator.ProductCapped)
	refusedFor(t, err, client.ErrActiveElsewhere)
	if err := session.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestWithoutAMajorityNothingIsGrantedAndSaysWhy(t *testing.T) {
	t.Parallel()
	s := NewSite(t, 3, 20)
	ctx := deadline(t, time.Minute)
	alone := s.Leader(t)
	ws101 := s.Client(t, emulator.UserA, "WS-101", alone)
	if _, err := ws101.Start(ctx, emulator.ProductCapped); err != nil {
		t.Fatal(err)
	}
	s.Nodes[(alone+1)%3].Kill()
	s.Nodes[(alone+2)%3].Kill()
	other := s.Client(t, emulator.UserB, "WS-303", alone)
	short, cancel := context.WithTimeout(ctx, 12*time.Second)
	defer cancel()
	_, err := other.Start(short, emulator.ProductCapped)
	if !errors.Is(err, client.ErrNoQuorum) && !errors.Is(err, client.ErrUnknown) {
		t.Fatalf("got %v, want that there is no quorum", err)
	}
	s.Start(t, (alone+1)%3)
	if _, err := other.Start(ctx, emulator.ProductCapped); err != nil {
		t.Fatalf("after a majority was back: %v", err)
	}
}
