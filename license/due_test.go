package license

import (
	"encoding/binary"
	"testing"
	"time"
)

// checkedOutSite is a site whose users u0, u1, … each have a checkout of one day.
func checkedOutSite(t *testing.T, users int) (*State, Time) {
	t.Helper()
	s, now := NewState(), TimeOf(time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC))
	must := func(c Command) {
		if out, _ := Apply(s, Entry{now, c}); out.Denial != nil {
			t.Fatalf("%T is refused: %s", c, out.Denial.Reason)
		}
	}
	must(Mirror{Cursor: "1", Changes: []Change{{Product: &Product{ID: "micro", Capped: CappedYes}}}})
	for i := range users {
		user, cursor := userN(i), s.Head().Cursor
		must(Mirror{From: cursor, Cursor: cursor + "1", Changes: []Change{{User: &User{ID: user, Country: "DE"}},
			{License: &License{ID: LicenseID(user), Product: "micro", Assignee: user}}}})
		must(CheckOut{ID: idN(i), User: user, Product: "micro", Machine: Machine{Name: "LT-7"}, Agreed: true, Until: now.Add(24 * time.Hour)})
	}
	return s, now
}

func userN(i int) UserID {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	return UserID([]byte{'u', letters[i/676%26], letters[i/26%26], letters[i%26]})
}

func idN(i int) ID {
	var id ID
	binary.BigEndian.PutUint64(id[8:], uint64(i)+1)
	return id
}

// What was returned before its date does not hide what is still out, however
// much of it there is.
func TestDueSeesPastWhatIsGone(t *testing.T) {
	s, now := checkedOutSite(t, MaxDue+50)
	for i := range MaxDue + 49 {
		if out, _ := Apply(s, Entry{now, Return{ID: idN(i), User: userN(i), Machine: Machine{Name: "LT-7"}}}); out.Denial != nil {
			t.Fatal(out.Denial.Reason)
		}
	}
	due := Due(s, now.Add(24*time.Hour))
	if len(due) != 1 || due[0] != (EndCheckout{ID: idN(MaxDue + 49)}) {
		t.Errorf("due is %v, want the one checkout that is still out", due)
	}
}

// A great deal that is due comes in portions, and all of it in the end.
func TestDueComesInPortions(t *testing.T) {
	s, now := checkedOutSite(t, 2*MaxDue+10)
	at, want := now.Add(24*time.Hour), []int{MaxDue, MaxDue, 10, 0}
	for i, n := range want {
		due := Due(s, at)
		if len(due) != n {
			t.Fatalf("portion %d has %d commands, want %d", i, len(due), n)
		}
		for _, c := range due {
			Apply(s, Entry{at, c})
		}
	}
	if n := s.Counts().Checkouts; n != 0 {
		t.Errorf("%d checkouts are still out, want none", n)
	}
}

// Checkouts that come and go long before their date leave nothing behind.
func TestPlanForgetsWhatIsGone(t *testing.T) {
	s, now := checkedOutSite(t, 1)
	const rounds = 10_000
	for i := 1; i < rounds; i++ {
		Apply(s, Entry{now, Return{ID: idN(i - 1), User: userN(0), Machine: Machine{Name: "LT-7"}}})
		Apply(s, Entry{now, CheckOut{ID: idN(i), User: userN(0), Product: "micro", Machine: Machine{Name: "LT-7"}, Agreed: true,
			Until: now.Add(365 * 24 * time.Hour)}})
	}
	if len(s.due) > 2048 {
		t.Errorf("%d moments are planned for one checkout", len(s.due))
	}
	if due := Due(s, now.Add(365*24*time.Hour)); len(due) != 1 || due[0] != (EndCheckout{ID: idN(rounds - 1)}) {
		t.Errorf("due is %v, want the last checkout", due)
	}
}
