package gateway

import (
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

func TestWhatIsLearnedCostsOneEntryADay(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		entries := func() int {
			return s.facts(func(f license.Fact) bool { _, ok := f.(license.LearnedOf); return ok })
		}
		see := func() {
			for range 50 {
				s.Learn(license.Learned{User: "ada", Product: "stray", Country: "DE"})
				s.Learn(license.Learned{User: "ada", Product: "road"}) // which the mirror has
				s.Learn(license.Learned{User: "zoe", Product: "stray"})
			}
			time.Sleep(2 * learnEvery)
			synctest.Wait()
		}
		see()
		see()
		if got := entries(); got != 1 {
			t.Errorf("200 sights of two uses made %d entries, want 1", got)
		}
		s.log.View(func(st *license.State) {
			if got := license.AllLearned(st); len(got) != 2 || got[0].User != "ada" || got[1].User != "zoe" {
				t.Errorf("learned %+v, want the two uses that the mirror does not have", got)
			}
		})
		time.Sleep(learnAgain)
		see()
		if got := entries(); got != 2 {
			t.Errorf("a day later there are %d entries, want 2", got)
		}
	})
}
