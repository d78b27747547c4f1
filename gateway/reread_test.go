package gateway

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

// backup is the site's state as a backup keeps it.
func (s *site) backup() (st *license.State) {
	s.log.View(func(now *license.State) { st = now.Clone() })
	return st
}

// restored stops the site and runs another one on a backup, with the same cloud.
func (s *site) restored(t *testing.T, from *license.State, cloud Cloud) *site {
	t.Helper()
	s.end()
	log := newSoloLog()
	log.term = 7
	log.state = from.Clone()
	epoch := uint64(time.Now().Unix())
	log.state.Restore(license.Beginning{Epoch: epoch, Cluster: "site-1", At: log.Now(), Node: "n1", Instance: "new"})
	if out, err := log.apply(license.Resume{Epoch: epoch}); err != nil || out.Denial != nil {
		t.Fatalf("going on: %+v, %v", out, err)
	}
	return runSite(t, log, s.books, cloud)
}

func (s *site) lend(t *testing.T, n byte, user license.UserID, m license.Machine) license.Outcome {
	t.Helper()
	a, err := s.CheckOut(context.Background(), license.CheckOut{ID: license.ID{n}, User: user, Product: "road", Machine: m, Until: s.log.Now().Add(72 * time.Hour)})
	if err != nil {
		t.Fatalf("checkout %d: %v", n, err)
	}
	return a.Outcome
}

// I1: ben returned his checkout, and ada made one, after the backup. The restored site
// learns both from the cloud, before it tells the cloud anything, and grants nothing
// capped before the longest lease is over.
func TestARestoredSiteLearnsItsCheckoutsFromTheCloud(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		if out := s.lend(t, 1, "ben", ws101); out.Denial != nil {
			t.Fatalf("%+v", out.Denial)
		}
		backup := s.backup()
		if _, err := s.Return(context.Background(), license.Return{ID: license.ID{1}, User: "ben", Machine: ws101}); err != nil {
			t.Fatal(err)
		}
		if out := s.lend(t, 2, "ada", ws202); out.Denial != nil {
			t.Fatalf("%+v", out.Denial)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		sent := 0
		s.books.set(func() { s.books.mute = true; s.books.listing = func() { sent++ } })
		s = s.restored(t, backup, s.books)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if sent != 0 {
			t.Errorf("the full list was sent %d times before the cloud had told of the checkouts", sent)
		}
		if d := s.start(t, 3, ws101).Denial; d == nil || d.Reason != license.AfterRestore || d.Until != 0 {
			t.Errorf("a start before the cloud has told: %+v", d)
		}

		s.books.set(func() { s.books.mute = false })
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		s.log.View(func(st *license.State) {
			if st.Checkout(license.ID{1}) != nil || st.Checkout(license.ID{2}) == nil || !st.Head().Restored.Read {
				t.Errorf("ben's %v, ada's %v, %+v; want ada's alone, and the books read", st.Checkout(license.ID{1}), st.Checkout(license.ID{2}), st.Head().Restored)
			}
		})
		s.books.set(func() {
			if _, ok := s.books.holds[license.ID{2}]; !ok || len(s.books.holds) != 1 || sent == 0 {
				t.Errorf("the cloud has %v after %d full lists, want ada's checkout after at least one", s.books.holds, sent)
			}
		})
		if a, err := s.Start(context.Background(), license.Start{ID: license.ID{4}, User: "ben", Product: "road", Machine: ws202}); err != nil ||
			a.Outcome.Denial == nil || a.Outcome.Denial.Reason != license.AfterRestore || a.Outcome.Denial.Until == 0 {
			t.Errorf("ben's start during the wait: %+v, %v; want until when", a.Outcome.Denial, err)
		}
		time.Sleep(license.MaxLeaseTTL)
		synctest.Wait()
		if d := s.start(t, 5, ws101).Denial; d == nil || d.Reason != license.MachineActive || d.Machine.Name != ws202.Name {
			t.Errorf("ada's start after the wait: %+v, want %s in the way", d, ws202.Name)
		}
		if a, err := s.Start(context.Background(), license.Start{ID: license.ID{6}, User: "ben", Product: "road", Machine: ws202}); err != nil || a.Outcome.Denial != nil {
			t.Errorf("ben's start after the wait: %+v, %v", a.Outcome.Denial, err)
		}
	})
}

// wordless is a cloud that has no list of holds.
type wordless struct{ Cloud }

func TestWhereTheCloudHasNoListAnAdministratorAccepts(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		if out := s.lend(t, 1, "ben", ws101); out.Denial != nil {
			t.Fatalf("%+v", out.Denial)
		}
		backup := s.backup()
		s = s.restored(t, backup, wordless{s.books})
		sent := 0
		s.books.set(func() { s.books.listing = func() { sent++ } })
		time.Sleep(2 * license.MaxLeaseTTL)
		synctest.Wait()
		if d := s.start(t, 3, ws101).Denial; d == nil || d.Reason != license.AfterRestore || sent != 0 {
			t.Errorf("before anybody accepts: %+v after %d full lists", d, sent)
		}
		a, err := s.AcceptRestore(context.Background(), license.AcceptRestore{By: "ida", Note: "asked everybody"})
		if err != nil || a.Outcome.Denial != nil {
			t.Fatalf("accepting: %+v, %v", a.Outcome.Denial, err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if d := s.start(t, 4, ws101).Denial; d != nil || sent == 0 {
			t.Errorf("after it: %+v, and %d full lists", d, sent)
		}
		if n := s.facts(func(f license.Fact) bool { _, ok := f.(license.RestoreAccepted); return ok }); n != 1 {
			t.Errorf("%d facts of it in the journal, want 1", n)
		}
	})
}
