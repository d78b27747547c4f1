package license

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

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
