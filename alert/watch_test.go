package alert

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

// site is a log of one state, which the nodes of a test share, one of which leads.
type site struct {
	mu     sync.Mutex
	state  *license.State
	leader string
	over   context.CancelFunc // ends the leadership
	change chan struct{}
	broken error // of Told
}

func newSite() *site {
	s := &site{state: license.NewState(), change: make(chan struct{})}
	s.do(license.Found{Level: license.Level, Cluster: "site-7"})
	return s
}

func (s *site) do(c license.Command) license.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	out, _ := license.Apply(s.state, license.Entry{At: license.TimeOf(time.Now()), Command: c})
	return out
}

// lead has a node lead; none: nobody does.
func (s *site) lead(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leader = node; s.over != nil {
		s.over()
	}
	close(s.change)
	s.change = make(chan struct{})
}

// at is the site as one node has it.
type at struct {
	*site
	node string
}

func (a at) View(f func(*license.State)) { a.mu.Lock(); defer a.mu.Unlock(); f(a.state) }
func (a at) Now() license.Time           { return license.TimeOf(time.Now()) }

func (a at) Lead(ctx context.Context, f func(context.Context)) error {
	for {
		a.mu.Lock()
		change, mine := a.change, a.leader == a.node
		var during context.Context
		if mine {
			during, a.over = context.WithCancel(ctx)
		}
		a.mu.Unlock()
		if mine {
			f(during)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-change:
		}
	}
}

func (a at) Note(_ context.Context, c license.NoteAlert) error {
	a.mu.Lock()
	leader := a.leader
	a.mu.Unlock()
	if leader == "" {
		return errors.New("nobody leads")
	}
	if out := a.do(c); out.Denial != nil {
		return fmt.Errorf("refused: %v", out.Denial)
	}
	return nil
}

func (a at) Told(_ context.Context, c license.AlertTold) error {
	a.mu.Lock()
	broken := a.broken
	a.mu.Unlock()
	if broken != nil {
		return broken
	}
	if out := a.do(c); out.Denial != nil {
		return fmt.Errorf("refused: %v", out.Denial)
	}
	return nil
}

// box is a way that keeps what it is given, or refuses it.
type box struct {
	name  string
	mu    sync.Mutex
	got   []string // state, kind, subject
	keys  []string
	tried int
	err   error
}

func (b *box) Name() string { return b.name }

func (b *box) Send(_ context.Context, m Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tried++; b.err != nil {
		return b.err
	}
	b.got, b.keys = append(b.got, fmt.Sprintf("%s %s %s", m.State, m.Kind, m.Subject)), append(b.keys, m.Key)
	return nil
}

func (b *box) breaks(err error) { b.mu.Lock(); defer b.mu.Unlock(); b.err = err }

func (b *box) want(t *testing.T, when string, want ...string) {
	t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.got, want) {
		t.Errorf("%s: %s got\n%q, want\n%q", when, b.name, b.got, want)
	}
}

// own is what a node knows of its machine, to be changed.
type own struct {
	mu   sync.Mutex
	list []Condition
}

func (o *own) set(list ...Condition) { o.mu.Lock(); defer o.mu.Unlock(); o.list = list }
func (o *own) get() []Condition      { o.mu.Lock(); defer o.mu.Unlock(); return slices.Clone(o.list) }

// start runs a node's watch; what it returns ends it.
func (s *site) start(node string, o *own, health func() Health, ways ...Way) (stop func()) {
	if health == nil {
		health = func() Health { return Health{Voters: 3, Reached: 3, Members: []string{"gw1", "gw2", "gw3"}} }
	}
	w := New(Config{Log: at{s, node}, Node: node, URL: "https://" + node, Own: o.get, Health: health, Ways: ways, After: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.Run(ctx) }()
	return func() { cancel(); <-done }
}

var full = Condition{Disk, "gw2", "full"}

// An alert is raised once, when it has lasted for a while, and is over once, by every
// way, whichever node it is of and whichever leads in between.
func TestAlertsAreRaisedOnceAndEndedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, disk := newSite(), new(own)
		mail, hook := &box{name: "mail"}, &box{name: "hook"}
		s.lead("gw1")
		defer s.start("gw1", new(own), nil, mail, hook)()
		defer s.start("gw2", disk, nil, mail, hook)()
		defer s.start("gw3", new(own), nil, mail, hook)()

		disk.set(full)
		time.Sleep(40 * time.Second)
		disk.set() // gone before it has lasted
		time.Sleep(10 * time.Minute)
		mail.want(t, "after a moment")
		disk.set(full, full)
		time.Sleep(3 * time.Minute)
		mail.want(t, "when it has lasted", "raised disk gw2")
		hook.want(t, "when it has lasted", "raised disk gw2")
		for _, leader := range []string{"gw3", "", "gw2", "gw1"} {
			s.lead(leader)
			time.Sleep(time.Hour)
		}
		disk.set()
		time.Sleep(40 * time.Second)
		disk.set(full) // away for a moment is not over
		time.Sleep(time.Hour)
		mail.want(t, "after leaders came and went", "raised disk gw2")
		s.lead("")
		disk.set()
		time.Sleep(time.Hour)
		s.lead("gw3")
		time.Sleep(5 * time.Minute)
		mail.want(t, "when it is over", "raised disk gw2", "over disk gw2")
		hook.want(t, "when it is over", "raised disk gw2", "over disk gw2")
		at{s, ""}.View(func(x *license.State) {
			if left := x.Head().Alerts; len(left) > 0 {
				t.Errorf("%+v is left when everybody was told", left)
			}
		})
		disk.set(full)
		time.Sleep(5 * time.Minute)
		mail.want(t, "when it begins again", "raised disk gw2", "over disk gw2", "raised disk gw2")
		if mail.keys[0] != hook.keys[0] || mail.keys[1] == mail.keys[0] || mail.keys[2] == mail.keys[0] {
			t.Errorf("the keys are %q and %q, want the same of the same, and of nothing else", mail.keys, hook.keys)
		}
	})
}

