package endpoint

import (
	"context"
	"sync"
	"testing"
	"time"

	"sitegate/gateway"
	"sitegate/license"
	"sitegate/notice"
)

// oneNode is a gateway of a node by itself: the real rules in memory, no cloud.
type oneNode struct {
	mu     sync.Mutex
	state  *license.State
	hub    *notice.Hub
	agree  bool
	news   license.Command // what Refresh finds in the cloud; nil: the cloud does not answer
	err    error           // every request fails with it
	gate   chan struct{}   // Renew waits for it, where it is set
	beats  int             // renewals
	panic  bool
	onTime bool          // Now is the time of its log; else siteAhead more
	lone   bool          // no leader
	behind chan struct{} // closed once it has caught up; nil: it has
	// cannot: the cloud takes no moves.
	cannot bool
	audit  license.Audit
	oldest license.Time // of the usage that waits
	facts  []license.Fact
	seen   []gateway.Observation
	events []license.Event
	trail  []license.Audited
	peaks  func(from, until license.Time, product license.ProductID) ([]license.Peak, license.Time, error)
}

func newNode(t testing.TB) *oneNode {
	t.Helper()
	n := &oneNode{state: license.NewState(), hub: notice.New(0, 0), agree: true}
	n.do(t, license.Found{Cluster: "0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e6f", Level: license.Level})
	return n
}

// filled is a node that has read its licenses: ada and ben have the capped
// product road, ada also flow; max is blocked, and eve has nothing.
func filled(t testing.TB) *oneNode {
	t.Helper()
	n := newNode(t)
	n.do(t, license.Mirror{Full: true, Last: true, Cursor: "c1", Changes: []license.Change{
		{User: &license.User{ID: "ada", Email: "ada@example.org", Name: "Ada", Country: "DE"}},
		{User: &license.User{ID: "ben", Email: "ben@example.org", Country: "DE"}},
		{User: &license.User{ID: "eve", Email: "eve@example.org", Country: "DE"}},
		{User: &license.User{ID: "max", Email: "max@example.org", Country: "DE", Blocked: true}},
		{Product: &license.Product{ID: "road", Name: "Road Designer", Capped: license.CappedYes}},
		{Product: &license.Product{ID: "flow", Name: "Flow Master", Capped: license.CappedYes}},
		{License: &license.License{ID: "l-1", Product: "road", Assignee: "ada"}},
		{License: &license.License{ID: "l-2", Product: "flow", Assignee: "ada"}},
		{License: &license.License{ID: "l-3", Product: "road", Assignee: "ben"}},
		{Account: &license.Account{ID: "a-1", Administrators: []license.Administrator{{Name: "Ida Nord", Email: "ida@example.org"}}}},
	}})
	return n
}

func (n *oneNode) do(t testing.TB, c license.Command) license.Outcome {
	t.Helper()
	a, err := n.apply(c)
	if err != nil || a.Outcome.Denial != nil {
		t.Fatalf("%T: %v, %+v", c, err, a.Outcome.Denial)
	}
	return a.Outcome
}

func (n *oneNode) apply(c license.Command) (gateway.Answer, error) {
	return n.applyAt(license.TimeOf(time.Now()), c)
}

// at is do at a time of its log's.
func (n *oneNode) at(t testing.TB, at license.Time, c license.Command) {
	t.Helper()
	if a, err := n.applyAt(at, c); err != nil || a.Outcome.Denial != nil {
		t.Fatalf("%T: %v, %+v", c, err, a.Outcome.Denial)
	}
}

func (n *oneNode) applyAt(at license.Time, c license.Command) (gateway.Answer, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.panic {
		panic("made up")
	}
	if n.err != nil {
		return gateway.Answer{}, n.err
	}
	out, events := license.Apply(n.state, license.Entry{At: at, Command: c})
	n.state.TakeChanged(func(_ license.Key, r any) {
		if x, is := r.(*license.Audited); is {
			n.trail = append(n.trail, *x)
		}
	})
	h := n.state.Head()
	n.hub.Publish(h.Epoch, events)
	for _, e := range events {
		n.facts, n.events = append(n.facts, e.Fact), append(n.events, e)
	}
	return gateway.Answer{Outcome: out, Epoch: h.Epoch, Seq: h.Seq}, nil
}

// refused journals what was refused, as the gateway's leader does.
func (n *oneNode) refused(a gateway.Answer, err error, user license.UserID, m license.Machine) (gateway.Answer, error) {
	if err == nil && a.Outcome.Denial != nil {
		if _, err := n.apply(license.Refused{User: user, Machine: m, Denial: *a.Outcome.Denial}); err != nil {
			return a, err
		}
	}
	return a, err
}

