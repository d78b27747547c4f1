package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

// What relayed traffic was only spared is journalled like a refusal, once a minute for
// each user, machine and reason, whichever nodes it came through, and 50 a second for
// the site; it opens no hold and keeps nobody waiting.
func TestWhatIsOnlyObservedIsCoalesced(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		follower := New(Config{Log: forwarder{Log: s.log, to: s.Gateway}, Logger: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			follower.observed.run(ctx, follower.tellObserved)
		}()
		t.Cleanup(func() { cancel(); <-done })
		journalled := func() (n int) {
			synctest.Wait()
			return s.facts(func(f license.Fact) bool { _, ok := f.(license.WouldHaveRefused); return ok })
		}
		spared := license.WouldRefuse{User: "ada", Machine: ws202, Denial: license.Denial{Reason: license.MachineActive, Product: "road"}, Address: "10.0.0.7"}
		mistake := spared
		mistake.Denial.Reason = license.BadCommand
		for range 3 {
			s.WouldRefuse(spared)
			follower.WouldRefuse(spared)
			s.WouldRefuse(mistake)
		}
		if got := journalled(); got != 1 {
			t.Errorf("journalled %d for six times the same on two nodes within a minute, want 1", got)
		}
		other := spared
		other.Denial.Reason = license.NotAssigned
		s.WouldRefuse(other)
		follower.WouldRefuse(license.WouldRefuse{User: "ada", Machine: ws101, Denial: spared.Denial})
		if got := journalled(); got != 3 {
			t.Errorf("journalled %d with another reason and another machine, want 3", got)
		}
		time.Sleep(refusalPeriod)
		follower.WouldRefuse(spared)
		if got := journalled(); got != 4 {
			t.Errorf("journalled %d after a minute, want 4", got)
		}
		time.Sleep(time.Minute)
		for i := range 300 {
			flood := spared
			flood.Machine = license.Machine{ID: fmt.Sprint("m-", i)}
			if i%2 == 0 {
				s.WouldRefuse(flood)
			} else {
				follower.WouldRefuse(flood)
			}
		}
		time.Sleep(refusalsMoment) // after which those that come go together
		most := refusalsSecond + int(refusalsMoment*refusalsSecond/time.Second)
		if got := journalled() - 4; got < refusalsSecond || got > most {
			t.Errorf("journalled %d of 300 at once on two nodes, want %d, and no more than %d with those of a moment", got, refusalsSecond, most)
		}
		if held := len(s.books.holds); held != 0 {
			t.Errorf("%d holds were opened by what was only observed", held)
		}
	})
}
