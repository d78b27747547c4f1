package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

// A machine that says another name each time is the same one by its id, and is told of
// once; those that have a name only are told apart by it.
func TestAMachineIsToldOfOnceWhateverItCallsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRefusals(slog.New(slog.DiscardHandler))
		note := func(m license.Machine, reason license.Reason) {
			d := license.Denial{Reason: reason, Machine: ws101}
			r.note(refusal{user: "ada", machine: m}, &d, func() license.Command { return license.Refused{User: "ada", Machine: m, Denial: d} })
		}
		for _, step := range []struct {
			machine license.Machine
			reason  license.Reason
			want    int
		}{
			{license.Machine{ID: "m-1", Name: "WS-1"}, license.MachineClone, 1},
			{license.Machine{ID: "m-1", Name: "WS-2"}, license.MachineClone, 1},
			{license.Machine{ID: "m-1"}, license.MachineClone, 1},
			{license.Machine{ID: "m-1", Name: "WS-2"}, license.KeyNeeded, 2},
			{license.Machine{ID: "m-2", Name: "WS-1"}, license.MachineClone, 3},
			{license.Machine{Name: "WS-1"}, license.MachineClone, 4},
			{license.Machine{Name: "WS-2"}, license.MachineClone, 5},
		} {
			if note(step.machine, step.reason); len(r.queue) != step.want {
				t.Errorf("after %+v with %s: %d are told, want %d", step.machine, step.reason, len(r.queue), step.want)
			}
		}
	})
}

// One refusal is passed on at once; of many, those of a moment together.
func TestManyRefusalsArePassedOnTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRefusals(slog.New(slog.DiscardHandler))
		note := func(user string) {
			d := license.Denial{Reason: license.MachineActive, Machine: ws101}
			r.note(refusal{user: license.UserID(user), machine: ws202}, &d, func() license.Command { return license.Refused{Denial: d} })
		}
		var mu sync.Mutex
		var underWay, most, passed int // mu guards them
		count := func(by int) {
			mu.Lock()
			defer mu.Unlock()
			if underWay += by; by < 0 {
				passed++
			}
			most = max(most, underWay)
		}
		go r.run(t.Context(), func(context.Context, license.Command) error {
			count(+1)
			time.Sleep(5 * time.Millisecond) // as a commit takes
			count(-1)
			return nil
		})
		note("ada")
		synctest.Wait() // in which no time passes
		count(0)
		if most != 1 {
			t.Errorf("%d are under way, want the only one at once", most)
		}
		for i := range 40 {
			note(fmt.Sprint("user-", i))
		}
		time.Sleep(time.Second)
		count(0)
		if passed != 41 || most != 40 {
			t.Errorf("%d were passed on, %d at once; want 41, and all but the first together", passed, most)
		}
	})
}

// What could not be journalled because the node has ceased to lead is when it leads again, and
// so is what waits for others at that moment.
func TestRefusalsOutliveALeadership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRefusals(slog.New(slog.DiscardHandler))
		note := func(user license.UserID) {
			r.note(refusal{user: user}, &license.Denial{Reason: license.MachineActive}, func() license.Command { return license.Refused{User: user} })
		}
		var mu sync.Mutex
		var journalled []license.UserID
		reign := func(leads bool) (end func()) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				r.run(ctx, func(_ context.Context, c license.Command) error {
					if !leads {
						return ErrNotLeader
					}
					mu.Lock()
					defer mu.Unlock()
					journalled = append(journalled, c.(license.Refused).User)
					return nil
				})
			}()
			synctest.Wait()
			return func() { cancel(); <-done }
		}
		end := reign(false)
		note("ada")
		synctest.Wait()
		end()
		for range refusalsSecond { // so that the next waits for others
			r.limit.Allow()
		}
		time.Sleep(refusalsMoment)
		end = reign(true)
		note("ben")
		synctest.Wait()
		end()
		end = reign(true)
		time.Sleep(refusalsMoment)
		synctest.Wait()
		end()
		slices.Sort(journalled)
		if want := []license.UserID{"ada", "ben"}; !slices.Equal(journalled, want) {
			t.Errorf("journalled %q; want %q", journalled, want)
		}
	})
}
