package integration

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"sitegate/api"
	"sitegate/emulator"
	"sitegate/integration/model"
	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// historyLength is how long the recorded history runs. From 200 s on, a session
// that is left alone at the beginning expires in it.
var historyLength = flag.Duration("history", 10*time.Second, "how long the recorded history runs")

const expiryLength = 200 * time.Second

// TestHistory is of the program as it is released: the leader is killed, and in a
// long history a session that is left alone expires after that.
func TestHistory(t *testing.T) {
	s := NewSite(t, 3, 10, fastEnv...) // in the tempo as shipped: a leader that a busy machine unseats gives no lease its end
	r := round{s: s, name: "h", users: 4, each: 3, length: *historyLength, seed: uint64(time.Now().UnixNano()), faults: only("the leader is killed"), rest: *historyLength / 4}
	if *historyLength >= expiryLength {
		r.rest = license.DefaultLeaseTTL + 10*time.Second // each new leader gives a full lease
		r.more = []string{"h-leaver"}
		r.beside = s.leaveAlone
	}
	if err := r.run(t); err != nil {
		t.Error(err)
	}
	if err := s.awaitSame(t); err != nil {
		t.Error(err)
	}
}

// TestHistoryOfFive is TestHistory on five nodes, of which any two may be gone or apart.
func TestHistoryOfFive(t *testing.T) {
	if *historyLength < time.Minute {
		t.Skip("takes a minute: runs where histories are long, see make history")
	}
	s := NewSite(t, 5, 10, fastEnv...)
	seed, left := nemesisSeed(), tolerance{}
	for i, n := 0, 1; i < n; i++ {
		r := round{s: s, name: fmt.Sprintf("f%d", i), users: 4, each: 3, length: 20 * time.Second, seed: seed + uint64(i),
			faults: append(only("the leader is killed", "a node is killed", "the leader is paused", "the leader is alone"), faultsOfFive...)}
		err := r.run(t)
		if left.takes(t, err) {
			n, err = n+1, nil
		}
		if err := errors.Join(err, s.awaitSame(t)); err != nil {
			t.Fatal(err)
		}
	}
}

// fastEnv lets a history ask as fast as it can, and historyEnv lets its nodes find out
// early that a leader is silent, too.
var (
	fastEnv    = []string{"SITEGATE_LIMITS_REQUESTS_PER_SECOND=10000", "SITEGATE_LIMITS_BURST=10000"}
	historyEnv = append([]string{"SITEGATE_CLUSTER_TEMPO=lan"}, fastEnv...)
)

// TestNemesis is of a program that breaks on demand: whatever befalls a site, its
// history is possible by the rules.
func TestNemesis(t *testing.T) {
	s := NewFaultySite(t, 3, 10, Faults{LeasePart: 60}, historyEnv...)
	seed, left := nemesisSeed(), tolerance{}
	for i, n := 0, int(max(1, *historyLength/nemesisRound)); i < n; i++ {
		r := round{s: s, name: fmt.Sprintf("n%d", i), users: 4, each: 3, length: min(*historyLength, nemesisRound), lease: license.DefaultLeaseTTL / 60, seed: seed + uint64(i), faults: faults}
		err := r.run(t)
		if left.takes(t, err) {
			n, err = n+1, nil
		}
		if err := errors.Join(err, s.awaitSame(t)); err != nil {
			t.Fatal(err)
		}
	}
}

// tolerance is of rounds that are undecided: each is followed by another one, unless
// they are more than two and more than a tenth of all rounds so far: a checker that
// decides hardly anything finds nothing. The zero value has seen no round.
type tolerance struct{ rounds, undecided int }

// takes counts a round, and says whether it is undecided and another is to follow.
func (o *tolerance) takes(t testing.TB, err error) bool {
	t.Helper()
	o.rounds++
	if !undecided(err) {
		return false
	}
	o.undecided++
	t.Logf("round %d, the %d. that is undecided: %v", o.rounds, o.undecided, err)
	return o.undecided <= max(2, o.rounds/10)
}

