package license

import (
	"cmp"
	"fmt"
	"maps"
	"math/bits"
	"slices"
)

// Audit is what was found where what was granted and what the cloud has acknowledged
// are held against each other.
type Audit struct {
	From, Through uint64 // the first and the last event that was looked at
	Began         uint64 // sessions and checkouts that began in them
	Before        uint64 // that ended in them and began before
	Ended         uint64 // usage records
	Open          uint64 // that run now
	Acknowledged  uint64 // records that the cloud has, of those that were looked at
	Waiting       uint64 // records that it does not have yet
	SetAside      uint64 // records that it has refused, and not taken since
	ByWay         map[UsageWay]uint64
	Findings      []Finding // at most MaxFindings
	More          uint64    // findings beyond those
}

// Clean reports whether there is no gap and nothing twice.
func (a *Audit) Clean() bool { return len(a.Findings) == 0 }

// MaxFindings is how many findings of an audit are listed.
const MaxFindings = 1000

// FindingKind is what is wrong.
type FindingKind string

// The kinds of findings.
const (
	// FoundMissing: events are missing in the journal.
	FoundMissing FindingKind = "events-missing"
	// FoundNoEnd: it began, does not run any more, and has no usage record.
	FoundNoEnd FindingKind = "no-record"
	// FoundUnmatched: a usage record of what never began, or had ended before.
	FoundUnmatched FindingKind = "twice"
	// FoundMiscounted: the cloud has acknowledged more or fewer records than there are.
	FoundMiscounted FindingKind = "miscounted"
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind   FindingKind
	Seq    uint64 // of the event it was found at
	At     Time   // when that was; of what runs, and of no event: when the audit's last was
	Record string // of the usage record; empty: it is about no single one
	User   UserID
	Detail string
}

// AuditCount audits the events of a journal, in their order. It remembers what runs
// and a bit for each event that is not acknowledged yet. Make one by NewAudit.
type AuditCount struct {
	a     Audit
	from  uint64           // events up to this one were never looked at
	after uint64           // events up to this one are not in the journal, but in the sums that it goes on from
	last  uint64           // event
	at    Time             // when it was
	open  map[string]begun // by usage record
	aside map[string]struct{}

	sent   uint64   // usage up to this event is acknowledged
	known  bool     // an acknowledgement has been seen, so that sent is what it says
	base   uint64   // the event of the first bit
	waits  []uint64 // a bit for each event that has a usage record
	marked uint64   // how many of them there are

	// Where it goes on from sums, of their events:
	resumed    bool
	openBefore uint64 // began and have not ended
	owed       int64  // usage records that no acknowledgement was seen of
	counted    bool   // owed is all of them
}

// begun is what began and has not ended.
type begun struct {
	seq  uint64
	at   Time
	user UserID
}

// NewAudit audits the journal after an event.
func NewAudit(after uint64) *AuditCount {
	return &AuditCount{a: Audit{From: after + 1, ByWay: map[UsageWay]uint64{}}, from: after, after: after, last: after, base: after + 1,
		sent: after, counted: after == 0, open: map[string]begun{}, aside: map[string]struct{}{}}
}

func (c *AuditCount) find(f Finding) {
	if f.At == 0 {
		f.At = c.at
	}
	if len(c.a.Findings) == MaxFindings {
		c.a.More++
		return
	}
	c.a.Findings = append(c.a.Findings, f)
}

// Add looks at the next event.
func (c *AuditCount) Add(e Event) {
	if e.Seq != c.last+1 {
		c.find(Finding{Kind: FoundMissing, Seq: e.Seq, Detail: fmt.Sprintf("the journal goes on with event %d after %d", e.Seq, c.last)})
	}
	c.last, c.at = e.Seq, e.At
	began := func(id ID, token uint64, user UserID) {
		c.a.Began++
		c.open[recordID(id, token)] = begun{e.Seq, e.At, user}
	}
	switch f := e.Fact.(type) {
	case Started:
		if f.Session.Relayed {
			break
		}
		began(f.Session.ID, f.Session.Token, f.Session.User)
	case CheckedOut:
		if f.Checkout.Relayed {
			break
		}
		began(f.Checkout.ID, f.Checkout.Token, f.Checkout.User)
	case CheckoutFound:
		began(f.Checkout.ID, f.Checkout.Token, f.Checkout.User)
	case UsageAcknowledged:
		c.acknowledged(e.Seq, f)
	case UsageSetAside:
		for _, x := range f.Records {
			c.aside[x.Usage.Record] = struct{}{}
		}
	case UsageSettled:
		for _, r := range f.Records {
			if _, there := c.aside[r]; there || c.resumed {
				delete(c.aside, r)
				c.a.Acknowledged++
			}
		}
	}
	if u, ok := UsageOf(e); ok {
		if u.Kind == UsagePosted { // it begins and ends with being taken over
			began(u.ID, u.Token, u.User)
		}
		c.ended(e.Seq, &u)
	}
}

// ended takes a usage record.
func (c *AuditCount) ended(seq uint64, u *Usage) {
	c.a.Ended++
	c.mark(seq)
	if _, there := c.open[u.Record]; there {
		delete(c.open, u.Record)
		return
	}
	switch {
	case u.Token <= c.from:
		c.a.Before++
		return
	case u.Token <= c.after && c.openBefore > 0:
		c.openBefore--
		return
	}
	c.find(Finding{Kind: FoundUnmatched, Seq: seq, Record: u.Record, User: u.User, Detail: "a usage record of what had ended before, or never began"})
}

