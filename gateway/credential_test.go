package gateway

import (
	"context"
	"testing"

	"sitegate/license"
)

// What was taken back, though the answer was lost with the leader, is told of as done; what
// was never there is not.
func TestWhatWasTakenBackIsDoneThoughTheAnswerIsLost(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		ctx := context.Background()
		if a, err := s.GiveCredential(ctx, license.GiveCredential{Secret: license.Digest{1}, Kind: license.APIToken, Name: "nagios", Role: license.Viewer, By: "root",
			Until: s.Now().Add(60_000_000_000)}); err != nil || a.Outcome.Denial != nil {
			t.Fatal(a, err)
		}
		if a, err := s.SetLocalAccount(ctx, license.SetLocalAccount{Name: "ivo", Role: license.Operator, Hash: "$argon2id$v=19$x", By: "root"}); err != nil || a.Outcome.Denial != nil {
			t.Fatal(a, err)
		}
		for name, end := range map[string]func() (Answer, error){
			"a token": func() (Answer, error) {
				return s.EndCredential(ctx, license.EndCredential{Kind: license.APIToken, Name: "nagios", By: "root"})
			},
			"an account": func() (Answer, error) {
				return s.RemoveLocalAccount(ctx, license.RemoveLocalAccount{Name: "ivo", By: "root"})
			},
		} {
			s.log.mu.Lock()
			s.log.lost = true
			s.log.mu.Unlock()
			if a, err := end(); err != nil || a.Outcome.Denial != nil || !a.Outcome.Repeat {
				t.Errorf("%s, with its answer lost: got %+v, %v; want it done", name, a.Outcome, err)
			}
			if a, err := end(); err != nil || a.Outcome.Denial == nil || a.Outcome.Denial.Reason != license.UnknownCredential {
				t.Errorf("%s once more: got %+v, %v; want that it is not there", name, a.Outcome, err)
			}
		}
	})
}
