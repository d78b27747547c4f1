package gateway

import (
	"slices"
	"testing"
	"time"

	"sitegate/license"
)

// Modes that were taken anew from the file are the site's while the node leads, however often
// that is done, and nothing else of its settings changes.
func TestModesAreTakenAnew(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		now := func() (set license.Settings) {
			s.log.View(func(st *license.State) { set = st.Head().Settings })
			return set
		}
		before := now()
		for _, want := range [][]license.Mode{{{Observe: true}}, {{Product: "road", Observe: true}, {Network: "10.0.0.0/8", Observe: true}}, nil} {
			s.SetModes(want)
			s.SetModes(want)
			s.wait(5 * time.Second)
			if got := now().Modes; !slices.Equal(got, want) {
				t.Errorf("the site's modes are %+v, want %+v", got, want)
			}
		}
		if !license.SettingsEqual(now(), before) {
			t.Errorf("the site's settings are %+v, want those of before: %+v", now(), before)
		}
		s.SetModes([]license.Mode{{Network: "no network"}}) // which the rules refuse
		s.wait(5 * time.Second)
		s.SetModes([]license.Mode{{Observe: true}})
		s.wait(5 * time.Second)
		if got := now().Modes; len(got) != 1 || !got[0].Observe {
			t.Errorf("after settings that were refused the modes are %+v", got)
		}
	})
}
