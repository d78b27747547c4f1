package gateway

import (
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

func (s *site) sees(m license.Machine, run string, ends bool) {
	s.NoteObserved(Observation{Start: license.Start{ID: license.ID{9}, User: "ada", Product: "road", Machine: m}, Address: "10.0.0.7", Run: run, Ends: ends})
	synctest.Wait()
}

// spared are the refusals that were journalled as what would have been.
func (s *site) sparedFrom(m license.Machine) int {
	return s.facts(func(f license.Fact) bool {
		w, ok := f.(license.WouldHaveRefused)
		return ok && w.Machine == m && w.Denial.Reason == license.MachineActive && w.Address == "10.0.0.7"
	})
}

// Of two machines that the vendor lets work at once, the second would have been refused: until
// the first is heard to end, or of no more.
func TestTwoObservedMachinesAreNoted(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		want := func(what string, n int) {
			t.Helper()
			if got := s.sparedFrom(ws202); got != n {
				t.Errorf("%s: %d refusals of the second machine were spared, want %d", what, got, n)
			}
		}
		s.sees(ws101, "", false)
		s.sees(ws101, "", false)
		want("the first machine alone", 0)
		s.sees(ws202, "", false)
		s.sees(ws202, "", false)
		want("a second one", 1)
		s.sees(ws202, "r-2", false)
		want("what it posts", 1)
		s.sees(ws101, "r-1", false)
		s.sees(ws101, "r-9", true) // nobody knows of it
		time.Sleep(refusalPeriod)
		s.sees(ws202, "", false)
		want("a minute later", 2)
		s.sees(ws101, "r-1", true)
		time.Sleep(refusalPeriod)
		s.sees(ws202, "", false)
		want("the first has ended", 2)
		if got := s.sparedFrom(ws101); got != 0 {
			t.Errorf("%d refusals of the first machine were spared, want none", got)
		}
		s.sees(ws101, "", false)
		if got := s.sparedFrom(ws101); got != 1 {
			t.Errorf("%d refusals of the first machine after the second has begun, want 1", got)
		}
		time.Sleep(license.DefaultRelayedLease)
		s.sees(ws101, "", false)
		if got := s.sparedFrom(ws101); got != 1 {
			t.Errorf("%d refusals of the first machine once the second was heard of no more, want 1", got)
		}
		if held := len(s.books.holds); held != 0 {
			t.Errorf("%d holds were opened by what was only observed", held)
		}
	})
}

func TestObservedUsersAreBounded(t *testing.T) {
	o := newObserving()
	for i := range maxObserved + 10 {
		o.keep(license.UserID(rune(i)), []observedUse{{until: 100}}, license.Time(i%200))
	}
	if len(o.users) > maxObserved {
		t.Errorf("%d users are remembered, want %d at most", len(o.users), maxObserved)
	}
}

// That a refusal does not hold its client is told, even where one that held it was told just
// before; and what was withheld without a start is told as well, by whichever node.
func TestWhetherARefusalHoldsIsNeverLost(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.relayed(t, 1, ws101, false)
		for _, offline := range []bool{false, true, false, true} {
			wantDenied(t, s.relayed(t, 2, ws202, offline), license.MachineActive)
		}
		withheld := license.Refused{User: "ada", Machine: ws202, Denial: license.Denial{Reason: license.UserBlockedHere, Product: "road"}}
		for range 2 {
			s.Withheld(withheld)
			withheld.Offline = true
			s.Withheld(withheld)
		}
		synctest.Wait()
		got := map[license.Reason][2]int{}
		s.facts(func(f license.Fact) bool {
			if a, ok := f.(license.Attempted); ok && a.Relayed {
				n := got[a.Denial.Reason]
				if a.Offline {
					n[1]++
				} else {
					n[0]++
				}
				got[a.Denial.Reason] = n
			}
			return false
		})
		for _, r := range []license.Reason{license.MachineActive, license.UserBlockedHere} {
			if got[r] != [2]int{1, 1} {
				t.Errorf("%s: %d refusals that hold and %d that do not are journalled, want one of each", r, got[r][0], got[r][1])
			}
		}
	})
}
