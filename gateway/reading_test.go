package gateway

import (
	"testing"
	"time"

	"sitegate/license"
)

// Pieces of a page may come in in any order only where no two of them are about the same.
func TestAPageThatSaysTwoThingsOfTheSameIsNotApart(t *testing.T) {
	s := license.NewState()
	license.Apply(s, license.Entry{At: license.TimeOf(time.Unix(1, 0)), Command: license.Mirror{Cursor: "1", Changes: []license.Change{
		{Product: &license.Product{ID: "road", Name: "Road"}}, {User: &license.User{ID: "ada"}}}}})
	view := func(f func(*license.State)) { f(s) }
	filler := make([]license.Change, lookAt) // so that they are looked at by themselves
	for i := range filler {
		filler[i] = license.Change{User: &license.User{ID: license.UserID(rune('a' + i%26)), Name: string(rune(i + 1))}}
	}
	put := func(name string) license.Change {
		return license.Change{Product: &license.Product{ID: "road", Name: name}}
	}
	gone := license.Change{DeleteProduct: "road"}
	for name, test := range map[string]struct {
		changes []license.Change
		gains   int
		losses  int
		apart   bool
	}{
		"one of each":                {[]license.Change{put("Rail"), {User: &license.User{ID: "ben"}}}, 2, 0, true},
		"nothing new":                {[]license.Change{put("Road"), {User: &license.User{ID: "ada"}}}, 0, 0, true},
		"changed twice":              {[]license.Change{put("Rail"), put("Sea")}, 2, 0, false},
		"changed, and as it was":     {[]license.Change{put("Rail"), put("Road")}, 2, 0, false},
		"changed, and gone":          {[]license.Change{put("Rail"), gone}, 1, 1, false},
		"gone, and there again":      {[]license.Change{gone, put("Rail")}, 1, 0, true},
		"gone, and there as it was":  {[]license.Change{gone, put("Road")}, 0, 0, true},
		"new, and gone at once":      {[]license.Change{{User: &license.User{ID: "cleo"}}, {DeleteUser: "cleo"}}, 2, 0, false},
		"what is far apart in it":    {append(append([]license.Change{put("Rail")}, filler...), gone), 1 + lookAt, 1, false},
		"many of whom some are told": {filler, lookAt, 0, false},
	} {
		r := readOn(license.Head{})
		gains, apart := r.take(view, license.Page{Cursor: "2", Changes: test.changes})
		if len(gains) != test.gains || len(r.losses) != test.losses || apart != test.apart || r.cursor != "2" || !r.whole {
			t.Errorf("%s: got %d gains, %d losses, apart %t; want %d, %d, %t", name, len(gains), len(r.losses), apart, test.gains, test.losses, test.apart)
		}
	}
}
