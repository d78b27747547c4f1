package gateway

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

func (s *site) relayed(t *testing.T, n byte, m license.Machine, offline bool) license.Outcome {
	t.Helper()
	a, err := s.StartRelayed(context.Background(), license.Start{ID: license.ID{n}, User: "ada", Product: "road", Machine: m, Offline: offline})
	if err != nil {
		t.Fatalf("relayed start %d on %s: %v", n, m.Name, err)
	}
	return a.Outcome
}

// What the vendor has signed is agreed to: the cloud is not asked, and hears of it with
// the next full list.
func TestRelayedStartAsksNobody(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		asked := s.books.asked
		wantGranted(t, s.relayed(t, 1, ws101, false), false)
		if s.books.asked != asked {
			t.Errorf("the cloud was asked %d times for what it had signed", s.books.asked-asked)
		}
		time.Sleep(renewEvery)
		synctest.Wait()
		if h := s.books.of("ada"); h != ws101 {
			t.Errorf("a minute later the cloud's books have %+v, want %s", h, ws101.Name)
		}
	})
}

func TestRelayedStartOfWhatRunsIsThatSession(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.relayed(t, 1, ws101, false)
		var before license.Head
		s.log.View(func(st *license.State) { before = st.Head() })
		out := s.relayed(t, 2, license.Machine{Name: "ws-101.corp.example"}, false)
		if !out.Repeat || out.Session == nil || out.Session.ID != (license.ID{1}) {
			t.Errorf("got %+v, want the session that is there", out)
		}
		s.log.View(func(st *license.State) {
			if after := st.Head(); after.Seq != before.Seq || after.Now != before.Now {
				t.Errorf("the log went on from %d to %d, want no entry", before.Seq, after.Seq)
			}
		})
	})
}

// The cloud allows a second machine because it does not know of the first: the site
// refuses it, says so, and tells the cloud who holds what.
func TestRelayedStartOfASecondMachineIsRefusedAndReconciled(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.relayed(t, 1, ws101, false)
		for range 2 {
			wantDenied(t, s.relayed(t, 2, ws202, true), license.MachineActive)
		}
		synctest.Wait()
		told := s.facts(func(f license.Fact) bool {
			a, ok := f.(license.Attempted)
			return ok && a.Relayed && a.Offline && a.Machine == ws202
		})
		if told != 1 {
			t.Errorf("journalled %d refusals for two within a minute, want 1", told)
		}
		if h := s.books.of("ada"); h != ws101 {
			t.Errorf("the cloud's books have %+v at once, want %s", h, ws101.Name)
		}
	})
}

// A client of this site's own cannot pass for one that the vendor has signed for.
func TestStartOfTheAPIIsNotRelayed(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		a, err := s.Start(context.Background(), license.Start{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws101, Relayed: true, TTL: 3 * time.Minute})
		if err != nil || a.Outcome.Session == nil || a.Outcome.Session.Relayed {
			t.Errorf("got %+v, %v; want a session of the API's", a.Outcome, err)
		}
	})
}