// What somebody has meant is said at once, and that it is over, too, whoever ended it.
func TestABypassIsSaidAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mail := newSite(), &box{name: "mail"}
		s.lead("gw1")
		defer s.start("gw1", new(own), nil, mail)()
		s.do(license.LetPass{By: "ida", Note: "no starts"})
		time.Sleep(61 * time.Second) // between two looks there are 30 s, and it is sent with the next
		mail.want(t, "after it began", "raised bypass ")
		s.do(license.LetPass{Over: true, By: "ida", Note: "well again"})
		time.Sleep(61 * time.Second)
		mail.want(t, "after it was ended", "raised bypass ", "over bypass ")
		s.do(license.LetPass{By: "ida", Note: "not well at all"})
		time.Sleep(license.BypassTime + 61*time.Second)
		mail.want(t, "after its time was up", "raised bypass ", "over bypass ", "raised bypass ", "over bypass ")
	})
}

// What cannot be sent by one way is sent by the others, and by that one when it can be, in
// order; nobody is told twice for it.
func TestAWayThatFailsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, disk := newSite(), new(own)
		mail, hook := &box{name: "mail"}, &box{name: "hook", err: errors.New("away")}
		s.lead("gw2")
		defer s.start("gw2", disk, nil, mail, hook)()
		defer s.start("gw1", new(own), nil, mail, hook)()
		disk.set(Condition{ClockOff, "gw2", "off"}) // first: of two at once either may come first
		time.Sleep(10 * time.Minute)
		disk.set(full, Condition{ClockOff, "gw2", "off"})
		time.Sleep(time.Hour)
		disk.set(Condition{ClockOff, "gw2", "off"})
		time.Sleep(time.Hour)
		s.lead("gw1")
		time.Sleep(time.Hour)
		mail.want(t, "while the other way is away", "raised clock-off gw2", "raised disk gw2", "over disk gw2")
		hook.want(t, "while it is away")
		if hook.tried < 30 || hook.tried > 65 { // each 5 min, after some sooner ones, twice
			t.Errorf("it was tried %d times in three hours", hook.tried)
		}
		hook.breaks(nil)
		time.Sleep(10 * time.Minute)
		hook.want(t, "when it is back", "raised clock-off gw2", "raised disk gw2", "over disk gw2")
		time.Sleep(time.Hour)
		mail.want(t, "in the end", "raised clock-off gw2", "raised disk gw2", "over disk gw2")

		// What nobody takes for a day is given up, so that what follows is not kept back.
		hook.breaks(errors.New("gone for good"))
		disk.set()
		time.Sleep(26 * time.Hour)
		at{s, ""}.View(func(x *license.State) {
			if left := x.Head().Alerts; len(left) > 0 {
				t.Errorf("%+v is left after a day", left)
			}
		})
	})
}

// What was sent and could not be noted is not sent again by the same leader; by another it
// is, with the same key.
func TestWhatCouldNotBeNotedIsSentAgainWithTheSameKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, disk := newSite(), new(own)
		mail := &box{name: "mail"}
		s.lead("gw2")
		defer s.start("gw2", disk, nil, mail)()
		defer s.start("gw1", new(own), nil, mail)()
		s.mu.Lock()
		s.broken = errors.New("no majority answers")
		s.mu.Unlock()
		disk.set(full)
		time.Sleep(time.Hour)
		mail.want(t, "while nothing can be noted", "raised disk gw2")
		s.lead("gw1")
		time.Sleep(time.Hour)
		mail.want(t, "by the next leader", "raised disk gw2", "raised disk gw2")
		if mail.keys[0] != mail.keys[1] {
			t.Errorf("the same was sent with the keys %q", mail.keys)
		}
		s.mu.Lock()
		s.broken = nil
		s.mu.Unlock()
		s.lead("gw2")
		time.Sleep(time.Hour)
		mail.want(t, "when it can be noted", "raised disk gw2", "raised disk gw2", "raised disk gw2")
		s.lead("gw1")
		time.Sleep(time.Hour)
		mail.want(t, "and no more", "raised disk gw2", "raised disk gw2", "raised disk gw2")
	})
}

// What a node has said of itself is over when it is no member any more; while it is only
// silent it is not.
func TestAlertsOfANodeThatIsGoneAreOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, disk := newSite(), new(own)
		mail := &box{name: "mail"}
		var mu sync.Mutex
		health := Health{Voters: 3, Reached: 3, Members: []string{"gw1", "gw2", "gw3"}}
		set := func(h Health) { mu.Lock(); defer mu.Unlock(); health = h }
		get := func() Health { mu.Lock(); defer mu.Unlock(); return health }
		s.lead("gw1")
		defer s.start("gw1", new(own), get, mail)()
		stop := s.start("gw2", disk, get, mail)
		disk.set(full)
		time.Sleep(5 * time.Minute)
		mail.want(t, "at first", "raised disk gw2")
		stop()
		set(Health{Voters: 3, Reached: 2, Members: []string{"gw1", "gw2", "gw3"}})
		time.Sleep(time.Hour)
		mail.want(t, "while it is silent", "raised disk gw2", "raised quorum-at-risk ")
		set(Health{Voters: 2, Reached: 2, Members: []string{"gw1", "gw3"}})
		time.Sleep(5 * time.Minute)
		mail.want(t, "when it was taken out", "raised disk gw2", "raised quorum-at-risk ", "over disk gw2", "over quorum-at-risk ")
	})
}