func (n *oneNode) Start(_ context.Context, c license.Start) (gateway.Answer, error) {
	c.Agreed = n.agree
	a, err := n.apply(c)
	return n.refused(a, err, c.User, c.Machine)
}
func (n *oneNode) BindKey(_ context.Context, c license.BindKey) (gateway.Answer, error) {
	a, err := n.apply(c)
	return n.refused(a, err, c.User, c.Machine)
}
func (n *oneNode) SeeKey(_ context.Context, c license.SeeKey) (gateway.Answer, error) {
	return n.apply(c)
}
func (n *oneNode) ForgetKey(_ context.Context, c license.ForgetKey) (gateway.Answer, error) {
	return n.apply(c)
}
func (n *oneNode) StartRelayed(_ context.Context, c license.Start) (gateway.Answer, error) {
	c.Relayed, c.Agreed = true, true
	return n.relayed(c)
}

// relayed begins a relayed session, and journals its refusal as the gateway's leader does.
func (n *oneNode) relayed(c license.Start) (gateway.Answer, error) {
	a, err := n.apply(c)
	if err == nil && a.Outcome.Denial != nil {
		_, err = n.apply(license.Refused{User: c.User, Machine: c.Machine, Denial: *a.Outcome.Denial, Relayed: true, Offline: c.Offline})
	}
	return a, err
}

func (n *oneNode) Report(_ context.Context, c license.Report, product license.ProductID) (gateway.Answer, error) {
	if c.Session.IsZero() {
		n.View(func(s *license.State) {
			if x := license.RelayedSession(s, c.User, c.Machine, product); x != nil {
				c.Session = x.ID
			}
		})
	}
	return n.apply(c)
}

func (n *oneNode) ImportCheckout(_ context.Context, c license.CheckOut) (gateway.Answer, error) {
	c.Agreed, c.Imported = true, true
	return n.apply(c)
}

// KeepPosting takes a posting over while the node's link is down, as a gateway does.
func (n *oneNode) KeepPosting(_ context.Context, c license.KeepPosting) (gateway.Answer, error) {
	up := false
	n.View(func(s *license.State) { up = s.Head().Link.Up })
	if up {
		return gateway.Answer{}, gateway.ErrCloud
	}
	return n.apply(c)
}

func (n *oneNode) StartKept(_ context.Context, c license.Start) (gateway.Answer, error) {
	c.Relayed, c.Agreed = true, false
	return n.relayed(c)
}

func (n *oneNode) Learn(l license.Learned) {
	if _, err := n.apply(license.Learn{Seen: []license.Learned{l}}); err != nil {
		panic(err)
	}
}

func (n *oneNode) WouldRefuse(c license.WouldRefuse) {
	if _, err := n.apply(c); err != nil {
		panic(err)
	}
}

func (n *oneNode) Revoked(user license.UserID, at license.Time) {
	if _, err := n.apply(license.NoteRevoked{Users: []license.Revocation{{User: user, At: at}}}); err != nil {
		panic(err)
	}
}

func (n *oneNode) NoteObserved(x gateway.Observation) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = append(n.seen, x)
}

func (n *oneNode) Withheld(c license.Refused) {
	c.Relayed = true
	if _, err := n.apply(c); err != nil {
		panic(err)
	}
}

func (n *oneNode) CheckOut(_ context.Context, c license.CheckOut) (gateway.Answer, error) {
	c.Agreed = n.agree
	a, err := n.apply(c)
	return n.refused(a, err, c.User, c.Machine)
}
func (n *oneNode) Stop(_ context.Context, c license.Stop) (gateway.Answer, error) {
	return n.apply(c)
}
func (n *oneNode) Return(_ context.Context, c license.Return) (gateway.Answer, error) {
	return n.apply(c)
}
func (n *oneNode) Wait(_ context.Context, c license.Wait) (gateway.Answer, error) { return n.apply(c) }
func (n *oneNode) Request(_ context.Context, c license.Request) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) LetGo(_ context.Context, c license.LetGo) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) Decline(_ context.Context, c license.Decline) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) EndWait(_ context.Context, c license.EndWait) (gateway.Answer, error) {
	return n.apply(c)
}

// Refresh takes the cloud's news in, where there are some.
func (n *oneNode) Refresh(context.Context) (gateway.Answer, error) {
	n.mu.Lock()
	news := n.news
	n.news = nil
	n.mu.Unlock()
	if news == nil {
		return gateway.Answer{}, gateway.ErrCloud
	}
	return n.apply(news)
}

