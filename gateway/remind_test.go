package gateway

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

func TestAdministratorsAreRemindedOnceAWeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newSoloLog()
		g := New(Config{Log: log, Logger: slog.New(slog.DiscardHandler)})
		log.observe = g.Observe
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go g.remind(ctx)
		told := func() (n int) {
			synctest.Wait()
			events, _ := log.Journal(ctx, 0, 100)
			for _, e := range events {
				if r, ok := e.Fact.(license.Reminded); ok {
					n++
					if r.Counts.Unassigned != 1 || len(r.To) != 1 || r.To[0] != "ida" {
						t.Errorf("told %+v; want of one unassigned license, to Ida", r)
					}
				}
			}
			return n
		}
		page := func(from, to string, last bool, changes ...license.Change) {
			if out, err := log.Propose(ctx, license.Mirror{From: from, Cursor: to, Full: true, Last: last, Changes: changes}); err != nil || out.Denial != nil {
				t.Fatal(err, out.Denial)
			}
		}
		page("", "p1", false, license.Change{User: &license.User{ID: "ida", Country: "DE", Roles: license.RoleAdministrator}},
			license.Change{License: &license.License{ID: "L9", Product: "road"}})
		time.Sleep(10 * time.Minute)
		if got := told(); got != 0 {
			t.Errorf("reminded %d times of a mirror that is not read to its end", got)
		}
		page("p1", "p2", true)
		time.Sleep(5 * time.Minute)
		if got := told(); got != 1 {
			t.Fatalf("reminded %d times after the mirror was read, want once", got)
		}
		time.Sleep(license.RemindEvery - 10*time.Minute)
		if got := told(); got != 1 {
			t.Errorf("reminded %d times in the first week, want once", got)
		}
		time.Sleep(20 * time.Minute)
		if got := told(); got != 2 {
			t.Errorf("reminded %d times after a week, want twice", got)
		}
	})
}
