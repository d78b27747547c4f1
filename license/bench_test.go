package license

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// BenchmarkStartStop is one start or stop of a capped product, in turn, at a site of
// which a tenth of the users hold something already. The users come in no order, and
// each stops when ten thousand others (of the small site: ten) have started meanwhile,
// so that nothing of theirs is at hand any more. A thousand entries are made at a time,
// as they are decoded where the log is applied; that, and what a store takes in
// between, the records that changed, is not part of it.
func BenchmarkStartStop(b *testing.B) {
	for _, users := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprint("users=", users), func(b *testing.B) {
			s, now := busySite(b, users)
			idle := rand.New(rand.NewPCG(1, 2)).Perm(users - users/10)
			starts, between := 0, users/100
			who := func(n int) (ID, UserID, Machine) {
				return idN(users + n), benchUser(users/10 + idle[n%len(idle)]), Machine{ID: strings.Clone(benchMachine.ID), Name: strings.Clone(benchMachine.Name)}
			}
			start := func() Entry {
				id, user, m := who(starts)
				starts++
				now++
				return Entry{now, Start{ID: id, User: user, Product: ProductID(strings.Clone("micro")), Machine: m, Agreed: true}}
			}
			stop := func() Entry {
				id, user, m := who(starts - 1 - between)
				now++
				return Entry{now, Stop{ID: id, User: user, Machine: m}}
			}
			for range between {
				Apply(s, start())
			}
			var entries []Entry
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%1000 == 0 {
					b.StopTimer()
					s.TakeChanged(keepNothing)
					entries = entries[:0]
					for range 500 {
						entries = append(entries, start(), stop())
					}
					b.StartTimer()
				}
				if out, _ := Apply(s, entries[i%1000]); out.Denial != nil {
					b.Fatal(out.Denial.Reason)
				}
			}
		})
	}
}

// BenchmarkLookUp is what this machine takes for the least a command needs: to find
// one of so many users in a map, in no order, and to read something of theirs.
func BenchmarkLookUp(b *testing.B) {
	for _, users := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprint("users=", users), func(b *testing.B) {
			type person struct {
				id      UserID
				country string
				_       [48]byte
			}
			people := make(map[UserID]*person)
			for i := range users {
				id := benchUser(i)
				people[id] = &person{id: id, country: "DE"}
			}
			order := rand.New(rand.NewPCG(1, 2)).Perm(users)
			ids := make([]UserID, 1000)
			n, found := 0, 0
			for i := 0; b.Loop(); i++ {
				if i%1000 == 0 {
					b.StopTimer()
					for j := range ids {
						ids[j] = benchUser(order[n%users])
						n++
					}
					b.StartTimer()
				}
				if people[ids[i%1000]].country == "DE" {
					found++
				}
			}
			if found == 0 {
				b.Fatal("nobody is found")
			}
		})
	}
}

// BenchmarkTakeChanged is what a store asks after a thousand starts and stops, for
// each of them.
func BenchmarkTakeChanged(b *testing.B) {
	s, now := busySite(b, 10_000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%1000 != 0 {
			continue
		}
		b.StopTimer()
		for j := range 500 {
			now++
			user, id := benchUser(5000+j), idN(10_000+i+j)
			Apply(s, Entry{now, Start{ID: id, User: user, Product: "micro", Machine: benchMachine, Agreed: true}})
			Apply(s, Entry{now, Stop{ID: id, User: user, Machine: benchMachine}})
		}
		b.StartTimer()
		s.TakeChanged(keepNothing)
	}
}

// BenchmarkSite builds a site of a million assigned users, a tenth of whom hold
// something, and says what it takes in memory.
func BenchmarkSite(b *testing.B) {
	const users = 1_000_000
	for b.Loop() {
		before := inUse()
		s, _ := busySite(b, users)
		taken := inUse() - before
		b.ReportMetric(float64(taken)/users, "B/user")
		b.ReportMetric(float64(taken)/1e6, "MB-heap")
		b.ReportMetric(residentMB(b), "MB-resident")
		runtime.KeepAlive(s)
	}
}

func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// residentMB is what this process has in memory; zero where it cannot be known.
func residentMB(b *testing.B) float64 {
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Log(err)
		return 0
	}
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	var kB float64
	if _, err := fmt.Sscan(after, &kB); err != nil {
		b.Log(err)
	}
	return kB * 1024 / 1e6
}

