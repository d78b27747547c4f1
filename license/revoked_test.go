package license

import (
	"fmt"
	"testing"
)

// However many there are, none is forgotten: the oldest count for everybody.
func TestNoRevocationIsForgotten(t *testing.T) {
	s := NewState()
	for i := range Time(MaxRevoked + 50) {
		Apply(s, Entry{At: 1_000_000, Command: NoteRevoked{Users: []Revocation{{User: UserID(fmt.Sprint("u", i)), At: i + 1}}}})
	}
	if len(s.revoked) > MaxRevoked {
		t.Errorf("%d are kept, want %d at most", len(s.revoked), MaxRevoked)
	}
	for i := range Time(MaxRevoked + 50) {
		if got := RevokedAt(s, UserID(fmt.Sprint("u", i))); got < i+1 {
			t.Fatalf("u%d: got %d, want %d or later", i, got, i+1)
		}
	}
	if got := RevokedAt(s, "nobody"); got == 0 || got > MaxRevoked/2 {
		t.Errorf("of somebody else: got %d, want that of the oldest that made room", got)
	}
}
