package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"sitegate/api"
	"sitegate/emulator"
)

// tries is how often each way of losing a leader is tried. With the default a
// test shows that it works; figures take thirty.
var tries = flag.Int("tries", 2, "how often a leader is lost in each of the failover tests")

var failoverEnv = []string{"SITEGATE_CLUSTER_TEMPO=lan", "SITEGATE_LIMITS_REQUESTS_PER_SECOND=10000", "SITEGATE_LIMITS_BURST=10000"}

// failoverUsers each have a desktop that talks to one node.
var failoverUsers = []string{"f-1", "f-2", "f-3", "f-4", "f-5", "f-6"}

// crewDesktop starts and stops the capped product without end, through one node.
// What fails it tries again at once, under the same id.
type crewDesktop struct {
	s     *Site
	node  int
	id    string
	token string
	http  *http.Client

	mu  sync.Mutex
	had []grant // mu guards it
}

// grant is one start: when it was asked for the first time, and when it was
// granted.
type grant struct{ asked, got time.Time }

// crew has two desktops work at each node until the test ends.
func (s *Site) crew(t *testing.T) []*crewDesktop {
	t.Helper()
	s.historyRecords(t, failoverUsers)
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	var all []*crewDesktop
	for i, user := range failoverUsers {
		d := &crewDesktop{s: s, node: i % len(s.Nodes), id: fmt.Sprintf("WS-%d", i), token: s.Token(t, user), http: s.HTTP()}
		d.http.Transport.(*http.Transport).DisableKeepAlives = false
		all = append(all, d)
		work.Go(func() { d.run(ctx) })
	}
	t.Cleanup(func() { cancel(); work.Wait() })
	return all
}

func (d *crewDesktop) run(ctx context.Context) {
	for ctx.Err() == nil {
		id := uuid.Must(uuid.NewV7()).String()
		asked := time.Now()
		d.until(ctx, http.MethodPost, api.PathSessions, map[string]any{"id": id, "product": emulator.ProductCapped, "machine": api.Machine{ID: d.id, Name: d.id}})
		if ctx.Err() != nil {
			return
		}
		d.mu.Lock()
		d.had = append(d.had, grant{asked, time.Now()})
		d.mu.Unlock()
		d.until(ctx, http.MethodDelete, api.PathSessions+"/"+id+"?machine="+d.id, nil)
		nap(ctx, 2*time.Millisecond)
	}
}

// until asks until it is answered with success.
func (d *crewDesktop) until(ctx context.Context, method, path string, body any) {
	for ctx.Err() == nil {
		if d.ask(ctx, method, path, body) == nil {
			return
		}
		nap(ctx, 5*time.Millisecond)
	}
}

func (d *crewDesktop) ask(ctx context.Context, method, path string, body any) error {
	var b []byte
	if body != nil {
		b, _ = json.Marshal(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, d.s.Nodes[d.node].URL+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+d.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := d.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	stopped := method == http.MethodDelete && resp.StatusCode == http.StatusNotFound // by the try before
	if b, err = io.ReadAll(resp.Body); err == nil && resp.StatusCode >= 300 && !stopped {
		err = fmt.Errorf("%s: %s", resp.Status, b)
	}
	return err
}

// first is how long after a moment the first start was granted that was asked for
// after it.
func (d *crewDesktop) first(t *testing.T, from time.Time) (took time.Duration) {
	t.Helper()
	Eventually(t, 30*time.Second, "a start after the leader's end", func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		i := slices.IndexFunc(d.had, func(g grant) bool { return !g.asked.Before(from) })
		if i < 0 {
			return fmt.Errorf("none of %d", len(d.had))
		}
		took = d.had[i].got.Sub(from)
		return nil
	})
	return took
}

// loseLeaders loses the leader again and again in one way, has it back, and tells
// how long desktops at the other nodes felt it. limit is for the first grant.
func (s *Site) loseLeaders(t *testing.T, limit time.Duration, lose, back func(leader int)) {
	t.Helper()
	crew := s.crew(t)
	ctx := deadline(t, time.Duration(*tries+1)*time.Minute)
	keeper := s.Client(t, emulator.UserA, "WS-KEPT", 0)
	var first, all []time.Duration
	for try := range *tries {
		kept, err := keeper.Start(ctx, emulator.ProductCapped)
		if err != nil {
			t.Fatalf("before try %d: %v", try, err)
		}
		leader := s.Leader(t)
		lose(leader)
		from := time.Now()
		var took []time.Duration
		for _, d := range crew {
			if d.node != leader {
				took = append(took, d.first(t, from))
			}
		}
		first, all = append(first, slices.Min(took)), append(all, slices.Max(took))
		back(leader)
		me, err := keeper.Me(ctx)
		if err != nil {
			t.Fatalf("after try %d: %v", try, err)
		}
		if !slices.ContainsFunc(me.Sessions, func(x api.Session) bool { return x.ID == kept.ID }) {
			t.Errorf("try %d: session %s was acknowledged and is lost; left are %v", try, kept.ID, me.Sessions)
		}
		if err := kept.Stop(ctx); err != nil {
			t.Errorf("stopping what was kept: %v", err)
		}
		s.settled(t)
	}
	t.Logf("%d leaders lost; first grant (least, median, most): %s; at every other node: %s", *tries, spread(first), spread(all))
	if most := slices.Max(first); most > limit && !raceEnabled {
		t.Errorf("a first grant took %v, want at most %v", most, limit)
	}
}

// spread tells least, median and most.
func spread(all []time.Duration) string {
	all = slices.Sorted(slices.Values(all))
	if len(all) == 0 {
		return "none"
	}
	return fmt.Sprintf("%v, %v, %v", all[0].Round(time.Millisecond), all[len(all)/2].Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond))
}

