package license

import "testing"

func TestSessionsOfAUserAreBounded(t *testing.T) {
	s := NewState()
	Apply(s, Entry{1, Link{Up: true, Contact: 1}})
	Apply(s, Entry{1, Mirror{Cursor: "1", Full: true, Last: true, Changes: []Change{
		{User: &User{ID: "ada"}}, {Product: &Product{ID: "p"}}, {License: &License{ID: "l", Product: "p", Assignee: "ada"}}}}})
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
