package license

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

type peak struct {
	Product  ProductID
	Machines int
	At       Time
}

// peaksOf are the highest of all days.
func peaksOf(usage []Usage, from, until Time, pooled bool) []peak {
	c := NewPeakCount(from, until, 1<<30)
	for i := range usage {
		c.Add(&usage[i])
	}
	highest := map[ProductID]peak{}
	for _, p := range c.Peaks() {
		if pooled {
			p.Machines, p.At = p.Pooled, p.PooledAt
		}
		if p.Machines > highest[p.Product].Machines {
			highest[p.Product] = peak{p.Product, p.Machines, p.At}
		}
	}
	return slices.SortedFunc(maps.Values(highest), func(a, b peak) int { return cmp.Compare(a.Product, b.Product) })
}

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
		want  []peak
	}{
		{"nothing", nil, nil},
		{"the first, partial interval is not counted", []Usage{use("micro", one, "09:03:00", "09:25:00")}, []peak{{"micro", 1, at("09:10:00")}}},
		{"one that begins with its interval is whole", []Usage{use("micro", one, "09:10:00", "09:10:01")}, []peak{{"micro", 1, at("09:10:00")}}},
		{"within one interval", []Usage{use("micro", one, "09:01:00", "09:09:59")}, nil},
		{"to the end of its first interval", []Usage{use("micro", one, "09:01:00", "09:10:00")}, nil},
		{"just into the next, which counts as a whole", []Usage{use("micro", one, "09:01:00", "09:10:01"), use("micro", two, "09:01:00", "09:19:00")},
			[]peak{{"micro", 2, at("09:10:00")}}},
		{"one after the other", []Usage{use("micro", one, "09:00:00", "09:20:00"), use("micro", two, "09:20:00", "09:40:00")},
			[]peak{{"micro", 1, at("09:00:00")}}},
		{"one after the other, in one interval", []Usage{use("micro", one, "09:00:00", "09:21:00"), use("micro", two, "09:20:00", "09:40:00")},
			[]peak{{"micro", 2, at("09:20:00")}}},
		{"one user on three machines", []Usage{use("micro", one, "09:00:00", "10:00:00"), use("micro", two, "09:00:00", "10:00:00"),
			use("micro", three, "09:30:00", "10:00:00")}, []peak{{"micro", 3, at("09:30:00")}}},
		{"twice on one machine, which stays", []Usage{use("micro", one, "09:00:00", "09:20:00"), use("micro", one, "09:00:00", "10:00:00"),
			use("micro", two, "09:30:00", "10:00:00")}, []peak{{"micro", 2, at("09:30:00")}}},
		{"a machine with and without its id", []Usage{use("micro", one, "09:00:00", "10:00:00"), use("micro", Machine{Name: `CORP\ws-1`}, "09:00:00", "10:00:00"),
			use("micro", three, "09:00:00", "10:00:00"), use("micro", Machine{Name: "WS-3"}, "09:00:00", "10:00:00")}, []peak{{"micro", 2, at("09:00:00")}}},
		{"by product", []Usage{use("stad", one, "09:00:00", "10:00:00"), use("micro", one, "09:30:00", "10:00:00")},
			[]peak{{"micro", 1, at("09:30:00")}, {"stad", 1, at("09:00:00")}}},
		{"the time asked for", []Usage{use("micro", one, "07:00:00", "19:00:00"), use("micro", two, "07:00:00", "08:00:00"), use("micro", three, "18:00:00", "20:00:00")},
			[]peak{{"micro", 1, at("08:00:00")}}},
		{"Practitioner use is not pooled", []Usage{use("micro", one, "09:00:00", "10:00:00", Practitioner), use("micro", two, "09:00:00", "10:00:00", ""),
			use("micro", three, "09:00:00", "10:00:00", TypeCommercial)}, []peak{{"micro", 1, at("09:00:00")}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := peaksOf(c.usage, at("08:00:00"), at("18:00:00"), true); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
	mine := []Usage{use("micro", one, "09:00:00", "10:00:00", Practitioner)}
	if got := peaksOf(mine, at("08:00:00"), at("18:00:00"), false); len(got) != 1 || got[0].Machines != 1 {
		t.Errorf("all use: got %+v, want one machine", got)
	}
}

// The count agrees with one that looks at every interval of its own, in whatever
// order and how often the records come, and where it counts a shorter time for lack
// of memory it does so for that time.
func TestPeaksAgreeWithANaiveCount(t *testing.T) {
	const day = 24 * time.Hour
	start := TimeOf(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC))
	shorter := 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 10))
		from := start.Add(time.Duration(r.IntN(36)) * time.Hour)
		until := from.Add(time.Duration(1+r.IntN(5*24*60)) * time.Minute)
		var usage []Usage
		for range r.IntN(300) {
			begin := start.Add(time.Duration(r.Int64N(int64(7 * day))))
			n := r.IntN(20)
			m := Machine{Name: fmt.Sprint("WS-", n)}
			if r.IntN(2) == 0 {
				m.ID = fmt.Sprint("id-", n)
			}
			if n > 17 && r.IntN(2) == 0 {
				m.ID = fmt.Sprint("another-", n) // two machines with one name: by it alone, a third
			}
			usage = append(usage, Usage{Product: ProductID(fmt.Sprint("p", r.IntN(3))), Machine: m, Started: begin,
				Ended: begin.Add(time.Duration(r.Int64N(int64(day)))), LicenseType: []string{"", Practitioner, TypePooled}[r.IntN(3)]})
		}
		c := NewPeakCount(from, until, []int{1 << 30, 8000}[seed%2])
		for range 2 {
			for i := range usage {
				c.Add(&usage[i])
			}
			r.Shuffle(len(usage), func(i, j int) { usage[i], usage[j] = usage[j], usage[i] })
		}
		if c.Full() {
			continue
		}
		if c.Until() > until.Add(PeakInterval) || c.Until() < from {
			t.Fatalf("seed %d: it counts until %v, asked for %v to %v", seed, c.Until(), from, until)
		}
		if c.Until() < until {
			shorter++
		}
		if got, want := c.Peaks(), naivePeaks(usage, from, min(c.Until(), until)); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d, %v to %v: got\n%+v\nwant\n%+v", seed, from, c.Until(), got, want)
		}
	}
	if shorter == 0 {
		t.Error("it never had to count a shorter time")
	}
}

