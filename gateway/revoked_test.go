package gateway

import (
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

// What the vendor takes back is in the log at once, and while there is no leader it waits.
func TestWhatIsRevokedReachesTheLog(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		at := func(user license.UserID) (at license.Time) {
			s.log.View(func(st *license.State) { at = license.RevokedAt(st, user) })
			return at
		}
		now := s.log.Now()
		s.Revoked("ada", now)
		synctest.Wait()
		if got := at("ada"); got != now {
			t.Fatalf("ada: got %v, want %v", got, now)
		}
		for i := range license.Time(100) { // who is denied asks again
			s.Revoked("ada", now+i)
		}
		time.Sleep(2 * revokedEvery)
		synctest.Wait()
		if got := at("ada"); got != now+99 {
			t.Errorf("ada: got %v, want the last, %v", got, now+99)
		}
		if n := s.facts(func(f license.Fact) bool { _, ok := f.(license.PoliciesRevoked); return ok }); n != 2 {
			t.Errorf("%d entries for a hundred at once, want 2", n)
		}
		s.log.mu.Lock()
		s.log.drop = func() {} // a leader that is lost before it is told
		s.log.mu.Unlock()
		s.Revoked("ben", now)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := at("ben"); got != now {
			t.Errorf("ben: got %v, want %v in spite of a leader that was lost", got, now)
		}
	})
}
