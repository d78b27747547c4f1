package license

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
)

// The audit trail says what administrators have done, and whom nobody let in. Each record
// has the hash of itself and of the one before, so that none can be changed, dropped,
// moved or added without a trace; the last hash is in the state, which all nodes have.
// No name is in a record, only pseudonyms: see Veil.

// Audited is one record of the audit trail. Records are not kept in memory: a store
// keeps those that TakeChanged gives, until the state says that they may go.
type Audited struct {
	Number uint64 `cbor:"1,keyasint"` // from 1, without a gap
	At     Time   `cbor:"2,keyasint,omitempty"`
	What   string `cbor:"3,keyasint"`           // the act: words with dashes, as in actOf
	By     string `cbor:"4,keyasint,omitempty"` // who did it: a pseudonym; empty: the site by itself, or nobody knows
	Via    string `cbor:"5,keyasint,omitempty"` // how they came in, where that was noted
	// User and Machine are whom and what it concerns: pseudonyms.
	User    string `cbor:"6,keyasint,omitempty"`
	Machine string `cbor:"7,keyasint,omitempty"`
	// About is what else it concerns (a product, a node, the number of a file); never a
	// person's name.
	About string `cbor:"8,keyasint,omitempty"`
	Note  string `cbor:"9,keyasint,omitempty"`  // why, in somebody's words: a pseudonym for those
	Count uint64 `cbor:"10,keyasint,omitempty"` // of how many it tells; zero is one
	From  string `cbor:"11,keyasint,omitempty"` // from which network it came, where that was noted
	Seq   uint64 `cbor:"12,keyasint,omitempty"` // of the event that it is about; zero: there is none
	Hash  Digest `cbor:"13,keyasint"`           // Sum with the hash of the record before
}

// Sum is the record's hash, after the one before it: the SHA-256 of its parts, each as
// its length in decimal, a colon, itself and a comma. The parts are
// the hash before in hexadecimal, the number, the time in milliseconds since 1970, and
// then the rest in the order of Audited; numbers in decimal.
func (r *Audited) Sum(before Digest) Digest {
	var b []byte
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	for _, part := range []string{hex.EncodeToString(before[:]), number(r.Number), strconv.FormatInt(int64(r.At), 10), r.What, r.By, r.Via,
		r.User, r.Machine, r.About, r.Note, number(r.Count), r.From, number(r.Seq)} {
		b = strconv.AppendInt(b, int64(len(part)), 10)
		b = append(b, ':')
		b = append(b, part...)
		b = append(b, ',')
	}
	return sha256.Sum256(b)
}

// AuditTrail is where the audit trail stands.
type AuditTrail struct {
	// Number and Hash are those of the last record.
	Number uint64 `cbor:"1,keyasint,omitempty"`
	Hash   Digest `cbor:"2,keyasint,omitzero"`
	// After is the last record that was dropped, and Anchor its hash: what is kept begins
	// behind it. No record that is kept is older than Since.
	After  uint64 `cbor:"3,keyasint,omitempty"`
	Anchor Digest `cbor:"4,keyasint,omitzero"`
	Since  Time   `cbor:"5,keyasint,omitempty"`
	// Exported are the ends of files that were written, oldest first: up to there
	// records may be dropped. Exporting are the ends of those under way.
	Exported  []AuditMark `cbor:"6,keyasint,omitempty"`
	Exporting []AuditMark `cbor:"7,keyasint,omitempty"`
	// Secret is what the next salt is made of: see veil.
	Secret Digest `cbor:"8,keyasint,omitzero"`
}

// AuditMark is a place in the audit trail.
type AuditMark struct {
	Through uint64 `cbor:"1,keyasint"`
	Hash    Digest `cbor:"2,keyasint"` // of that record
	At      Time   `cbor:"3,keyasint"` // when it was the last record; no later one is older
}

// NoteAct notes an act that changes nothing else in the state, or an attempt.
type NoteAct struct {
	What    string  `cbor:"1,keyasint"` // words in lower case, with dashes
	By      string  `cbor:"2,keyasint,omitempty"`
	Via     string  `cbor:"3,keyasint,omitempty"`
	User    UserID  `cbor:"4,keyasint,omitempty"`
	Machine Machine `cbor:"5,keyasint,omitzero"`
	About   string  `cbor:"6,keyasint,omitempty"` // no person's name
	Note    string  `cbor:"7,keyasint,omitempty"`
	Count   uint64  `cbor:"8,keyasint,omitempty"`
	From    string  `cbor:"9,keyasint,omitempty"` // a network, not an address
}

