package gateway

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"sitegate/license"
)

// A feed that goes backwards, as of a cloud that was restored from a backup, is neither
// read for ever nor believed: everything is read anew, less and less often.
func TestAFeedThatGoesBackwardsIsReadAnew(t *testing.T) {
	for name, more := range map[string]bool{"page by page": false, "without an end": true} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, s *site) {
				wantGranted(t, s.start(t, 1, ws101), false)
				before := s.head()
				all := s.books.feed
				reads, entries := s.reads(time.Hour, func(cursor string, n int) license.Page {
					next := map[string]string{"c6": "back-1", "back-1": "back-2", "back-2": "back-3", "back-3": "back-1", "": "back-1"}
					changes := []license.Change{{User: &license.User{ID: "ada", Email: fmt.Sprint(n), Country: "FR"}}}
					if cursor == "" {
						changes = all
					}
					return license.Page{Cursor: next[cursor], More: more, Changes: changes}
				})
				if reads > 300 || entries > 300 {
					t.Errorf("read %d times in an hour, %d of them for the log; want it to be tried more and more seldom", reads, entries)
				}
				if x := s.session(1); x.Machine != ws101 || x.Notice != nil {
					t.Errorf("got %+v, want the session to go on", x)
				}
				if l := s.head().Link; l.Condition() != license.LinkUp {
					t.Errorf("the link is %s, want it up: the cloud answers", l.Condition())
				}
				// It is whole again.
				s.books.set(func() { s.books.pages = nil; s.books.reset = true })
				s.wait(time.Hour)
				s.want(t, 2, 2)
				if h := s.head(); h.Cursor != before.Cursor || h.Held.Since != 0 {
					t.Errorf("got cursor %s, held %+v; want %s, and nothing held back", h.Cursor, h.Held, before.Cursor)
				}
			})
		})
	}
}

// Whatever answers in the cloud's place takes nothing away, and what it is asked for
// later it gets.
func TestACloudThatAnswersGarbageTakesNothingAway(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		wantGranted(t, s.start(t, 1, ws101), false)
		before := s.head().Cursor
		s.books.set(func() {
			s.books.pages = func(string) (license.Page, error) { return license.Page{}, errors.New("that is no page") }
			s.books.invalid = true
		})
		s.stop(t, 1, ws101)
		s.wait(time.Hour)
		s.want(t, 2, 2)
		if h := s.head(); h.Cursor != before || h.UsageMade != 1 || h.UsageKept != 0 {
			t.Errorf("got cursor %s, %d of %d usage records kept; want %s, 0 of 1", h.Cursor, h.UsageKept, h.UsageMade, before)
		}
		s.books.set(func() { s.books.pages, s.books.invalid = nil, false })
		s.wait(time.Hour)
		if h := s.head(); h.UsageKept != 1 {
			t.Errorf("%d of %d usage records kept after the cloud was itself again", h.UsageKept, h.UsageMade)
		}
	})
}