// settled waits until all nodes are ready and follow one leader.
func (s *Site) settled(t *testing.T) {
	t.Helper()
	for _, n := range s.Nodes {
		s.AwaitReady(t, n)
	}
	Eventually(t, 30*time.Second, "all nodes follow one leader", func() error {
		var first api.Status
		for i, n := range s.Nodes {
			st, err := s.Status(n)
			if err != nil {
				return err
			}
			if i == 0 {
				first = st
			}
			if st.Cluster.Leader == "" || st.Cluster.Leader != first.Cluster.Leader || st.Cluster.Term != first.Cluster.Term {
				return fmt.Errorf("%s follows %q in term %d, %s %q in term %d", st.Node, st.Cluster.Leader, st.Cluster.Term, first.Node, first.Cluster.Leader, first.Cluster.Term)
			}
		}
		return nil
	})
}

func TestKilledLeaderIsReplacedAtOnce(t *testing.T) {
	s := NewSiteWithoutLinks(t, 3, 10, failoverEnv...)
	s.loseLeaders(t, 500*time.Millisecond,
		func(leader int) { s.Nodes[leader].Kill() },
		func(leader int) { s.Start(t, leader) })
}

func TestPausedLeaderIsReplaced(t *testing.T) {
	s := NewSiteWithoutLinks(t, 3, 10, failoverEnv...)
	s.loseLeaders(t, 800*time.Millisecond,
		func(leader int) { s.Nodes[leader].Pause() },
		func(leader int) { s.Nodes[leader].Resume() })
}

// TestLeaderThatIsStoppedHandsOver: nobody is told of an error when the leader is
// asked to end, or to step down, and nobody waits long.
func TestLeaderThatIsStoppedHandsOver(t *testing.T) {
	s := NewSiteWithoutLinks(t, 3, 10, failoverEnv...)
	s.historyRecords(t, failoverUsers)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var mu sync.Mutex
	had := make([][]grant, len(failoverUsers)) // mu guards it
	var work sync.WaitGroup
	for i, user := range failoverUsers {
		c := s.Client(t, user, fmt.Sprintf("WS-%d", i), i)
		work.Go(func() {
			for ctx.Err() == nil {
				asked := time.Now()
				session, err := c.Start(ctx, emulator.ProductCapped)
				got := time.Now()
				if err == nil {
					err = session.Stop(ctx)
				}
				if err != nil && ctx.Err() == nil {
					t.Errorf("a desktop was told: %v", err)
				}
				mu.Lock()
				had[i] = append(had[i], grant{asked, got})
				mu.Unlock()
				nap(ctx, 2*time.Millisecond)
			}
		})
	}
	defer work.Wait()
	defer cancel()
	var waits, ends []time.Duration
	for range *tries {
		leader := s.Leader(t)
		from := time.Now()
		s.Nodes[leader].Stop(t)
		ends = append(ends, time.Since(from))
		ended := time.Now()
		var longest time.Duration // of the starts that were under way, or begun, since
		Eventually(t, 20*time.Second, "every desktop has a start that was asked for after the end", func() error {
			mu.Lock()
			defer mu.Unlock()
			longest = 0
			for i := range had {
				if len(had[i]) == 0 || had[i][len(had[i])-1].asked.Before(ended) {
					return fmt.Errorf("desktop %d has none", i)
				}
				for _, g := range had[i] {
					if g.got.After(from) {
						longest = max(longest, g.got.Sub(g.asked))
					}
				}
			}
			return nil
		})
		waits = append(waits, longest)
		s.Start(t, leader)
		s.settled(t)
	}
	t.Logf("%d leaders stopped; the longest start meanwhile (least, median, most): %s; the process ended after %s", *tries, spread(waits), spread(ends))
}

// TestLeaderThatIsCutOffIsReplaced: nothing is refused or closed; what is sent does
// not arrive.
func TestLeaderThatIsCutOffIsReplaced(t *testing.T) {
	s := NewSite(t, 3, 10, failoverEnv...)
	s.loseLeaders(t, 800*time.Millisecond, func(leader int) {
		for _, other := range []int{(leader + 1) % 3, (leader + 2) % 3} {
			s.Partition(leader, other)
			s.Partition(other, leader)
		}
	}, func(int) { s.Heal() })
}
