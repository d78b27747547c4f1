package gateway

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

// A request on a node that does not lead; the warnings and the end come by
// themselves, and nothing is granted to the machine that asks before.
func TestATakeoverRunsItsCourse(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		follower := &Gateway{log: forwarder{Log: s.log, to: s.Gateway}}
		ctx := context.Background()
		if _, err := s.log.Propose(ctx, license.Configure{Settings: license.Settings{Takeover: license.TakeoverGrace, TakeoverGrace: 6 * time.Minute}}); err != nil {
			t.Fatal(err)
		}
		if a, err := s.Start(ctx, license.Start{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws101, Fences: true}); err != nil || a.Outcome.Denial != nil {
			t.Fatalf("got %+v, %v; want a session", a.Outcome, err)
		}
		ask := license.Request{ID: license.ID{7}, User: "ada", Product: "road", Machine: ws202}
		for range 2 { // the same request again is the same
			a, err := follower.Request(ctx, ask)
			if err != nil || a.Outcome.Waiter == nil || a.Outcome.Waiter.Asks != license.TakeoverGrace {
				t.Fatalf("got %+v, %v; want a takeover", a.Outcome, err)
			}
		}
		a, err := follower.Decline(ctx, license.Decline{ID: license.ID{7}, User: "ada", Machine: ws101})
		if err != nil {
			t.Fatal(err)
		}
		wantDenied(t, a.Outcome, license.TakeoverUnderWay)
		warned := func() int {
			return s.facts(func(f license.Fact) bool { _, ok := f.(license.EndingWarned); return ok })
		}
		for _, step := range []struct {
			after time.Duration
			want  int
		}{{50 * time.Second, 0}, {12 * time.Second, 1}, {4 * time.Minute, 2}, {time.Minute, 3}} {
			time.Sleep(step.after)
			synctest.Wait()
			if got := warned(); got != step.want {
				t.Fatalf("%d warnings after %v more, want %d", got, step.after, step.want)
			}
		}
		wantDenied(t, s.start(t, 2, ws202), license.MachineActive)
		s.stop(t, 1, ws101)
		wantGranted(t, s.start(t, 3, ws202), false)
		if a, err := follower.LetGo(ctx, license.LetGo{Session: license.ID{3}, User: "ada", Machine: ws202}); err != nil || a.Outcome.Session == nil {
			t.Fatalf("got %+v, %v; want the session given up", a.Outcome, err)
		}
	})
}
