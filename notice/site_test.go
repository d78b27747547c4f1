package notice

import (
	"testing"
	"time"

	"sitegate/license"
)

// siteSeqs is what a follower takes, as seqs does for a user's.
func siteSeqs(t *testing.T, sub *SiteSubscription, want string, to Token, over End) {
	t.Helper()
	ns, at, end := sub.Take()
	if got := seqs(ns); got != want || end != over || end == Open && at != to {
		t.Errorf("took %q up to %v, over %q; want %q up to %v, %q", got, at, end, want, to, over)
	}
}

// Who follows the site hears of everybody, in order, from where they left off.
func TestTheSiteIsFollowedInOrder(t *testing.T) {
	h := New(1, 10)
	h.Publish(1, []license.Event{started(11, "ada", noon), started(12, "ben", noon), {Seq: 13, At: noon, Fact: license.LinkChanged{Up: true}}})
	woken := 0
	sub := h.SubscribeSite(Token{1, 11}, func() { woken++ })
	if !sub.Recovered || sub.From != (Token{1, 11}) {
		t.Errorf("recovered %t from %v; want true from {1 11}", sub.Recovered, sub.From)
	}
	siteSeqs(t, sub, "1:12 1:13 ", Token{1, 13}, Open)
	h.Publish(1, []license.Event{started(14, "eve", noon), started(15, "ada", noon)})
	if woken != 1 {
		t.Errorf("woken %d times before it looked; want once", woken)
	}
	siteSeqs(t, sub, "1:14 1:15 ", Token{1, 15}, Open)
	siteSeqs(t, sub, "", Token{1, 15}, Open)

	for name, since := range map[string]Token{"none": {}, "of before this node's time": {1, 9}, "of another epoch": {2, 12}, "of the future": {1, 99}} {
		if other := h.SubscribeSite(since, func() {}); other.Recovered || other.From != (Token{1, 15}) {
			t.Errorf("a token %s: recovered %t from %v; want a gap at {1 15}", name, other.Recovered, other.From)
		}
	}
	sub.Close()
	h.Publish(1, []license.Event{started(16, "ada", noon)})
	siteSeqs(t, sub, "", Token{}, Closed)
}

// What goes by untaken is a gap, and so is a jump of the state.
func TestAFollowerThatIsTooSlowHasAGap(t *testing.T) {
	h := New(1, 0)
	sub := h.SubscribeSite(Token{}, func() {})
	var events []license.Event
	for i := range uint64(SiteKept) {
		events = append(events, started(i+1, "ada", noon))
	}
	h.Publish(1, events)
	if ns, _, over := sub.Take(); len(ns) != SiteKept || over != Open || ns[0].Seq != 1 {
		t.Fatalf("took %d notices, over %q; want %d", len(ns), over, SiteKept)
	}
	events = events[:0]
	for i := range uint64(SiteKept + 1) {
		events = append(events, started(SiteKept+i+1, "ada", noon))
	}
	h.Publish(1, events)
	siteSeqs(t, sub, "", Token{}, Gap)
	siteSeqs(t, sub, "", Token{}, Gap)
	if back := h.SubscribeSite(Token{1, SiteKept + 1}, func() {}); !back.Recovered {
		t.Error("a token that the ring just reaches is not recovered")
	}
	woken := make(chan struct{}, 1)
	jumped := h.SubscribeSite(Token{}, func() { woken <- struct{}{} })
	h.Reset(2, 5)
	<-woken
	siteSeqs(t, jumped, "", Token{}, Gap)
}

// What is alike is told once, the latest, with how often; what is told to several
// administrators is one notice.
func TestWhatIsAlikeIsToldOnce(t *testing.T) {
	at := func(seq uint64, kind Kind, user license.UserID, m license.Machine) *Notice {
		return &Notice{Epoch: 1, Seq: seq, Kind: kind, User: user, Machine: m}
	}
	got := Conflate([]*Notice{at(1, Attempted, "ada", ws202), at(2, Granted, "ben", ws101), at(3, Attempted, "ada", ws202), at(4, Attempted, "ada", ws101)})
	want := []struct {
		seq   uint64
		times int
	}{{2, 1}, {3, 2}, {4, 1}}
	if len(got) != len(want) {
		t.Fatalf("got %d notices, want %d", len(got), len(want))
	}
	for i, w := range want {
		if got[i].Seq != w.seq || got[i].Times != w.times {
			t.Errorf("%d: got %d, %d times; want %d, %d times", i, got[i].Seq, got[i].Times, w.seq, w.times)
		}
	}

	h := New(1, 0)
	sub := h.SubscribeSite(Token{}, func() {})
	h.Publish(1, []license.Event{{Seq: 1, At: noon, Fact: license.MirrorHeld{To: []license.UserID{"ida", "fay"}}},
		{Seq: 2, At: noon, Fact: license.LicenseEnds{User: "ada", To: []license.UserID{"ida", "fay"}, Ends: noon.Add(time.Hour)}}})
	ns, _, _ := sub.Take()
	var kinds []Kind
	for _, n := range ns {
		kinds = append(kinds, n.Kind)
	}
	if len(kinds) != 3 || kinds[0] != MirrorHeld || kinds[1] != EndsSoon || kinds[2] != SiteEnds {
		t.Errorf("the site is told %q; want each once", kinds)
	}
}

// Different things are not one because their kind and user are the same.
func TestDifferentThingsAreToldApart(t *testing.T) {
	for what, change := range map[string]func(*Notice){
		"license": func(n *Notice) { n.License = "l-2" },
		"node":    func(n *Notice) { n.Node = "n2" },
		"proxy":   func(n *Notice) { n.Proxy = "second" },
		"session": func(n *Notice) { n.ID = license.ID{2} },
	} {
		a := Notice{Epoch: 1, Seq: 1, Kind: Granted, User: "ada", License: "l-1", Node: "n1", Proxy: "first", ID: license.ID{1}}
		b := a
		b.Seq = 2
		change(&b)
		if got := Conflate([]*Notice{&a, &b}); len(got) != 2 {
			t.Errorf("of two that have another %s, %d is told; want both", what, len(got))
		}
	}
}

// That the mirror has changed is known once until it is looked at.
func TestTheMirrorsChangesAreKnown(t *testing.T) {
	h := New(1, 0)
	h.Publish(1, []license.Event{{Seq: 1, Fact: license.Mirrored{Changes: 1}}, {Seq: 2, Fact: license.Mirrored{Changes: 1}}, started(3, "ada", noon)})
	<-h.Mirrored()
	select {
	case <-h.Mirrored():
		t.Error("it is told twice")
	default:
	}
	h.Reset(1, 9)
	<-h.Mirrored()
}
