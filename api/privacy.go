package api

import (
	"encoding/json"
	"time"
)

// PersonRequest is the body of POST /v1/users/{id}/personal-data and /erase.
type PersonRequest struct {
	By   string `json:"by,omitempty"`
	Note string `json:"note"` // why: the audit trail keeps it, so that no name belongs into it
	// Names are what the person is called besides: as they sign in as an administrator, or
	// as the system's user of a node's machine. At most 16.
	Names []string `json:"names,omitempty"`
}

// PersonalData is what a site keeps about a person.
type PersonalData struct {
	User  string    `json:"user"`
	Names []string  `json:"names"` // that were looked for
	At    time.Time `json:"at"`
	Node  string    `json:"node"`
	// Records are those of the state: what decides now.
	Records []PersonalRecord `json:"records"`
	// Events are those of the journal, newest first: what was started, ended, checked out,
	// refused, moved, and by whom, since EventsSince: what is older can be read by nobody,
	// though it may be on disk. More says that there are more records, or older events or
	// records of the audit trail, which are left out.
	Events      []PersonalRecord `json:"events"`
	EventsSince time.Time        `json:"events_since"`
	More        bool             `json:"more,omitempty"`
	Usage       []PersonalUsage  `json:"usage"`
	Audit       []AuditRecord    `json:"audit"`
}

// PersonalRecord is something that names a person, as it is kept. Secrets and their hashes
// are left out of Data.
type PersonalRecord struct {
	Kind string          `json:"kind"`
	Seq  uint64          `json:"seq,omitempty"` // of an event
	At   time.Time       `json:"at,omitzero"`
	Data json.RawMessage `json:"data"`
}

// PersonalUsage is what a person has used, as the vendor is told of it.
type PersonalUsage struct {
	Record  string    `json:"record"`
	Product string    `json:"product"`
	Machine Machine   `json:"machine"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
	State   string    `json:"state"` // waits, acknowledged or refused by the vendor, or by-client: another meters it
}

// Erased says what became of the erasure of a person.
type Erased struct {
	User      string `json:"user"`
	Forgotten int    `json:"forgotten"` // names that the audit trail knows no more
	Stays     []Stay `json:"stays"`
}

// Stay is something about a person that stays, and why.
type Stay struct {
	Kind  string    `json:"kind"`
	Count int       `json:"count"`
	Until time.Time `json:"until,omitzero"` // at the latest, where that is known
	Text  string    `json:"text"`           // why, and what to do
}
