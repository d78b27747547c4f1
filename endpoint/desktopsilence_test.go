package endpoint

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sitegate/emulator"
	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// silent has the vendor's policy service keep each question until release, and tells of those
// that it is asked, and of those that were given up.
func (s *keptRig) silent(path string) (asked, left chan struct{}, release func()) {
	asked, left, gate := make(chan struct{}, 100), make(chan struct{}, 100), make(chan struct{})
	s.t.Cleanup(func() {
		select {
		case <-gate:
		default:
			close(gate)
		}
	})
	s.breaks(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, path) {
			return false
		}
		body, err := io.ReadAll(r.Body) // or the server does not hear of who hangs up
		if err != nil {
			return false
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		asked <- struct{}{}
		select {
		case <-gate:
		case <-r.Context().Done():
			left <- struct{}{}
			panic(http.ErrAbortHandler)
		}
		return false
	})
	return asked, left, func() { close(gate) }
}

func (s *keptRig) linkIs(up bool) {
	s.t.Helper()
	s.node.do(s.t, license.Link{Up: up, Contact: s.e.gw.Now()})
}

func received(t *testing.T, what string, from <-chan struct{}) {
	t.Helper()
	select {
	case <-from:
	case <-time.After(time.Minute):
		t.Fatalf("%s: not within a minute", what)
	}
}

// A silent vendor costs who asks a moment, once the site knows that its link is down; one
// question goes on meanwhile, so that its answer is noticed.
func TestWhatIsKeptIsServedSoonWhileTheVendorIsSilent(t *testing.T) {
	t.Parallel()
	s := newKeptRig(t)
	s.e.relay.briefly = 20 * time.Millisecond
	s.granted(false, "ada", "WS-1", "2001")
	s.certificate()
	s.linkIs(false)
	asked, left, release := s.silent(cloudapi.PathGetPolicy)
	s.granted(true, "ada", "WS-1", "2001")
	received(t, "the first question", asked)
	if len(left) != 0 {
		t.Error("the vendor was given up before what is kept was served: the client waited for all of the vendor's time")
	}
	s.granted(true, "ada", "WS-1", "2001")
	release()
	s.breaks(nil)
	eventually(t, "the answer to the first question is noticed: the vendor is waited for again", func() bool {
		return s.policy(t, s.bearer(t, "ada"), "WS-1", "2001").Header.Get(KeptHeader) == ""
	})
}

// Who knows of nothing that could be answered instead waits for as long as the vendor may take.
func TestWhereNothingIsKeptASilentVendorIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := newKeptRig(t)
	s.e.relay.briefly = time.Millisecond
	s.linkIs(false)
	asked, left, release := s.silent(cloudapi.PathGetPolicy)
	got := make(chan answer, 1)
	go func() { got <- s.policy(t, s.bearer(t, "ada"), "WS-1", "2001") }()
	received(t, "the question", asked)
	release()
	select {
	case a := <-got:
		s.isPolicy(a, false)
	case <-left:
		t.Error("the vendor was given up, and there is nothing else")
	}
}

// A policy that is kept and may not be served shortens nobody's wait: the vendor's answer is all
// there is, as it was before. Others, who ask later and are answered, are the clock.
func TestAKeptPolicyThatMayNotBeServedIsNoReasonToLeaveASilentVendor(t *testing.T) {
	t.Parallel()
	s := newKeptRig(t)
	s.e.relay.briefly = 10 * time.Millisecond
	s.granted(false, "ada", "WS-1", "1234")
	s.stops("ada", "WS-1", "1234")
	s.granted(false, "ben", "WS-2", "2001")
	s.linkIs(false)
	asked, _, release := s.silent(cloudapi.PathGetPolicy)
	got := make(chan answer, 1)
	go func() { got <- s.policy(t, s.bearer(t, "ada"), "WS-1", "1234") }()
	received(t, "the question", asked)
	for range 10 {
		s.granted(true, "ben", "WS-2", "2001")
	}
	release()
	s.isPolicy(<-got, false)
	if got := s.sessions("ada"); len(got) != 1 || got[0] != "1234 WS-1" {
		t.Errorf("ada has %v, want a session on WS-1", got)
	}
}

// Where the rules say no whatever the vendor says, nobody waits for it.
func TestANoOfTheSitesOwnWaitsForNoSilentVendor(t *testing.T) {
	t.Parallel()
	s := newKeptRig(t)
	s.e.relay.briefly = 10 * time.Millisecond
	s.mirrors("c2", "c3", license.Change{Account: &license.Account{ID: "a-1", AutonomyCapped: 72 * time.Hour}})
	s.granted(false, "ada", "WS-1", "1234")
	s.stops("ada", "WS-1", "1234")
	s.granted(false, "ada", "WS-2", "1234")
	s.linkIs(false)
	asked, left, _ := s.silent(cloudapi.PathGetPolicy)
	s.refusedFor(string(license.MachineActive), "ada", "WS-1", "1234")
	received(t, "the question", asked)
	if len(left) != 0 {
		t.Error("the vendor was given up before the site's own no was said: the client waited for all of the vendor's time")
	}
}

// stops ends the session of a user's machine, so that nothing is held.
func (s *keptRig) stops(user license.UserID, machine string, product license.ProductID) {
	s.t.Helper()
	var id license.ID
	s.node.View(func(st *license.State) {
		if x := license.RelayedSession(st, user, license.Machine{Name: machine}, product); x != nil {
			id = x.ID
		}
	})
	s.node.do(s.t, license.Stop{ID: id, User: user, Machine: license.Machine{Name: machine}})
}

