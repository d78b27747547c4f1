package gateway

import (
	"errors"
	"testing"

	"sitegate/license"
)

// While no leader is found a request is told apart from one that may have been carried out by a
// leader that was lost since: the first is nowhere, the second is asked again with its id.
func TestWithoutALeaderItIsSaidWhetherItMayHaveBeenDone(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		lead := func(leads bool) { s.log.mu.Lock(); defer s.log.mu.Unlock(); s.log.leading = leads }
		release := license.Release{Session: license.ID{1}, By: "ida"}

		lead(false)
		if _, err := s.Release(t.Context(), release); !errors.Is(err, ErrNoLeader) {
			t.Errorf("with no leader at all: got %v, want %v", err, ErrNoLeader)
		}
		lead(true)
		s.log.mu.Lock()
		s.log.drop = func() { lead(false) }
		s.log.mu.Unlock()
		if _, err := s.Release(t.Context(), release); !errors.Is(err, ErrUnknown) {
			t.Errorf("with a leader that was lost with it in its hands: got %v, want %v", err, ErrUnknown)
		}
	})
}
