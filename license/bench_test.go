package license

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkStartStop is one start and one stop of a capped product by one of a
// site's users in turn, with what a store asks of the state in between: the keys
// that changed, once for every thousand of both.
func BenchmarkStartStop(b *testing.B) {
	for _, users := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprint("users=", users), func(b *testing.B) {
			s, now := assignedSite(b, users)
			ids := make([]UserID, users)
			for i := range ids {
				ids[i] = benchUser(i)
			}
			m := Machine{ID: "5f0c2b1e", Name: "WS-101"}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				now++
				user, id := ids[i%users], idN(i)
				if out, _ := Apply(s, Entry{now, Start{ID: id, User: user, Product: "micro", Machine: m, Agreed: true}}); out.Denial != nil {
					b.Fatal(out.Denial.Reason)
				}
				if out, _ := Apply(s, Entry{now, Stop{ID: id, User: user, Machine: m}}); out.Denial != nil {
					b.Fatal(out.Denial.Reason)
				}
				if i%1000 == 999 {
					s.TakeChanged()
				}
			}
		})
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

func benchUser(i int) UserID { return UserID(fmt.Sprintf("user-%07d", i)) }

// assignedSite has a license of one capped product for each of its users.
func assignedSite(tb testing.TB, users int) (*State, Time) {
	s, now := NewState(), TimeOf(time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC))
	Apply(s, Entry{now, Found{Cluster: "here", Level: Level}})
	page := Mirror{Cursor: "0", Changes: []Change{{Product: &Product{ID: "micro", Capped: CappedYes}}}}
	send := func() {
		if out, _ := Apply(s, Entry{now, page}); out.Denial != nil {
			tb.Fatal(out.Denial.Reason)
		}
		page = Mirror{From: page.Cursor, Cursor: fmt.Sprint(s.Head().Seq), Full: true}
	}
	for i := range users {
		if len(page.Changes)+2 > MaxChanges {
			send()
		}
		id := benchUser(i)
		page.Changes = append(page.Changes, Change{User: &User{ID: id, Country: "DE"}},
			Change{License: &License{ID: LicenseID(id), Product: "micro", Assignee: id}})
	}
	send()
	s.TakeChanged()
	if n := s.Counts().Assigned; n != users {
		tb.Fatalf("%d are assigned, want %d", n, users)
	}
	return s, now
}