// naivePeaks asks of every interval which machines ran in it. Names go with an id
// where only one is known for them.
func naivePeaks(usage []Usage, from, until Time) []Peak {
	const ten = Time(10 * 60 * 1000)
	inIt := func(u Usage, at Time) bool { return u.Started <= at && at < u.Ended }
	var grid []Time
	for at := from / ten * ten; at < until; at += ten {
		if at >= from {
			grid = append(grid, at)
		}
	}
	ids := map[string]map[string]bool{}
	for _, u := range usage {
		if u.Machine.ID != "" {
			if ids[u.Machine.Name] == nil {
				ids[u.Machine.Name] = map[string]bool{}
			}
			ids[u.Machine.Name][u.Machine.ID] = true
		}
	}
	which := func(m Machine) string {
		if known := ids[m.Name]; m.ID == "" && len(known) == 1 {
			for id := range known {
				return id
			}
		}
		return cmp.Or(m.ID, "name "+m.Name)
	}
	var peaks []Peak
	for _, at := range grid {
		for _, product := range []ProductID{"p0", "p1", "p2"} {
			all, pooled := map[string]bool{}, map[string]bool{}
			for _, u := range usage {
				if u.Product == product && inIt(u, at) {
					all[which(u.Machine)] = true
					if u.LicenseType == TypePooled {
						pooled[which(u.Machine)] = true
					}
				}
			}
			if len(all) == 0 {
				continue
			}
			i := slices.IndexFunc(peaks, func(p Peak) bool { return p.Product == product && at-p.Day < 144*ten })
			if i < 0 {
				i = len(peaks)
				peaks = append(peaks, Peak{Day: at / (144 * ten) * (144 * ten), Product: product})
			}
			if p := &peaks[i]; len(all) > p.Machines {
				p.Machines, p.At = len(all), at
			}
			if p := &peaks[i]; len(pooled) > p.Pooled {
				p.Pooled, p.PooledAt = len(pooled), at
			}
		}
	}
	slices.SortFunc(peaks, func(a, b Peak) int { return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Product, b.Product)) })
	return peaks
}

// What does not fit for a day is said, and never counted in part.
func TestTooManyMachinesForTheMemory(t *testing.T) {
	start := TimeOf(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC))
	c := NewPeakCount(start, start.Add(400*24*time.Hour), 100_000)
	for i := range 1000 {
		c.Add(&Usage{Product: "micro", Machine: Machine{ID: fmt.Sprint(i)}, Started: start, Ended: start.Add(time.Hour)})
	}
	if !c.Full() || c.Peaks() != nil {
		t.Errorf("a thousand machines in a tenth of a megabyte: full %t, peaks %v", c.Full(), c.Peaks())
	}
	if len(c.uses) > 400 {
		t.Errorf("it keeps %d uses", len(c.uses))
	}
}
