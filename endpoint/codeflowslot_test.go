package endpoint

import (
	"context"
	"testing"
)

// A host that shows codes without end leaves places for others.
func TestAHostHasAFewExchanges(t *testing.T) {
	f := &codeFlow{slots: make(chan struct{}, maxExchanges), under: map[string]int{}}
	var leave []func()
	for range ofHost {
		release, err := f.slot(t.Context(), "10.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, release)
	}
	if _, err := f.slot(t.Context(), "10.0.0.1"); err == nil {
		t.Error("a host has more than its places")
	}
	other, err := f.slot(t.Context(), "10.0.0.2")
	if err != nil {
		t.Fatal(err)
	}
	for len(f.slots) < maxExchanges {
		f.slots <- struct{}{}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.slot(gone, "10.0.0.3"); err == nil {
		t.Error("there is more room than places")
	}
	for _, release := range append(leave, other) {
		release()
	}
	if len(f.under) != 0 {
		t.Errorf("all have left, and %v are there", f.under)
	}
}