// undecided says that a round has shown nothing, good or bad.
func undecided(err error) bool {
	return !errors.Is(err, model.ErrImpossible) && (errors.Is(err, model.ErrUndecided) || errors.Is(err, errShowsNothing))
}

// nemesisRound is how long a user's history is at the most: what nobody knows the
// outcome of, of which a nemesis leaves much, makes a long one too hard to decide.
const nemesisRound = 30 * time.Second

// TestNemesisOfMembers has nodes leave and join for good, and leaders die between: the
// history is possible, and all who are left have the same events.
func TestNemesisOfMembers(t *testing.T) {
	if *historyLength < time.Minute {
		t.Skip("takes minutes: runs where histories are long, see make nemesis")
	}
	s := NewFaultySite(t, 3, 10, Faults{LeasePart: 60}, historyEnv...)
	r := round{s: s, name: "m", users: 4, each: 3, length: time.Minute, lease: license.DefaultLeaseTTL / 60, seed: nemesisSeed(),
		faults: append(only("the leader is killed", "the leader is stopped", "a node is killed"), memberFaults...)}
	if err := errors.Join(r.run(t), s.awaitSame(t)); err != nil {
		t.Error(err)
	}
}

// TestTorture is TestNemesis on five nodes for as long as -torture says: everything that
// the nemesis knows, members that leave and join among it, in rounds of a minute with
// users of their own. After each round the history is checked, and the states of all nodes
// are compared. A round that is undecided is followed by another one, as in TestNemesis.
// It ends at the first round whose history is impossible, or after which the nodes differ.
//
// The seed stands at the beginning, and with each round its own, which is the seed plus
// the round's number: -seed with the former repeats the schedule of faults and requests.
func TestTorture(t *testing.T) {
	if *torture == 0 {
		t.Skip("runs for as long as -torture says")
	}
	s := NewFaultySite(t, 5, 10, Faults{LeasePart: 60}, historyEnv...)
	seed, left := nemesisSeed(), tolerance{}
	t.Logf("five nodes for %v; the same again: make torture TORTURE=%v SEED=%d", *torture, *torture, seed)
	for i, end := 0, time.Now().Add(*torture); time.Now().Before(end); i++ {
		r := round{s: s, name: fmt.Sprintf("t%d", i), users: 4, each: 3, length: 2 * nemesisRound, lease: license.DefaultLeaseTTL / 60, seed: seed + uint64(i),
			faults: slices.Concat(faults, faultsOfFive, memberFaults)}
		err := r.run(t)
		if left.takes(t, err) {
			err = nil
		}
		if err := errors.Join(err, s.awaitSame(t)); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d rounds, %d of them undecided", left.rounds, left.undecided)
}

var (
	torture = flag.Duration("torture", 0, "how long five nodes are tortured")
	seeded  = flag.Uint64("seed", 0, "what the nemesis does; zero draws one")
)

func nemesisSeed() uint64 {
	if *seeded != 0 {
		return *seeded
	}
	return uint64(time.Now().UnixNano())
}

// TestPlantedMistakesAreFound shows that the checks bite: each mistake that is
// planted in the program makes a history impossible, or the nodes' states differ: as
// the checks see it, or as a node itself does, which ends then.
func TestPlantedMistakesAreFound(t *testing.T) {
	if *historyLength < time.Minute {
		t.Skip("takes minutes: runs where histories are long, see make nemesis")
	}
	for _, test := range []struct {
		bug    string
		faults []fault
		with   Faults
	}{
		{"stale-leader", only("the leader is alone"), Faults{LeasePart: 60}},
		{"any-generation", nil, Faults{LeasePart: 60, ExpireMS: 400}},
		{"lost-sync", only("all nodes are killed"), Faults{}}, // nothing expires: what is gone has been lost
		{"applied-twice", only("a node is killed"), Faults{LeasePart: 60}},
	} {
		t.Run(test.bug, func(t *testing.T) {
			test.with.Bugs = []string{test.bug}
			s := NewFaultySite(t, 3, 10, test.with, historyEnv...)
			var lease time.Duration
			if test.with.LeasePart > 0 {
				lease = license.DefaultLeaseTTL / time.Duration(test.with.LeasePart)
			}
			for i := range 40 { // on a busy machine little happens in one
				r := round{s: s, name: fmt.Sprintf("p%d", i), users: 4, each: 3, length: 10 * time.Second, lease: lease, seed: nemesisSeed(), faults: test.faults}
				err := r.run(t)
				if err == nil {
					if err = s.awaitSame(t); err != nil && !errors.Is(err, errDiffer) {
						err = fmt.Errorf("%w: %w", errShowsNothing, err)
					}
				}
				switch {
				case errors.Is(err, model.ErrImpossible), errors.Is(err, errDiffer):
					t.Logf("found in round %d: %v", i+1, err)
					return
				case undecided(err):
					t.Log(err)
					for _, n := range s.Nodes { // what a mistake has lost may be all that a site needs to answer ever again
						n.Kill()
					}
					s = NewFaultySite(t, 3, 10, test.with, historyEnv...)
				case err != nil:
					t.Fatal(err)
				}
			}
			t.Errorf("the mistake %q was not found", test.bug)
		})
	}
}

// historyRecords gives the cloud the users of the history, waits until they are
// mirrored, and returns them as the model's site.
func (s *Site) historyRecords(t testing.TB, users []string) model.Site {
	t.Helper()
	site, err := s.recordHistory(users)
	if err != nil {
		t.Fatal(err)
	}
	return site
}

func (s *Site) recordHistory(users []string) (model.Site, error) {
	site := model.Site{Records: []license.Change{{Product: &license.Product{ID: emulator.ProductCapped, Capped: license.CappedYes}}}}
	year := time.Now().Truncate(24 * time.Hour)
	for _, user := range users {
		l := cloudapi.License{ID: "l-" + user, ProductID: emulator.ProductCapped, Kind: cloudapi.LicenseVirtuoso,
			StartsAt: year.AddDate(0, -1, 0), EndsAt: year.AddDate(0, 11, 0), AssignedTo: user}
		s.Cloud.PutUser(cloudapi.User{ID: user, Email: user + "@harbour-works.example", Country: "FR"})
		s.Cloud.PutLicense(l)
		site.Records = append(site.Records,
			license.Change{User: &license.User{ID: license.UserID(user), Country: "DE"}},
			license.Change{License: &license.License{ID: license.LicenseID(l.ID), Product: emulator.ProductCapped, Assignee: license.UserID(user)}})
	}
	want := len(s.Cloud.Licenses())
	err := within(20*time.Second, "the mirror", func() error {
		if err := s.whole(); err != nil {
			return err
		}
		for _, n := range s.Nodes {
			st, err := s.Status(n)
			if err != nil {
				return err
			}
			if st.Counts.Licenses != want {
				return fmt.Errorf("%d licenses on %s, want %d", st.Counts.Licenses, st.Node, want)
			}
		}
		return nil
	})
	return site, err
}

// leaveAlone starts a session that nobody renews, and writes down when it was
// seen to have expired. Each new leader gives it a full lease, and a busy machine has
// more of them: it waits for one that lasts, beyond the history's end if need be.
func (s *Site) leaveAlone(t testing.TB, ctx context.Context, h *model.History) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), *historyLength+3*license.DefaultLeaseTTL)
	defer cancel()
	m := s.machineInHistory(t, h, 100, "h-leaver", 1)
	watcher := s.Client(t, m.user, "WS-OTHER", 0).Watch(ctx)
	id := license.ID(uuid.Must(uuid.NewV7()))
	sent := h.Now()
	out := m.do(model.Start, id, api.PathSessions, id)
	if out.Unknown || out.Denied != "" {
		t.Errorf("the session to be left alone: %v", out)
		return
	}
	for n := range watcher.Notices() {
		// A gap may come of a node that was killed and does not know what was before; the
		// leaders live when the session expires.
		if n.Kind == api.KindFree && n.ID == id.String() {
			t.Logf("%v: expired, %v after its start", h.Now(), h.Now()-sent)
			h.Expired(m.number, license.UserID(m.user), id, sent+license.DefaultLeaseTTL, h.Now())
			return
		}
	}
	t.Error("the session that was left alone did not expire")
}

func nap(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