// maxAuditWord bounds what an act is called.
const maxAuditWord = 64

func validAct(what string) bool {
	for i := range len(what) {
		if c := what[i]; (c < 'a' || c > 'z') && c != '-' {
			return false
		}
	}
	return what != "" && len(what) <= maxAuditWord
}

func (c NoteAct) decide(*State, Time) *Denial {
	m := c.Machine
	if !validAct(c.What) || m != (Machine{}) && !m.valid() {
		return deny(BadCommand)
	}
	for _, text := range []string{c.By, c.Via, string(c.User), c.About, c.Note, c.From} {
		if !validName(text) {
			return deny(BadCommand)
		}
	}
	return nil
}

func (c NoteAct) do(s *State, _ Time) Outcome {
	s.note(act(c), 0)
	return Outcome{}
}

// act is what an administrator has done, with its names.
type act struct {
	What, By, Via string
	User          UserID
	Machine       Machine
	About, Note   string
	Count         uint64
	From          string
}

// note adds a record to the audit trail.
func (s *State) note(a act, seq uint64) {
	t := &s.head.Audit
	r := Audited{Number: t.Number + 1, At: s.head.Now, What: a.What, Via: a.Via, About: a.About, Count: a.Count, From: a.From, Seq: seq}
	r.By = s.veil(VeilWho, a.By, r.Number)
	r.User = s.veil(VeilUser, string(a.User), r.Number)
	r.Machine = s.veil(VeilMachine, a.Machine.called(), r.Number)
	r.Note = s.veil(VeilNote, a.Note, r.Number, r.By, r.User, r.Machine)
	r.Hash = r.Sum(t.Hash)
	t.Number, t.Hash = r.Number, r.Hash
	if t.Since == 0 {
		t.Since = r.At
	}
	s.changed.audited = append(s.changed.audited, r)
}

// audit notes what of the entry's events administrators have caused.
func (s *State) audit() {
	for i := range s.events {
		if a, is := actOf(s.events[i].Fact); is {
			s.note(a, s.events[i].Seq)
		}
	}
}

// called is what a machine is called by people: its name, else its id.
func (m Machine) called() string {
	if m.Name != "" {
		return m.Name
	}
	return m.ID
}

func auditKey(number uint64) Key {
	return Key{KeyAudit, string(binary.BigEndian.AppendUint64(nil, number))}
}

// AuditChain checks records of the audit trail as they follow each other. It begins
// with where the one before the first stands; the zero AuditChain is before the first
// record of all.
type AuditChain struct {
	Number uint64 // of the last record
	Hash   Digest // of that
}

// AuditBroken says at which record a chain does not hold, and how.
type AuditBroken struct {
	Number uint64
	Why    string
}

// Error says it.
func (b *AuditBroken) Error() string {
	return fmt.Sprintf("the audit trail does not hold at record %d: %s", b.Number, b.Why)
}

// Next takes the next record, or says (*AuditBroken) that it is not the one that was
// written after those before.
func (c *AuditChain) Next(r *Audited) error {
	want := c.Number + 1
	switch {
	case r.Number > want:
		return &AuditBroken{want, fmt.Sprintf("it is missing; record %d comes in its place", r.Number)}
	case r.Number < want:
		return &AuditBroken{r.Number, fmt.Sprintf("it is there twice or in another place: record %d was to come", want)}
	case r.Sum(c.Hash) != r.Hash:
		return &AuditBroken{r.Number, "it, or the one before it, is not what was written"}
	}
	c.Number, c.Hash = r.Number, r.Hash
	return nil
}

// Ends says (*AuditBroken) that a chain does not end with that record.
func (c *AuditChain) Ends(number uint64, hash Digest) error {
	switch {
	case c.Number < number:
		return &AuditBroken{c.Number + 1, fmt.Sprintf("it is missing, with all up to record %d", number)}
	case c.Number > number:
		return &AuditBroken{number + 1, fmt.Sprintf("it is too many: the trail ends with record %d", number)}
	case c.Hash != hash:
		return &AuditBroken{number, "the trail ends with another hash: records were written anew"}
	}
	return nil
}
