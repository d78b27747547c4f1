package gateway

import (
	"context"
	"errors"
	"testing"

	"sitegate/license"
)

func TestNothingNewIsGrantedWhileTheNodesDiffer(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		wantGranted(t, s.start(t, 1, ws101), false)
		differ := true
		s.diverged = func() bool { return differ }
		ben := license.Start{ID: license.ID{2}, User: "ben", Product: "road", Machine: ws202}
		if a, err := s.Start(context.Background(), ben); !errors.Is(err, ErrDiverged) {
			t.Errorf("a start: got %+v, %v; want %v", a.Outcome, err, ErrDiverged)
		}
		wantGranted(t, s.start(t, 1, ws101), false) // asked for again
		s.stop(t, 1, ws101)
		differ = false
		if a, err := s.Start(context.Background(), ben); err != nil || a.Outcome.Denial != nil {
			t.Errorf("once they agree: got %+v, %v", a.Outcome, err)
		}
	})
}

// While the leader's disk is low nothing new is granted; what runs is renewed, asked
// for again and stopped, and who is refused for another machine is told that.
func TestLowDiskGrantsNothingNew(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		ctx := context.Background()
		if out := s.start(t, 1, ws101); out.Denial != nil {
			t.Fatalf("with room: %+v", out.Denial)
		}
		low := true
		s.disk = func() Disk { return Disk{Free: 1, Total: 100, Low: low} }
		ben := license.Start{ID: license.ID{2}, User: "ben", Product: "road", Machine: ws202}
		if a, err := s.Start(ctx, ben); !errors.Is(err, ErrDiskLow) {
			t.Errorf("a start: got %+v, %v; want %v", a.Outcome, err, ErrDiskLow)
		}
		if a, err := s.CheckOut(ctx, license.CheckOut{ID: license.ID{3}, User: "ben", Product: "road", Machine: ws202}); !errors.Is(err, ErrDiskLow) {
			t.Errorf("a checkout: got %+v, %v; want %v", a.Outcome, err, ErrDiskLow)
		}
		if out := s.start(t, 4, ws202); out.Denial == nil || out.Denial.Reason != license.MachineActive {
			t.Errorf("on another machine: got %+v, want %s", out, license.MachineActive)
		}
		if out := s.start(t, 1, ws101); out.Denial != nil || out.Session == nil {
			t.Errorf("the same start again: got %+v, want its session", out)
		}
		leases, err := s.Renew(ctx, []license.Renewal{{Session: license.ID{1}, User: "ada", Machine: ws101}})
		if err != nil || len(leases) != 1 || leases[0].Denial != nil {
			t.Errorf("a heartbeat: got %+v, %v", leases, err)
		}
		s.stop(t, 1, ws101)
		low = false
		if a, err := s.Start(ctx, ben); err != nil || a.Outcome.Denial != nil {
			t.Errorf("with room again: got %+v, %v", a.Outcome, err)
		}
	})
}