// BenchmarkPut puts a million users and their licenses into a state, as a node does
// that starts, once they are decoded.
func BenchmarkPut(b *testing.B) {
	const users = 1_000_000
	whole, _ := busySite(b, users)
	for b.Loop() {
		b.StopTimer()
		var records []any
		for _, k := range whole.Keys() {
			switch r := whole.Record(k).(type) {
			case *License:
				copied := *r
				records = append(records, &copied)
			case *Active:
				copied := *r
				records = append(records, &copied)
			default:
				records = append(records, r)
			}
		}
		s := NewState()
		b.StartTimer()
		for _, r := range records {
			if err := s.Put(r); err != nil {
				b.Fatal(err)
			}
		}
		s.Loaded()
		if n := s.Counts(); n.Assigned != users || n.Sessions != users/10 {
			b.Fatalf("%+v, want %d users with a license and a tenth of them with a session", n, users)
		}
	}
}

// BenchmarkRefuse is a refusal from memory: another machine is active.
func BenchmarkRefuse(b *testing.B) {
	s, now := assignedSite(b, 1_000)
	for i := range 1_000 {
		Apply(s, Entry{now, Start{ID: idN(i), User: benchUser(i), Product: "micro", Machine: Machine{Name: "WS-101"}, Agreed: true}})
	}
	c := Start{ID: idN(1_000_000), User: benchUser(7), Product: "micro", Machine: Machine{Name: "WS-202"}, Agreed: true}
	b.ReportAllocs()
	for b.Loop() {
		if d := Check(s, now, c); d == nil || d.Reason != MachineActive {
			b.Fatalf("got %v, want %s", d, MachineActive)
		}
	}
}

func keepNothing(Key, any) {}

func benchUser(i int) UserID { return UserID(fmt.Sprintf("user-%07d", i)) }

var benchMachine = Machine{ID: "5f0c2b1e", Name: "WS-101"}

// busySite is an assignedSite in which a tenth of the users, the first, have a
// session that holds.
func busySite(tb testing.TB, users int) (*State, Time) {
	s, now := assignedSite(tb, users)
	for i := range users / 10 {
		c := Start{ID: idN(i), User: benchUser(i), Product: "micro", Machine: benchMachine, Version: "23.0.1.25", Agreed: true}
		if out, _ := Apply(s, Entry{now, c}); out.Denial != nil {
			tb.Fatal(out.Denial.Reason)
		}
	}
	s.TakeChanged(keepNothing)
	return s, now
}

// assignedSite has a license of one capped product for each of its users. No two
// records share a string, as none do that are read from a log or a disk.
func assignedSite(tb testing.TB, users int) (*State, Time) {
	s, now := NewState(), TimeOf(time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC))
	Apply(s, Entry{now, Found{Cluster: "here", Level: Level}})
	page := Mirror{Cursor: "0", Changes: []Change{{Product: &Product{ID: "micro", Capped: CappedYes}}}}
	send := func() {
		if out, _ := Apply(s, Entry{now, page}); out.Denial != nil {
			tb.Fatal(out.Denial.Reason)
		}
		s.TakeChanged(keepNothing)
		page = Mirror{From: page.Cursor, Cursor: fmt.Sprint(s.Head().Seq), Full: true}
	}
	day := 24 * time.Hour
	for i := range users {
		if len(page.Changes)+2 > MaxChanges {
			send()
		}
		email := fmt.Sprintf("user-%07d@acme.example", i)
		page.Changes = append(page.Changes, Change{User: &User{ID: benchUser(i), Email: email, Name: fmt.Sprintf("User %07d", i), Country: strings.Clone("DE")}},
			Change{License: &License{ID: LicenseID(fmt.Sprintf("license-%07d", i)), Product: ProductID(strings.Clone("micro")), Assignee: benchUser(i),
				Starts: now.Add(-day), Ends: now.Add(day * time.Duration(100+i%265)), AssignedAt: now.Add(-day)}})
	}
	send()
	if n := s.Counts().Assigned; n != users {
		tb.Fatalf("%d are assigned, want %d", n, users)
	}
	return s, now
}
