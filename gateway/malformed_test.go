package gateway

import (
	"slices"
	"testing"
	"time"

	"sitegate/license"
)

func (s *site) malformed() (list []license.Quarantined) {
	s.log.View(func(st *license.State) { list = st.Quarantined() })
	return list
}

func TestWhatCannotBeUnderstoodIsListedUntilItIsMended(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		wantGranted(t, s.start(t, 1, ws101), false)
		s.books.set(func() {
			s.books.feed = append(s.books.feed,
				license.Change{DeleteLicense: "L1", Malformed: "it has no end"},
				license.Change{User: &license.User{ID: "cyd", Country: "DE"}},
				license.Change{DeleteUser: "zoe", Malformed: "another id is in it"})
		})
		s.wait(time.Minute)
		if got := s.malformed(); len(got) != 2 || got[1].ID != "L1" || got[1].Why != "it has no end" {
			t.Fatalf("got %+v, want L1 and zoe", got)
		}
		if x := s.session(1); x.Notice == nil || x.Notice.Reason != license.EndUnassigned {
			t.Errorf("got %+v, want the session on notice: what cannot be understood grants nothing", x.Notice)
		}
		s.want(t, 3, 1)
		// Read anew, it is still so, and there is nothing to say of it. What the list says
		// no more is not listed.
		s.books.set(func() {
			s.books.feed = slices.DeleteFunc(s.books.feed[:len(s.books.feed)-1], func(c license.Change) bool { return c.License != nil && c.License.ID == "L1" })
			s.books.reset = true
		})
		s.wait(time.Minute)
		if got := s.malformed(); len(got) != 1 || got[0].ID != "L1" {
			t.Fatalf("after the list was read anew: got %+v, want L1", got)
		}
		s.books.set(func() {
			s.books.feed = append(s.books.feed, license.Change{License: &license.License{ID: "L1", Product: "road", Assignee: "ada"}})
		})
		s.wait(time.Minute)
		if got := s.malformed(); len(got) != 0 {
			t.Errorf("after it was mended: got %+v, want none", got)
		}
		if n := told[license.MirrorQuarantined](s); n != 1 {
			t.Errorf("told of it %d times, want once", n)
		}
	})
}

// A reading from the beginning says nearly all again; the log hears of what has
// changed.
func TestReadAnewTheLogHearsOnlyOfWhatHasChanged(t *testing.T) {
	crowded(t, func(t *testing.T, s *site) {
		changes := func() (n int) {
			for _, c := range s.log.asked {
				if m, ok := c.(license.Mirror); ok {
					n += len(m.Changes)
				}
			}
			return n
		}
		before := changes()
		s.books.set(func() {
			s.books.reset = true
			s.books.feed = append(s.books.feed, license.Change{User: &license.User{ID: "new"}})
		})
		s.wait(time.Minute)
		if n := changes() - before; n != 1 {
			t.Errorf("read anew, the log heard of %d changes, want the one that is new", n)
		}
		// Nor while the list is held back, which is read anew every hour.
		before = changes()
		s.books.set(func() { s.books.feed, s.books.reset = s.books.feed[:1], true })
		s.wait(5 * time.Hour)
		if s.head().Held.Since == 0 {
			t.Fatal("the mirror is not held back")
		}
		if n := changes() - before; n != 0 {
			t.Errorf("while it was held back the log heard of %d changes, want none", n)
		}
	})
}

// Two changes of one record in a page are both for the log, though the second says
// what the state has.
func TestAChangeAndItsUndoingAreBothBroughtIn(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		ada := license.User{ID: "ada", Email: "ada@firm.example", Country: "FR"}
		other := ada
		other.Country = "NO"
		s.books.set(func() {
			s.books.feed = append(s.books.feed, license.Change{User: &other}, license.Change{User: &ada})
		})
		s.wait(time.Minute)
		s.log.View(func(st *license.State) {
			if u := st.User("ada"); u.Country != "FR" {
				t.Errorf("got %+v, want what was said last", u)
			}
		})
	})
}
