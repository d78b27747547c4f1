package gateway

import (
	"context"
	"testing"
	"time"

	"sitegate/license"
)

// slowLog takes its time to commit, and to say that it leads.
type slowLog struct{ Log }

func (l slowLog) Propose(ctx context.Context, c license.Command) (license.Outcome, error) {
	time.Sleep(30 * time.Millisecond)
	return l.Log.Propose(ctx, c)
}

func (l slowLog) Fresh(ctx context.Context) error {
	time.Sleep(7 * time.Millisecond)
	return l.Log.Fresh(ctx)
}

// Who has asked another node is told how long the stages took on the one that leads, of
// what is granted and of what is refused.
func TestTheStagesOfAStartAreTimed(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.Gateway.log = slowLog{s.log}
		s.books.asking = func() { time.Sleep(200 * time.Millisecond) }
		follower := &Gateway{log: forwarder{Log: s.log, to: s.Gateway}}
		for n, want := range []Stages{{Cloud: 200 * time.Millisecond, Commit: 30 * time.Millisecond}, {Check: 7 * time.Millisecond}} {
			m := []license.Machine{ws101, ws202}[n]
			a, err := follower.Start(context.Background(), license.Start{ID: license.ID{byte(n + 1)}, User: "ada", Product: "road", Machine: m})
			if err != nil || (a.Outcome.Denial != nil) != (n == 1) {
				t.Fatalf("on %s: %+v, %v", m.Name, a.Outcome.Denial, err)
			}
			if a.Took != want {
				t.Errorf("on %s it took %+v, want %+v", m.Name, a.Took, want)
			}
		}
	})
}