func (n *oneNode) AcceptRestore(_ context.Context, c license.AcceptRestore) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) Release(_ context.Context, c license.Release) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) WriteOff(_ context.Context, c license.WriteOff) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) Move(_ context.Context, c license.Move) (gateway.Answer, error) {
	c.Agreed, c.Cannot = n.agree, n.cannot
	return n.apply(c)
}
func (n *oneNode) Block(_ context.Context, c license.Block) (gateway.Answer, error) {
	return n.apply(c)
}
func (n *oneNode) Unblock(_ context.Context, c license.Unblock) (gateway.Answer, error) {
	return n.apply(c)
}
func (n *oneNode) ReleaseUser(_ context.Context, c license.ReleaseUser) (gateway.Answer, error) {
	return n.apply(c)
}
func (n *oneNode) SignOut(_ context.Context, c license.SignOut) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) Peaks(_ context.Context, from, until license.Time, product license.ProductID) ([]license.Peak, license.Time, error) {
	return n.peaks(from, until, product)
}

func (n *oneNode) ResendUsage(_ context.Context, by string) (gateway.Answer, error) {
	var c license.SettleUsage
	n.View(func(s *license.State) {
		for _, x := range license.AllSetAside(s) {
			c.Records = append(c.Records, x.Usage.Record)
		}
	})
	c.By = by
	return n.apply(c)
}

func (n *oneNode) Recall(_ context.Context, before uint64, most, look int, match func(license.Event) bool) (found []license.Event, reached uint64, err error) {
	n.mu.Lock()
	events := n.events
	n.mu.Unlock()
	for i := len(events) - 1; i >= 0; i-- {
		switch e := events[i]; {
		case before != 0 && e.Seq >= before:
			continue
		case look == 0 || len(found) == most:
			return found, events[i].Seq + 1, nil
		case match(e):
			found = append(found, e)
		}
		look--
	}
	return found, 0, nil
}

func (n *oneNode) Audit(context.Context) (license.Audit, error) { return n.audit, nil }

func (n *oneNode) OldestUsage(context.Context) (license.Time, error) { return n.oldest, nil }

func (n *oneNode) AcceptKeys(_ context.Context, c license.AcceptKeys) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) AcceptShrink(_ context.Context, c license.AcceptShrink) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) Import(_ context.Context, c license.Import) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) LetPass(_ context.Context, c license.LetPass) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) Maintain(_ context.Context, c license.Maintain) (gateway.Answer, error) {
	return n.apply(c)
}

// audited is Config.Audit.
func (n *oneNode) audited(_ context.Context, after uint64, limit int) ([]license.Audited, license.AuditTrail, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var page []license.Audited
	for _, r := range n.trail {
		if r.Number > after && len(page) < limit {
			page = append(page, r)
		}
	}
	return page, n.state.Head().Audit, n.err
}

func (n *oneNode) NoteAct(_ context.Context, c license.NoteAct) error {
	_, err := n.apply(c)
	return err
}

func (n *oneNode) EraseNames(_ context.Context, c license.EraseNames) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) ExportAudit(_ context.Context, c license.ExportAudit) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) AcceptTime(_ context.Context, c license.AcceptTime) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) Renew(ctx context.Context, rs []license.Renewal) ([]license.Lease, error) {
	n.mu.Lock()
	err, gate := n.err, n.gate
	n.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err != nil {
		return nil, err
	}
	var out []license.Lease
	n.View(func(s *license.State) {
		n.beats += len(rs)
		for _, r := range rs {
			out = append(out, license.Renew(s, license.TimeOf(time.Now()), r))
		}
	})
	return out, nil
}

// renewed is how many renewals there were.
func (n *oneNode) renewed() (beats int) {
	n.set(func() { beats = n.beats })
	return beats
}

func (n *oneNode) View(f func(*license.State)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(n.state)
}

// Now runs an hour ahead of the entries: nothing has been decided for that long.
func (n *oneNode) Now() license.Time {
	if n.onTime {
		return license.TimeOf(time.Now())
	}
	return license.TimeOf(time.Now()).Add(siteAhead)
}

// siteAhead is how far the site's time is ahead of this node's own clock.
const siteAhead = time.Hour

func (n *oneNode) CatchUp(ctx context.Context) error {
	if n.behind == nil {
		return nil
	}
	select {
	case <-n.behind:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *oneNode) Diverged() bool { return false }

func (n *oneNode) Disk() gateway.Disk {
	return gateway.Disk{Free: 6 << 30, Total: 100 << 30, Warn: true}
}

func (n *oneNode) Cluster() gateway.Cluster {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := gateway.Cluster{Node: "n1", Leader: "n1", Term: 3, Index: 42,
		Members: []gateway.Member{{Name: "n1", Address: "127.0.0.1:7001", Voter: true}}}
	if n.lone {
		c.Leader = ""
	}
	return c
}

func (n *oneNode) set(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
}

func (n *oneNode) GiveCredential(_ context.Context, c license.GiveCredential) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) UseCredential(_ context.Context, c license.UseCredential) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) EndCredential(_ context.Context, c license.EndCredential) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) SetLocalAccount(_ context.Context, c license.SetLocalAccount) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) RemoveLocalAccount(_ context.Context, c license.RemoveLocalAccount) (gateway.Answer, error) {
	return n.apply(c)
}
