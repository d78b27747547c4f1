package integration

import (
	"fmt"
	"testing"
	"time"

	"sitegate/client"
	"sitegate/emulator"
)

// TestClocksOfOtherDecades: one node in 2036, one in 1970; then all jump, and an
// operator accepts it.
func TestClocksOfOtherDecades(t *testing.T) {
	t.Parallel()
	s := NewFaultySite(t, 3, 10, Faults{})
	ctx := deadline(t, time.Minute)
	s.Fault(t, 0, func(f *Faults) { f.ClockMS = time.Until(time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC)).Milliseconds() })
	s.Fault(t, 1, func(f *Faults) { f.ClockMS = -time.Since(time.Unix(0, 0)).Milliseconds() })
	is := func(want func() time.Time, held int) {
		t.Helper()
		Eventually(t, 20*time.Second, "the time", func() error {
			n := 0
			for _, node := range s.Nodes {
				st, err := s.Status(node)
				if err != nil {
					return err
				}
				if off := st.Time.Sub(want()); off.Abs() > 90*time.Second {
					return fmt.Errorf("at %s it is %v, want about %v", st.Node, st.Time, want())
				}
				if st.TimeHeld {
					n++
				}
			}
			if n != held {
				return fmt.Errorf("%d clocks are off, want %d", n, held)
			}
			return nil
		})
	}
	ws101 := s.Client(t, emulator.UserA, "WS-101", 0)
	session, err := ws101.Start(ctx, emulator.ProductCapped)
	if err != nil {
		t.Fatal(err)
	}
	is(time.Now, 2)
	leader := s.Leader(t)
	s.Nodes[leader].Kill()
	_, err = s.Client(t, emulator.UserA, "WS-202", 0).Start(ctx, emulator.ProductCapped)
	refusedFor(t, err, client.ErrActiveElsewhere)
	s.Start(t, leader)
	s.AwaitReady(t, s.Nodes[leader])
	is(time.Now, 2)

	const jump = 3 * time.Hour
	for i := range s.Nodes {
		s.Fault(t, i, func(f *Faults) { f.ClockMS = jump.Milliseconds() })
	}
	if err := session.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	is(time.Now, 3)
	acceptTime(t, s)
	is(func() time.Time { return time.Now().Add(jump) }, 0)
	if _, err := ws101.Start(ctx, emulator.ProductCapped); err != nil {
		t.Errorf("a start in the time that was accepted: %v", err)
	}
}
