package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"sitegate/license"
)

// soloLog is a cluster of one in memory: the real rules, no disk. It stamps the
// bubble's time and can lose its leadership.
type soloLog struct {
	mu      sync.Mutex
	state   *license.State
	journal []license.Event
	peaks   []license.Peak
	leading bool
	term    uint64
	takes   time.Duration              // every proposal
	slow    chan struct{}              // not nil: a proposal is applied when it is closed, though its caller may be gone
	lost    bool                       // the next proposal is applied, and then its outcome is lost
	lostOf  func(license.Command) bool // so is that of these
	drop    func()                     // the next proposal is not applied, and it is not known: this is called instead
	lose    func(license.Command) bool // whether a command is not applied, and that not known
	asked   []license.Command          // all that were applied or denied
	observe func([]license.Event)
	reading func() // before events are read
}

func newSoloLog() *soloLog {
	l := &soloLog{state: license.NewState(), leading: true, term: 1}
	license.Apply(l.state, license.Entry{At: l.Now(), Command: license.Found{Cluster: "site-1", Level: license.Level}})
	return l
}

func (l *soloLog) Propose(ctx context.Context, c license.Command) (license.Outcome, error) {
	l.mu.Lock()
	takes := l.takes
	l.mu.Unlock()
	time.Sleep(takes)
	l.mu.Lock()
	if slow := l.slow; slow != nil && l.leading {
		l.mu.Unlock()
		applied := make(chan error, 1)
		go func() {
			<-slow
			_, err := l.apply(c)
			applied <- err
		}()
		select {
		case <-applied:
			return license.Outcome{}, ErrUnknown
		case <-ctx.Done():
			return license.Outcome{}, ErrUnknown
		}
	}
	drop := l.drop
	l.drop = nil
	l.mu.Unlock()
	if drop != nil {
		drop()
		return license.Outcome{}, ErrUnknown
	}
	return l.apply(c)
}

func (l *soloLog) apply(c license.Command) (license.Outcome, error) {
	l.mu.Lock()
	if !l.leading {
		l.mu.Unlock()
		return license.Outcome{}, ErrNotLeader
	}
	if l.lose != nil && l.lose(c) {
		l.mu.Unlock()
		return license.Outcome{}, ErrUnknown
	}
	l.asked = append(l.asked, c)
	out, events := license.Apply(l.state, license.Entry{At: license.TimeOf(time.Now()), Command: c})
	l.journal = append(l.journal, events...)
	lost := l.lost || l.lostOf != nil && l.lostOf(c)
	l.lost = false
	l.mu.Unlock()
	if l.observe != nil {
		l.observe(events)
	}
	if lost {
		return license.Outcome{}, ErrUnknown
	}
	return out, nil
}

func (l *soloLog) Fresh(context.Context) error {
	if _, ok := l.Leading(); !ok {
		return ErrNotLeader
	}
	return nil
}

func (l *soloLog) CatchUp(context.Context) error { return nil }

func (l *soloLog) View(f func(*license.State)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l.state)
}

func (l *soloLog) Now() license.Time { return license.TimeOf(time.Now()) }

func (l *soloLog) Renew(_ context.Context, r []license.Renewal) ([]license.Lease, error) {
	var leases []license.Lease
	l.View(func(s *license.State) {
		for _, x := range r {
			leases = append(leases, license.Renew(s, l.Now(), x))
		}
	})
	return leases, nil
}

func (l *soloLog) Forward(context.Context, []byte) ([]byte, error) { return nil, ErrNoLeader }

