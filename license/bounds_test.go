package license

import (
	"fmt"
	"testing"
	"time"
)

func TestSessionsOfAUserAreBounded(t *testing.T) {
	s := NewState()
	Apply(s, Entry{1, Link{Up: true, Contact: 1}})
	Apply(s, Entry{1, Mirror{Cursor: "1", Full: true, Last: true, Changes: []Change{
		{User: &User{ID: "ada", Country: "DE"}}, {Product: &Product{ID: "p"}}, {License: &License{ID: "l", Product: "p", Assignee: "ada"}}}}})
	start := func(n int) Outcome {
		out, _ := Apply(s, Entry{Time(n), Start{ID: ID{1, byte(n)}, User: "ada", Product: "p", Machine: Machine{ID: "m"}, Agreed: true}})
		return out
	}
	for n := range MaxSessions {
		if out := start(n + 1); out.Denial != nil {
			t.Fatalf("session %d: got %s, want a grant", n+1, out.Denial.Reason)
		}
	}
	if out := start(MaxSessions + 1); out.Denial == nil || out.Denial.Reason != TooManySessions {
		t.Fatalf("got %+v, want %s", out.Denial, TooManySessions)
	}
	if out := start(1); !out.Repeat {
		t.Fatalf("got %+v, want the first session's start to be repeatable", out)
	}
	Apply(s, Entry{200, Stop{ID: ID{1, 1}, User: "ada", Machine: Machine{ID: "m"}}})
	if out := start(MaxSessions + 2); out.Denial != nil {
		t.Fatalf("after a stop: got %s, want a grant", out.Denial.Reason)
	}
}

// Each version is a checkout of its own; renewing one of them needs no room.
func TestCheckoutsOfAUserAreBounded(t *testing.T) {
	s := NewState()
	Apply(s, Entry{1, Mirror{Cursor: "1", Full: true, Last: true, Changes: []Change{
		{User: &User{ID: "ada", Country: "DE"}}, {Product: &Product{ID: "p"}}, {License: &License{ID: "l", Product: "p", Assignee: "ada"}}}}})
	checkOut := func(n, version int) *Denial {
		out, _ := Apply(s, Entry{Time(n), CheckOut{ID: ID{1, byte(n)}, User: "ada", Product: "p", Machine: Machine{ID: "m"}, Agreed: true,
			Version: fmt.Sprint(version), Until: Time(n).Add(time.Hour)}})
		return out.Denial
	}
	for n := range MaxCheckouts {
		if d := checkOut(n+1, n); d != nil {
			t.Fatalf("checkout %d: got %s, want a grant", n+1, d.Reason)
		}
	}
	if d := checkOut(MaxCheckouts+1, MaxCheckouts); d == nil || d.Reason != TooManyCheckouts {
		t.Fatalf("got %+v, want %s", d, TooManyCheckouts)
	}
	if d := checkOut(MaxCheckouts+2, 7); d != nil {
		t.Fatalf("renewing one of them: got %s, want a grant", d.Reason)
	}
	if n := s.Counts().Checkouts; n != MaxCheckouts {
		t.Fatalf("got %d checkouts, want %d", n, MaxCheckouts)
	}
}
