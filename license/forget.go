package license

import (
	"fmt"
	"slices"
)

// Forget drops the events up to one from every node's disk: who used what is kept for a
// time only. What was counted of them stays, and names nobody. Only the leader proposes it.
type Forget struct {
	// After is the last event that was forgotten before.
	After uint64 `cbor:"1,keyasint,omitempty"`
	// Before is the time before which all of them were, in GMT a whole day.
	Before Time `cbor:"2,keyasint"`
	// Sums are what an audit of usage has found up to the last of them.
	Sums AuditSums `cbor:"3,keyasint"`
}

// Forgotten is what a site has forgotten: events up to Sums.Through, all of them older
// than Before.
type Forgotten struct {
	Before Time      `cbor:"1,keyasint,omitempty"`
	Sums   AuditSums `cbor:"2,keyasint,omitzero"`
}

func (c Forget) decide(s *State, _ Time) *Denial {
	through := c.Sums.Through
	switch {
	case through <= c.After || c.Before > s.head.Now || through > s.head.Seq || !c.Sums.valid():
		return deny(BadCommand)
	case c.After != s.head.Forgotten.Sums.Through:
		return deny(TooLate) // another leader has forgotten some
	case through > s.head.UsageSent || c.Before > s.head.PeaksUntil:
		return deny(BadCommand) // the cloud does not have it, or peaks were not counted
	}
	return nil
}

func (c Forget) do(s *State, _ Time) Outcome {
	s.head.Forgotten = Forgotten{Before: max(c.Before, s.head.Forgotten.Before), Sums: c.Sums}
	return Outcome{}
}

// AuditSums is an audit of usage up to an event, of which the next goes on: numbers, and
// the ids of what was found, of nobody. The zero value is before the first event.
type AuditSums struct {
	From         uint64   `cbor:"1,keyasint,omitempty"` // events up to this one were never looked at
	Through      uint64   `cbor:"2,keyasint,omitempty"`
	Began        uint64   `cbor:"3,keyasint,omitempty"`
	Before       uint64   `cbor:"4,keyasint,omitempty"`
	Ended        uint64   `cbor:"5,keyasint,omitempty"`
	Acknowledged uint64   `cbor:"6,keyasint,omitempty"`
	ByWay        []uint64 `cbor:"7,keyasint,omitempty"` // of those, by the number of the way
	// Open began and had not ended, Waiting was not acknowledged by an event up to Through.
	Open    uint64 `cbor:"8,keyasint,omitempty"`
	Waiting uint64 `cbor:"9,keyasint,omitempty"`
	// Sent is up to which event usage was acknowledged, where Known.
	Sent  uint64 `cbor:"10,keyasint,omitempty"`
	Known bool   `cbor:"11,keyasint,omitempty"`
	// Findings are the first maxSumFindings; More is how many there are beside.
	Findings []SumFinding `cbor:"12,keyasint,omitempty"`
	More     uint64       `cbor:"13,keyasint,omitempty"`
}

// SumFinding is a Finding that names nobody.
type SumFinding struct {
	Kind   FindingKind `cbor:"1,keyasint"`
	Seq    uint64      `cbor:"2,keyasint,omitempty"`
	At     Time        `cbor:"3,keyasint,omitempty"`
	Record string      `cbor:"4,keyasint,omitempty"`
	Detail string      `cbor:"5,keyasint,omitempty"`
}

// maxSumFindings bounds what the state's head carries of them.
const maxSumFindings = 10

func (s *AuditSums) valid() bool {
	if len(s.ByWay) > int(WayCarried)+1 || len(s.Findings) > maxSumFindings {
		return false
	}
	return !slices.ContainsFunc(s.Findings, func(f SumFinding) bool {
		return !validName(string(f.Kind)) || !validName(f.Record) || !validName(f.Detail)
	})
}

// ResumeAudit goes on with an audit behind the events it has sums of. With the zero value
// it is NewAudit from the first event on.
func ResumeAudit(s AuditSums) *AuditCount {
	c := NewAudit(s.Through)
	if s.Through == 0 {
		return c
	}
	c.from, c.resumed, c.openBefore, c.owed = s.From, true, s.Open, int64(s.Waiting)
	if c.counted = s.Known || s.From == 0; c.counted {
		c.sent, c.known = s.Sent, s.Known
	}
	c.a = Audit{From: s.From + 1, ByWay: c.a.ByWay, Began: s.Began, Before: s.Before, Ended: s.Ended, Acknowledged: s.Acknowledged, More: s.More}
	for way, n := range s.ByWay {
		if n > 0 {
			c.a.ByWay[UsageWay(way)] = n
		}
	}
	for _, f := range s.Findings {
		c.find(Finding{Kind: f.Kind, Seq: f.Seq, At: f.At, Record: f.Record, Detail: f.Detail})
	}
	return c
}

// Sums are those of all events so far.
func (c *AuditCount) Sums() AuditSums {
	c.settleOwed()
	a := &c.a
	s := AuditSums{From: c.from, Through: c.last, Began: a.Began, Before: a.Before, Ended: a.Ended, Acknowledged: a.Acknowledged, ByWay: make([]uint64, WayCarried+1),
		Open: c.openBefore + uint64(len(c.open)), Waiting: uint64(max(c.owed, 0)) + c.marked, Sent: c.sent, Known: c.known && (c.counted || c.sent >= c.after), More: a.More}
	for way, n := range a.ByWay {
		s.ByWay[way] = n
	}
	for i, f := range a.Findings {
		if i == maxSumFindings {
			s.More += uint64(len(a.Findings) - i)
			break
		}
		s.Findings = append(s.Findings, SumFinding{f.Kind, f.Seq, f.At, f.Record, f.Detail})
	}
	return s
}

// settleOwed finds out whether the cloud has acknowledged what it had not at the end of
// the sums, once it has acknowledged all events up to there.
func (c *AuditCount) settleOwed() {
	if c.sent < c.after || c.owed == 0 {
		return
	}
	if c.counted {
		c.find(Finding{Kind: FoundMiscounted, Seq: c.last, Detail: fmt.Sprintf("of the usage records up to event %d the cloud has dealt with %d too few (negative: too many)", c.after, c.owed)})
	}
	c.owed = 0
}