func (l *soloLog) Journal(_ context.Context, after uint64, limit int) ([]license.Event, error) {
	if l.reading != nil {
		l.reading()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var events []license.Event
	for _, e := range l.journal {
		if e.Seq > after && len(events) < limit {
			events = append(events, e)
		}
	}
	return events, nil
}

func (l *soloLog) Peaks(_ context.Context, from, until license.Time, product license.ProductID, most int) (peaks []license.Peak, _ license.Time, _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.TakeChanged(func(_ license.Key, r any) {
		if p, is := r.(*license.Peak); is {
			l.peaks = append(l.peaks, *p)
		}
	})
	for _, p := range l.peaks {
		if p.Day >= until || p.Day < from || product != "" && p.Product != product {
			continue
		}
		if len(peaks) >= most && p.Day > peaks[len(peaks)-1].Day {
			return peaks, p.Day, nil
		}
		peaks = append(peaks, p)
	}
	return peaks, until, nil
}

// forgetful deletes what the state has forgotten.
func (l *soloLog) forgetful() {
	l.mu.Lock()
	defer l.mu.Unlock()
	through := l.state.Head().Forgotten.Sums.Through
	l.journal = slices.DeleteFunc(l.journal, func(e license.Event) bool { return e.Seq <= through })
}

func (l *soloLog) Leading() (uint64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.term, l.leading
}

func (l *soloLog) lead(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leading = on; on {
		l.term++
	}
}

func (l *soloLog) Lead(ctx context.Context, f func(context.Context)) error {
	f(ctx)
	return ctx.Err()
}

// AcceptTime does what a leader does whose clock is that of the cluster.
func (l *soloLog) AcceptTime(context.Context) (before, now license.Time, err error) {
	if _, leading := l.Leading(); !leading {
		return 0, 0, ErrNotLeader
	}
	return l.Now().Add(-time.Hour), l.Now(), nil
}

func (l *soloLog) Cluster() Cluster { return Cluster{Node: "n1", Leader: "n1", Term: 1} }

// books are the cloud's side of the site API in memory: enough to agree, to
// refuse, to be cut off, and to be read by a test.
type books struct {
	mu     sync.Mutex
	down   bool
	feed   []license.Change
	holds  map[license.ID]license.CloudHold
	other  map[string]license.Machine // active at another site, by hold key
	usage  map[string]int             // deliveries kept, by record
	asked  int
	forget bool          // keep the usage of the next delivery, but lose the answer
	slow   time.Duration // of a release
	reset  bool          // the next cursor is not known any more

	gone    map[license.LicenseID]bool // licenses that nobody may hold any more
	asking  func()                     // before a hold is looked at, without the lock
	listing func()                     // before a full list is taken in, without the lock
	posting func()                     // before usage is taken in, without the lock
	pinging func()                     // before a probe is answered, without the lock
	page    int                        // changes in a page; zero: all there are
	pages   func(cursor string) (license.Page, error)
	polls   int // questions to the feed
	pings   int
	posts   int                     // deliveries of usage tried
	deaf    bool                    // to the next hold
	invalid bool                    // usage is refused
	mute    bool                    // it does not say what is held
	never   map[license.UserID]bool // whose usage is refused for good
	hangs   bool                    // holds are not answered
	noFeed  bool                    // it has none
	noHolds bool
	busy    bool // it asks to come back later, whatever it is asked
}

// errBusy is a cloud's answer that it is asked too much.
type errBusy struct{ error }

func (errBusy) Busy() bool { return true }

var errTooMuch = errBusy{errors.New("the cloud asks to come back later")}

// errNone is a cloud's answer that it has no such thing.
type errNone struct{ error }

func (errNone) NotOffered() bool { return true }

var errNoSuch = errNone{errors.New("the cloud answered with status 404, not-offered")}

var errCut = errors.New("the cloud cannot be reached: connection refused")

func newBooks(feed ...license.Change) *books {
	return &books{feed: feed, holds: map[license.ID]license.CloudHold{}, gone: map[license.LicenseID]bool{}, other: map[string]license.Machine{},
		usage: map[string]int{}, never: map[license.UserID]bool{}}
}

func (b *books) set(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func (b *books) Changes(ctx context.Context, cursor string, wait time.Duration) (license.Page, error) {
	at := 0
	fmt.Sscanf(cursor, "c%d", &at)
	b.mu.Lock()
	reset := b.reset && cursor != ""
	if reset {
		b.reset, at = false, 0
	}
	b.polls++
	down, busy, n, pages, noFeed := b.down, b.busy, len(b.feed), b.pages, b.noFeed
	more := b.page > 0 && n-at > b.page
	if more {
		n = at + b.page
	}
	changes := b.feed[at:n]
	b.mu.Unlock()
	if busy {
		return license.Page{}, errTooMuch
	}
	if down {
		return license.Page{}, errCut
	}
	if noFeed {
		return license.Page{}, errNoSuch
	}
	if pages != nil {
		return pages(cursor)
	}
	if len(changes) == 0 {
		select {
		case <-ctx.Done():
			return license.Page{}, ctx.Err()
		case <-time.After(wait):
		}
	}
	return license.Page{Cursor: fmt.Sprintf("c%d", n), Changes: changes, Reset: reset, More: more}, nil
}

// of is the machine that a hold key is kept for.
func (b *books) of(key string) license.Machine {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.holds {
		if h.Key == key {
			return h.Machine
		}
	}
	return license.Machine{}
}

// call calls what a test has put in the way.
func call(b *books, f *func()) {
	b.mu.Lock()
	g := *f
	b.mu.Unlock()
	if g != nil {
		g()
	}
}

// refuses is the cloud's rule: another machine, here or elsewhere. The lock is
// held.
func (b *books) refuses(h license.CloudHold) (license.Machine, bool) {
	if m, ok := b.other[h.Key]; ok {
		return m, true
	}
	for _, o := range b.holds {
		if o.Key == h.Key && !o.Machine.Is(h.Machine) {
			return o.Machine, true
		}
	}
	return license.Machine{}, false
}

func (b *books) Hold(ctx context.Context, _ license.Fence, h license.CloudHold) (*license.Denial, error) {
	call(b, &b.asking)
	b.mu.Lock()
	hangs := b.hangs
	b.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if b.noHolds {
		return nil, errNoSuch
	}
	if b.busy {
		return nil, errTooMuch
	}
	if b.down || b.deaf {
		b.deaf = false
		return nil, errCut
	}
	if m, bad := b.refuses(h); bad {
		return &license.Denial{Reason: license.MachineActive, Machine: m}, nil
	}
	b.holds[h.Ref] = h
	return nil, nil
}

func (b *books) Release(_ context.Context, _ license.Fence, h license.CloudHold) error {
	time.Sleep(b.slow)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.busy {
		return errTooMuch
	}
	if b.down {
		return errCut
	}
	delete(b.holds, h.Ref)
	return nil
}

func (b *books) RenewHolds(_ context.Context, _ license.Fence, holds []license.CloudHold) ([]license.HoldConflict, error) {
	call(b, &b.listing)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.busy:
		return nil, errTooMuch
	case b.down:
		return nil, errCut
	case b.noHolds:
		return nil, errNoSuch
	}
	clear(b.holds)
	var conflicts []license.HoldConflict
	for _, h := range holds {
		switch m, bad := b.refuses(h); {
		case bad:
			conflicts = append(conflicts, license.HoldConflict{Key: h.Key, Ref: h.Ref, Machine: m})
		case b.gone[h.License]:
			conflicts = append(conflicts, license.HoldConflict{Key: h.Key, Ref: h.Ref})
		default:
			b.holds[h.Ref] = h
		}
	}
	return conflicts, nil
}

func (b *books) HeldCheckouts(context.Context) ([]license.Checkout, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down || b.mute {
		return nil, errCut
	}
	var held []license.Checkout
	for _, h := range b.holds {
		if h.Kind == license.HoldCheckout {
			held = append(held, license.Checkout{ID: h.Ref, User: h.User, Product: h.Product, License: h.License, Machine: h.Machine, Until: h.Until})
		}
	}
	return held, nil
}

func (b *books) SendUsage(_ context.Context, _ string, usage []license.Usage) (license.Delivery, error) {
	call(b, &b.posting)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.posts++
	if b.busy {
		return license.Delivery{}, errTooMuch
	}
	if b.down {
		return license.Delivery{}, errCut
	}
	if b.invalid {
		return license.Delivery{}, errors.New("the cloud refuses it: invalid")
	}
	var d license.Delivery
	for _, u := range usage {
		if len(d.SetAside) == license.MaxSetAsideAtOnce {
			break
		}
		if d.Done++; b.never[u.User] {
			d.SetAside = append(d.SetAside, license.SetAside{Usage: u, Why: "no such user"})
			continue
		}
		b.usage[u.Record]++
	}
	if b.forget {
		b.forget = false
		return license.Delivery{}, errCut
	}
	return d, nil
}

func (b *books) Ping(context.Context) error {
	call(b, &b.pinging)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pings++
	if b.busy {
		return errTooMuch
	}
	if b.down {
		return errCut
	}
	return nil
}

// site is a gateway with its errands running, a log of one and the cloud's books.
type site struct {
	*Gateway
	log   *soloLog
	books *books
	end   func()
}

func newSite(t *testing.T) *site {
	t.Helper()
	return newSiteOf(t, func(*books) {})
}

func newSiteOf(t *testing.T, prepare func(*books)) *site {
	t.Helper()
	b := newBooks(
		license.Change{Account: &license.Account{ID: "firm", AutonomyCapped: 2 * time.Hour, AutonomyUncapped: 7 * 24 * time.Hour}},
		license.Change{User: &license.User{ID: "ada", Email: "ada@firm.example", Country: "FR"}},
		license.Change{User: &license.User{ID: "ben", Email: "ben@firm.example", Country: "DE"}},
		license.Change{Product: &license.Product{ID: "road", Name: "Road Designer", Capped: license.CappedYes}},
		license.Change{License: &license.License{ID: "L1", Product: "road", Assignee: "ada"}},
		license.Change{License: &license.License{ID: "L2", Product: "road", Assignee: "ben"}},
	)
	prepare(b)
	return runSite(t, newSoloLog(), b, b)
}

// runSite runs a gateway until end is called, or the test ends.
func runSite(t *testing.T, log *soloLog, b *books, cloud Cloud) *site {
	t.Helper()
	g := New(Config{Log: log, Cloud: cloud, Logger: slog.New(slog.DiscardHandler)})
	log.observe = g.Observe
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	end := sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(end)
	return &site{Gateway: g, log: log, books: b, end: end}
}

// elect lets another node lead.
func (s *site) elect(t *testing.T) {
	t.Helper()
	s.end()
	s.log.lead(true)
	*s = *runSite(t, s.log, s.books, s.books)
}

var (
	ws101 = license.Machine{ID: "m-101", Name: "WS-101"}
	ws202 = license.Machine{ID: "m-202", Name: "WS-202"}
)

func (s *site) start(t *testing.T, n byte, m license.Machine) license.Outcome {
	t.Helper()
	a, err := s.Start(context.Background(), license.Start{ID: license.ID{n}, User: "ada", Product: "road", Machine: m})
	if err != nil {
		t.Fatalf("start %d on %s: %v", n, m.Name, err)
	}
	return a.Outcome
}

func (s *site) stop(t *testing.T, n byte, m license.Machine) {
	t.Helper()
	a, err := s.Stop(context.Background(), license.Stop{ID: license.ID{n}, User: "ada", Machine: m})
	if err != nil || a.Outcome.Denial != nil {
		t.Fatalf("stop %d on %s: %v %+v", n, m.Name, err, a.Outcome.Denial)
	}
}

func (s *site) facts(want func(license.Fact) bool) int {
	events, _ := s.log.Journal(context.Background(), 0, 1<<20)
	n := 0
	for _, e := range events {
		if want(e.Fact) {
			n++
		}
	}
	return n
}
