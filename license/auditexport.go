package license

import (
	"fmt"
	"maps"
	"slices"
)

// How many files of the audit trail are remembered, and how many may be under way.
const (
	maxAuditExported  = 64
	maxAuditExporting = 8
)

// ExportAudit begins to export the audit trail up to its end, or, with Through and Hash,
// says that this has been written and checked. Only what was exported is ever dropped.
type ExportAudit struct {
	By      string `cbor:"1,keyasint,omitempty"` // who
	Through uint64 `cbor:"2,keyasint,omitempty"` // zero: it begins
	Hash    Digest `cbor:"3,keyasint,omitzero"`
}

func (c ExportAudit) decide(s *State, _ Time) *Denial {
	t := &s.head.Audit
	switch {
	case c.By == "" || !validName(c.By):
		return deny(BadCommand)
	case c.Through == 0 && t.Number == t.After:
		return deny(TooLate) // nothing is there
	case c.Through == 0 || c.is(t.Exporting) || c.is(t.Exported):
		return nil
	}
	return deny(TooLate)
}

func (c ExportAudit) is(marks []AuditMark) bool {
	return slices.ContainsFunc(marks, func(m AuditMark) bool { return m.Through == c.Through && m.Hash == c.Hash })
}

func (c ExportAudit) do(s *State, at Time) Outcome {
	t := &s.head.Audit
	if c.Through == 0 {
		m := AuditMark{Through: t.Number, Hash: t.Hash, At: at}
		t.Exporting = append(slices.Clone(t.Exporting[max(0, len(t.Exporting)+1-maxAuditExporting):]), m)
		return Outcome{Mark: &m}
	}
	if c.is(t.Exported) {
		return Outcome{Repeat: true}
	}
	i := slices.IndexFunc(t.Exporting, func(m AuditMark) bool { return m.Through == c.Through && m.Hash == c.Hash })
	m := t.Exporting[i]
	t.Exporting = dropMarks(t.Exporting, m.Through)
	if n := len(t.Exported); n == 0 || t.Exported[n-1].Through < m.Through {
		t.Exported = append(slices.Clone(t.Exported[max(0, n+1-maxAuditExported):]), m)
	}
	s.note(act{What: "audit-exported", By: c.By, About: fmt.Sprintf("%d to %d", t.After+1, m.Through)}, 0)
	return Outcome{Mark: &m}
}

// dropMarks are the marks behind a record; nil: there are none.
func dropMarks(marks []AuditMark, through uint64) []AuditMark {
	var left []AuditMark
	for _, m := range marks {
		if m.Through > through {
			left = append(left, m)
		}
	}
	return left
}

// TrimAudit drops the records of the audit trail up to the end of a file that was
// exported, with the names that nothing else needs.
type TrimAudit struct {
	Through uint64 `cbor:"1,keyasint"`
}

func (c TrimAudit) decide(s *State, _ Time) *Denial {
	t := &s.head.Audit
	if c.Through > t.After && !slices.ContainsFunc(t.Exported, func(m AuditMark) bool { return m.Through == c.Through }) {
		return deny(BadCommand)
	}
	return nil
}

func (c TrimAudit) do(s *State, _ Time) Outcome {
	t := &s.head.Audit
	if c.Through <= t.After {
		return Outcome{Repeat: true}
	}
	m := t.Exported[slices.IndexFunc(t.Exported, func(m AuditMark) bool { return m.Through == c.Through })]
	first := t.After + 1
	t.After, t.Anchor, t.Since = m.Through, m.Hash, m.At
	t.Exported, t.Exporting = dropMarks(t.Exported, m.Through), dropMarks(t.Exporting, m.Through)
	for _, n := range slices.Sorted(maps.Keys(s.veils)) {
		if s.veils[n].Last <= m.Through {
			s.dropVeil(n)
		}
	}
	s.note(act{What: "audit-trimmed", About: fmt.Sprintf("%d to %d", first, m.Through)}, 0)
	return Outcome{}
}

// AuditTrim is what of the audit trail may be dropped, where its records are kept for so
// long: the last record of it; zero is none.
func (t AuditTrail) AuditTrim(before Time) (through uint64) {
	for _, m := range t.Exported {
		if m.At < before {
			through = max(through, m.Through)
		}
	}
	return through
}
