package gateway

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

// reads counts how often the feed was read and what the log was told of it within
// the time.
func (s *site) reads(d time.Duration, pages func(cursor string, n int) license.Page) (reads, entries int) {
	before := s.pages()
	s.books.set(func() {
		s.books.pages = func(cursor string) (license.Page, error) {
			if reads++; reads > 5000 {
				time.Sleep(time.Hour)
			}
			return pages(cursor, reads), nil
		}
	})
	s.wait(d)
	return reads, s.pages() - before
}

func TestACursorThatMovesByItselfIsNotAskedOrWrittenDownWithoutEnd(t *testing.T) {
	for _, more := range []bool{false, true} {
		t.Run(fmt.Sprint("more=", more), func(t *testing.T) {
			story(t, func(t *testing.T, s *site) {
				reads, entries := s.reads(time.Hour, func(_ string, n int) license.Page {
					return license.Page{Cursor: fmt.Sprint("at-", n), More: more}
				})
				if reads < 60 || reads > 3700 {
					t.Errorf("read %d times in an hour, want one a second at the most", reads)
				}
				if entries < 1 || entries > 70 {
					t.Errorf("%d entries in an hour, want one a minute at the most", entries)
				}
			})
		})
	}
}

// A cloud that knows no cursor, not even its own, says everything each time.
func TestACloudThatKnowsNoCursorIsAskedMoreAndMoreSeldom(t *testing.T) {
	for _, more := range []bool{false, true} {
		t.Run(fmt.Sprint("more=", more), func(t *testing.T) {
			story(t, func(t *testing.T, s *site) {
				all := []license.Change{
					{Account: &license.Account{ID: "firm"}}, {User: &license.User{ID: "ada"}}, {User: &license.User{ID: "ben"}},
					{Product: &license.Product{ID: "road"}}, {License: &license.License{ID: "L1", Product: "road", Assignee: "ada"}},
					{License: &license.License{ID: "L2", Product: "road", Assignee: "ben"}}}
				reads, entries := s.reads(time.Hour, func(_ string, n int) license.Page {
					return license.Page{Cursor: fmt.Sprint("at-", n), Reset: true, More: more, Changes: all}
				})
				if reads < 5 || reads > 40 || entries > 40 {
					t.Errorf("read %d times with %d entries in an hour, want 5 to 40", reads, entries)
				}
				// When it does know one again, it is followed as ever.
				s.books.set(func() {
					s.books.pages = func(cursor string) (license.Page, error) {
						if cursor != "found" {
							return license.Page{Cursor: "found", Changes: all[:4]}, nil
						}
						time.Sleep(feedWait)
						return license.Page{Cursor: cursor}, nil
					}
				})
				s.wait(10 * time.Minute)
				if h := s.head(); h.Cursor != "found" {
					t.Errorf("the cursor is %q, want that of the cloud", h.Cursor)
				}
			})
		})
	}
}

func TestAPageThatTheRulesRefuseIsTriedMoreAndMoreSeldom(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		reads, _ := s.reads(time.Hour, func(cursor string, n int) license.Page {
			return license.Page{Cursor: cursor + "+", Changes: []license.Change{{}}}
		})
		if reads < 60 || reads > 150 {
			t.Errorf("read %d times in an hour, want about twice a minute", reads)
		}
	})
}

// An entry of the log has room for so many bytes; what is read is cut to fit.
func TestLargeRecordsAreCutIntoEntriesThatFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var countries []string
		for i := range 300 {
			countries = append(countries, fmt.Sprintf("%0256d", i))
		}
		s := newSiteOf(t, func(b *books) {
			for i := range 40 {
				b.feed = append(b.feed, license.Change{License: &license.License{ID: license.LicenseID(fmt.Sprint("big", i)), Product: "road", Countries: countries}})
			}
		})
		s.wait(time.Second)
		s.want(t, 2, 42)
		for _, c := range s.log.asked {
			m, ok := c.(license.Mirror)
			if !ok {
				continue
			}
			bytes := 0
			for i := range m.Changes {
				bytes += size(&m.Changes[i])
			}
			if most := 400 << 10; bytes > most {
				t.Errorf("an entry with %d changes of %d bytes, want %d at the most", len(m.Changes), bytes, most)
			}
		}
	})
}

// A feed that always has more to say keeps nobody's right alive.
func TestWhatIsTakenDoesNotWaitForAFeedWithoutEnd(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.start(t, 1, ws101)
		s.reads(2*time.Minute, func(_ string, n int) license.Page {
			time.Sleep(time.Second)
			c := license.Change{User: &license.User{ID: license.UserID(fmt.Sprint("new", n))}}
			if n == 1 {
				c = license.Change{DeleteLicense: "L1"}
			}
			return license.Page{Cursor: fmt.Sprint("at-", n), More: true, Changes: []license.Change{c}}
		})
		if x := s.session(1); x.Notice == nil || x.Notice.Reason != license.EndUnassigned {
			t.Errorf("got %+v, want the session on notice", x.Notice)
		}
		if h := s.head(); len(h.Cursor) < len("at-10") {
			t.Errorf("the cursor is %s, want it to go on when everything is in", h.Cursor)
		}
	})
}

// A cloud that answers but for its feed is no old contact, and an old mirror.
func TestHowOldTheMirrorIsIsKnown(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.wait(2 * time.Minute)
		before := s.head().Link
		if age := s.log.Now().Sub(before.Read); before.Read == 0 || age > 2*time.Minute {
			t.Fatalf("read %v ago, want just now", age)
		}
		s.books.set(func() {
			s.books.pages = func(string) (license.Page, error) { return license.Page{}, errors.New("that is no page") }
		})
		s.wait(2 * time.Hour)
		if l := s.head().Link; !l.Up || s.log.Now().Sub(l.Contact) > 2*time.Minute || l.Read.Sub(before.Read) > 2*time.Minute {
			t.Errorf("link: %+v at %v, want it up and heard of, and the feed read two hours ago", l, s.log.Now())
		}
		s.elect(t)
		s.wait(5 * time.Minute)
		if l := s.head().Link; l.Read.Sub(before.Read) > 2*time.Minute {
			t.Errorf("with another leader: %+v, want what was known before", l)
		}
	})
}
