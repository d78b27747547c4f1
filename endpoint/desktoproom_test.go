package endpoint

import (
	"strconv"
	"testing"
)

// Nobody takes all of the room, and what is left is there again.
func TestNobodyTakesTheWholeRoom(t *testing.T) {
	r := relaying{of: map[string]int{}}
	for range relayOfAddress {
		if !r.enter("10.0.0.1", relayOfAddress) {
			t.Fatal("an address has less than its share")
		}
	}
	if r.enter("10.0.0.1", relayOfAddress) {
		t.Error("an address has more than its share")
	}
	n := 0
	for r.enter("user "+strconv.Itoa(n), 1) {
		n++
	}
	if n != relayRoom-relayOfAddress {
		t.Errorf("%d others have room, want %d", n, relayRoom-relayOfAddress)
	}
	r.leave("10.0.0.1")
	if !r.enter("user x", relayOfUser) || r.enter("user y", relayOfUser) {
		t.Error("one has left: want room for one")
	}
	for who, m := range r.of {
		for range m {
			r.leave(who)
		}
	}
	if r.all != 0 || len(r.of) != 0 {
		t.Errorf("all have left, and there are %d of %d", r.all, len(r.of))
	}
}
