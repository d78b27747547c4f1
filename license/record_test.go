package license

import (
	"testing"
	"time"
)

// An id that ended and was forgotten may end again by the very entry that forgets it: a store
// keeps that it has.
func TestWhatEndsAgainAsItIsForgottenIsKept(t *testing.T) {
	s := NewState()
	post := KeepPosting{ID: ID{1}, User: "ann", Product: "micro", Machine: Machine{Name: "WS-1"}, Body: []byte("{}")}
	at := Time(1_000_000)
	for range 2 {
		if out, _ := Apply(s, Entry{At: at, Command: post}); out.Denial != nil {
			t.Fatalf("got %+v, want it kept", out.Denial)
		}
		var got any
		s.TakeChanged(func(k Key, r any) {
			if k.Kind == KeyTombstone {
				got = r
			}
		})
		if g, ok := got.(*Tombstone); !ok || g.User != "ann" || g.Until != at.Add(TombstoneLife) {
			t.Errorf("a store is left with %+v, want ann's until %v", got, at.Add(TombstoneLife))
		}
		at = at.Add(24 * time.Hour)
	}
}
