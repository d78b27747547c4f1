package license

import (
	"reflect"
	"testing"
	"time"
)

func TestPeaks(t *testing.T) {
	at := func(text string) Time {
		parsed, err := time.Parse("15:04:05", text)
		if err != nil {
			t.Fatal(err)
		}
		return TimeOf(time.Date(2026, 3, 2, parsed.Hour(), parsed.Minute(), parsed.Second(), 0, time.UTC))
	}
	use := func(product ProductID, m Machine, from, to string, typ ...string) Usage {
		u := Usage{User: "ann", Product: product, Machine: m, Started: at(from), Ended: at(to), LicenseType: TypePooled}
		if len(typ) > 0 {
			u.LicenseType = typ[0]
		}
		return u
	}
	one, two, three := Machine{ID: "1", Name: "WS-1"}, Machine{ID: "2", Name: "WS-2"}, Machine{Name: "ws-3.corp.example"}
	for _, c := range []struct {
		name  string
		usage []Usage
		want  []Peak
	}{
		{"nothing", nil, nil},
		{"the first, partial interval is not counted", []Usage{use("micro", one, "09:03:00", "09:25:00")}, []Peak{{"micro", 1, at("09:10:00")}}},
		{"one that begins with its interval is whole", []Usage{use("micro", one, "09:10:00", "09:10:01")}, []Peak{{"micro", 1, at("09:10:00")}}},
		{"within one interval", []Usage{use("micro", one, "09:01:00", "09:09:59")}, nil},
		{"to the end of its first interval", []Usage{use("micro", one, "09:01:00", "09:10:00")}, nil},
		{"just into the next, which counts as a whole", []Usage{use("micro", one, "09:01:00", "09:10:01"), use("micro", two, "09:01:00", "09:19:00")},
			[]Peak{{"micro", 2, at("09:10:00")}}},
		{"one after the other", []Usage{use("micro", one, "09:00:00", "09:20:00"), use("micro", two, "09:20:00", "09:40:00")},
			[]Peak{{"micro", 1, at("09:00:00")}}},
		{"one after the other, in one interval", []Usage{use("micro", one, "09:00:00", "09:21:00"), use("micro", two, "09:20:00", "09:40:00")},
			[]Peak{{"micro", 2, at("09:20:00")}}},
		{"one user on three machines", []Usage{use("micro", one, "09:00:00", "10:00:00"), use("micro", two, "09:00:00", "10:00:00"),
			use("micro", three, "09:30:00", "10:00:00")}, []Peak{{"micro", 3, at("09:30:00")}}},
		{"twice on one machine, which stays", []Usage{use("micro", one, "09:00:00", "09:20:00"), use("micro", one, "09:00:00", "10:00:00"),
			use("micro", two, "09:30:00", "10:00:00")}, []Peak{{"micro", 2, at("09:30:00")}}},
		{"a machine with and without its id", []Usage{use("micro", one, "09:00:00", "10:00:00"), use("micro", Machine{Name: `CORP\ws-1`}, "09:00:00", "10:00:00"),
			use("micro", three, "09:00:00", "10:00:00"), use("micro", Machine{Name: "WS-3"}, "09:00:00", "10:00:00")}, []Peak{{"micro", 2, at("09:00:00")}}},
		{"by product", []Usage{use("stad", one, "09:00:00", "10:00:00"), use("micro", one, "09:30:00", "10:00:00")},
			[]Peak{{"micro", 1, at("09:30:00")}, {"stad", 1, at("09:00:00")}}},
		{"the time asked for", []Usage{use("micro", one, "07:00:00", "19:00:00"), use("micro", two, "07:00:00", "08:00:00"), use("micro", three, "18:00:00", "20:00:00")},
			[]Peak{{"micro", 1, at("08:00:00")}}},
		{"Practitioner use is not pooled", []Usage{use("micro", one, "09:00:00", "10:00:00", Practitioner), use("micro", two, "09:00:00", "10:00:00", ""),
			use("micro", three, "09:00:00", "10:00:00", TypeCommercial)}, []Peak{{"micro", 1, at("09:00:00")}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := PooledPeaks(c.usage, at("08:00:00"), at("18:00:00")); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
	mine := []Usage{use("micro", one, "09:00:00", "10:00:00", Practitioner)}
	if got := Peaks(mine, at("08:00:00"), at("18:00:00")); len(got) != 1 || got[0].Machines != 1 {
		t.Errorf("all use: got %+v, want one machine", got)
	}
}