// A no of a slow vendor is heard, if not by who asked: what is kept is not served after it, here
// and at the other nodes.
func TestANoThatNobodyWaitedForTakesWhatIsKept(t *testing.T) {
	t.Parallel()
	for name, no := range map[string]func(*keptRig){
		"a policy that denies": func(s *keptRig) { s.cloud.DeleteLicense("l-3") },
		"a token that is not taken": func(s *keptRig) {
			s.cloud.SetFault(emulator.Fault{Prefix: getPolicy, Status: http.StatusUnauthorized, Times: 1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newKeptRig(t)
			s.e.relay.briefly = 20 * time.Millisecond
			s.granted(false, "ada", "WS-1", "2001")
			s.granted(false, "ada", "WS-9", "2001")
			s.granted(false, "ben", "WS-2", "2001")
			s.linkIs(false)
			asked, _, release := s.silent(cloudapi.PathGetPolicy)
			s.granted(true, "ada", "WS-1", "2001")
			received(t, "the question", asked)
			no(s)
			release()
			revoked := func() (at license.Time) {
				s.node.View(func(st *license.State) { at = license.RevokedAt(st, "ada") })
				return at
			}
			eventually(t, "the site knows that the vendor has taken it back", func() bool { return revoked() != 0 })
			s.link.cut.Store(true)
			s.refusedFor(cloudNeeded, "ada", "WS-1", "2001")
			s.refusedFor(cloudNeeded, "ada", "WS-9", "2001")
			s.granted(true, "ben", "WS-2", "2001")
		})
	}
}

// What is kept is read and verified once for an exchange, however often it is looked at while
// the vendor is silent; that it was taken back is noticed each time.
func TestWhatIsKeptIsVerifiedOnce(t *testing.T) {
	t.Parallel()
	s := newKeptRig(t)
	last := s.granted(false, "ada", "WS-1", "2001")
	s.certificate()
	rl, of := s.e.relay, policyFor("ada", "WS-1", "2001")
	asks := func() *exchange {
		return &exchange{desk: desk{user: of.user}, machine: license.Machine{Name: of.machine}, want: of.products}
	}
	x := asks()
	first, err := rl.servable(x)
	if err != nil || string(first.body) != last {
		t.Fatalf("got %+v, %v; want what the vendor gave", first, err)
	}
	rl.kept.keep(of, []byte("damaged"), time.Now().Add(time.Hour))
	if again, err := rl.servable(x); err != nil || again != first {
		t.Errorf("the same exchange: got %+v, %v; want what it found before", again, err)
	}
	if _, err := rl.servable(asks()); err != spentDamaged {
		t.Errorf("another exchange: got %v, want %v", err, spentDamaged)
	}
	if _, err := rl.servable(x); err != spentNone {
		t.Errorf("once it is dropped: got %v, want %v", err, spentNone)
	}
	rl.kept.keep(of, []byte(last), time.Now().Add(time.Hour))
	s.node.do(t, license.NoteRevoked{Users: []license.Revocation{{User: "ada", At: license.TimeOf(whenSigned(first.policy))}}})
	if _, err := rl.servable(x); err != spentRevoked {
		t.Errorf("once it is taken back: got %v, want %v", err, spentRevoked)
	}
}

// A yes of a slow vendor is kept as any other, though nothing is begun for it.
func TestAPolicyThatNobodyWaitedForIsKept(t *testing.T) {
	t.Parallel()
	s := newKeptRig(t)
	s.e.relay.briefly = 20 * time.Millisecond
	before := s.granted(false, "ada", "WS-1", "2001")
	s.linkIs(false)
	asked, _, release := s.silent(cloudapi.PathGetPolicy)
	s.granted(true, "ada", "WS-1", "2001")
	received(t, "the question", asked)
	release()
	of := policyFor("ada", "WS-1", "2001")
	eventually(t, "the new one is kept", func() bool {
		now := s.e.relay.kept.find(of)
		return now != nil && string(now) != before
	})
}

// What a client has posted is delivered by the site once it was taken over, and not by the
// question that it did not wait for as well.
func TestAPostingThatIsTakenOverIsNotAskedOn(t *testing.T) {
	t.Parallel()
	s := newKeptRig(t)
	s.e.relay.briefly = 20 * time.Millisecond
	s.linkIs(false)
	asked, left, _ := s.silent(cloudapi.PathPosting)
	if a := s.posts(t, s.bearer(t, "ada"), "", posting(t)); a.StatusCode != http.StatusOK {
		t.Fatalf("got %d %s, want it taken over", a.StatusCode, a.raw)
	}
	received(t, "the posting", asked)
	received(t, "the vendor is left", left)
}

// Without a word of the site's link, what a node has asked in vain itself counts, until there is
// an answer, or the link has come up since.
func TestANodeKnowsWhatItAskedInVain(t *testing.T) {
	up, down, slow := license.LinkState{Up: true, Since: 10}, license.LinkState{Since: 20}, license.LinkState{Up: true, Since: 30, Slow: true}
	none := license.LinkState{}
	for _, c := range []struct {
		name string
		s    *silence
		link license.LinkState
		want bool
	}{
		{"nothing is known", &silence{}, none, false},
		{"the link is up", &silence{}, up, false},
		{"the link is down", &silence{}, down, true},
		{"it has answered since", &silence{asked: true, then: down}, down, false},
		{"it has answered before that", &silence{asked: true, then: up}, down, true},
		{"it was asked in vain", &silence{asked: true, vain: true, then: up}, up, true},
		{"and the link has come up since", &silence{asked: true, vain: true, then: down}, slow, false},
		{"and the link was up all along", &silence{asked: true, vain: true, then: none}, none, true},
		{"it has answered, and not the last time", &silence{asked: true, vain: true, then: down}, down, true},
	} {
		if got := c.s.is(c.link); got != c.want {
			t.Errorf("%s: silent is %v, want %v", c.name, got, c.want)
		}
	}
}