func (c *AuditCount) mark(seq uint64) {
	at := seq - c.base
	for uint64(len(c.waits))*64 <= at {
		c.waits = append(c.waits, 0)
	}
	c.waits[at/64] |= 1 << (at % 64)
	c.marked++
}

// take counts the records of the events up to one, and forgets them.
func (c *AuditCount) take(through uint64) (n uint64) {
	for len(c.waits) > 0 && c.base <= through {
		word, whole := c.waits[0], through-c.base >= 63
		if !whole {
			word &= 1<<(through-c.base+1) - 1
		}
		n += uint64(bits.OnesCount64(word))
		if !whole {
			c.waits[0] &^= word
			break
		}
		c.waits, c.base = c.waits[1:], c.base+64
	}
	c.marked -= n
	return n
}

func (c *AuditCount) acknowledged(seq uint64, f UsageAcknowledged) {
	if c.known && f.After != c.sent {
		c.find(Finding{Kind: FoundMiscounted, Seq: seq, Detail: fmt.Sprintf("usage was acknowledged from event %d on, but before that up to %d", f.After, c.sent)})
	}
	whole := f.After >= c.after // all of them are in the journal
	c.known, c.sent = true, f.Through
	n := c.take(f.Through)
	if told := f.Records + f.SetAside; !whole && c.counted {
		c.owed -= int64(told) - int64(n)
		n = told
	}
	c.settleOwed()
	c.a.Acknowledged += n - min(n, f.SetAside)
	c.a.ByWay[f.Way] += n - min(n, f.SetAside)
	if told := f.Records + f.SetAside; whole && told != n {
		c.find(Finding{Kind: FoundMiscounted, Seq: seq, Detail: fmt.Sprintf("of %d usage records up to event %d the cloud has dealt with %d", n, f.Through, told)})
	}
}

// Books are what the state says at one event of what an audit looks at.
type Books struct {
	Seq      uint64 // the last event
	sent     uint64
	made     uint64
	waiting  uint64
	setAside uint64
	open     map[string]running
}

type running struct {
	token uint64
	user  UserID
}

// BooksOf are those of a state.
func BooksOf(s *State) Books {
	h := &s.head
	b := Books{Seq: h.Seq, sent: h.UsageSent, made: h.UsageMade, waiting: s.UsageWaiting(), setAside: uint64(len(s.setAside)), open: map[string]running{}}
	for _, p := range s.busy {
		for i := range p.active.Sessions {
			x := &p.active.Sessions[i]
			if x.Relayed {
				continue
			}
			b.open[recordID(x.ID, x.Token)] = running{x.Token, x.User}
		}
		for i := range p.active.Checkouts {
			x := &p.active.Checkouts[i]
			if x.Relayed {
				continue
			}
			b.open[recordID(x.ID, x.Token)] = running{x.Token, x.User}
		}
	}
	return b
}

// Result ends the audit, with the books as they were at the last event.
func (c *AuditCount) Result(b Books) Audit {
	a := &c.a
	c.settleOwed()
	a.Through, a.Open, a.Waiting, a.SetAside = c.last, uint64(len(b.open)), c.marked+uint64(max(c.owed, 0)), b.setAside
	if c.last != b.Seq {
		c.find(Finding{Kind: FoundMissing, Seq: c.last, Detail: fmt.Sprintf("the journal ends with event %d, and there have been %d", c.last, b.Seq)})
	}
	still := uint64(0) // of what began before
	for _, record := range slices.Sorted(maps.Keys(b.open)) {
		if token := b.open[record].token; token > c.from && token <= c.after {
			still++
		}
		if _, there := c.open[record]; !there && b.open[record].token > c.after {
			c.find(Finding{Kind: FoundMissing, Seq: b.open[record].token, Record: record, User: b.open[record].user, Detail: "it runs, and the journal does not have its beginning"})
		}
		delete(c.open, record)
	}
	lost := slices.SortedFunc(maps.Keys(c.open), func(a, b string) int { return cmp.Compare(c.open[a].seq, c.open[b].seq) })
	for _, record := range lost {
		c.find(Finding{Kind: FoundNoEnd, Seq: c.open[record].seq, At: c.open[record].at, Record: record, User: c.open[record].user, Detail: "it does not run any more, and has no usage record"})
	}
	switch {
	case still > c.openBefore:
		c.find(Finding{Kind: FoundMissing, Seq: c.after, Detail: fmt.Sprintf("%d of what began up to event %d run, and %d did then and have no usage record", still, c.after, c.openBefore)})
	case still < c.openBefore:
		c.find(Finding{Kind: FoundNoEnd, Seq: c.after, Detail: fmt.Sprintf("%d of what ran at event %d do not run any more, and have no usage record", c.openBefore-still, c.after)})
	}
	if c.known && b.sent != c.sent {
		c.find(Finding{Kind: FoundMiscounted, Seq: c.last, Detail: fmt.Sprintf("usage is acknowledged up to event %d, and the journal says up to %d", b.sent, c.sent)})
	}
	if a.Waiting != b.waiting {
		c.find(Finding{Kind: FoundMissing, Seq: c.last, Detail: fmt.Sprintf("%d usage records wait for the cloud, and the journal has %d of them", b.waiting, a.Waiting)})
	}
	if c.from == 0 && b.made != a.Ended {
		c.find(Finding{Kind: FoundMissing, Seq: c.last, Detail: fmt.Sprintf("%d usage records were made, and the journal has %d of them", b.made, a.Ended)})
	}
	return *a
}
