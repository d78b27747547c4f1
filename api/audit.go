package api

import "time"

// AuditRecord is one record of the audit trail. By, User, Machine and Note are pseudonyms;
// ByName and the others behind it say whose, as far as that was not erased, and are no part of
// the record: its hash is of the rest.
type AuditRecord struct {
	Number  uint64    `json:"number"`
	At      time.Time `json:"at"`
	What    string    `json:"what"`
	By      string    `json:"by,omitempty"`
	Via     string    `json:"via,omitempty"`
	User    string    `json:"user,omitempty"`
	Machine string    `json:"machine,omitempty"`
	About   string    `json:"about,omitempty"`
	Note    string    `json:"note,omitempty"`
	Count   uint64    `json:"count,omitempty"`
	From    string    `json:"from,omitempty"`
	Seq     uint64    `json:"seq,omitempty"`
	Hash    string    `json:"hash"` // SHA-256, in hexadecimal

	ByName      string `json:"by_name,omitempty"`
	UserName    string `json:"user_name,omitempty"`
	MachineName string `json:"machine_name,omitempty"`
	NoteText    string `json:"note_text,omitempty"`
}

// AuditPage is what GET /v1/audit answers with.
type AuditPage struct {
	Items []AuditRecord `json:"items"`
	Trail AuditTrail    `json:"trail"`
}

// AuditTrail is where the audit trail stands on the disk of the node that is asked.
type AuditTrail struct {
	Number uint64 `json:"number"` // of the last record
	Hash   string `json:"hash"`
	// After is the last record that was dropped, and Anchor its hash; nothing that is kept
	// is older than Since.
	After    uint64    `json:"after"`
	Anchor   string    `json:"anchor"`
	Since    time.Time `json:"since,omitzero"`
	Exported uint64    `json:"exported"` // the last record that was exported
}

// AuditVerified is what GET /v1/audit/verify answers with.
type AuditVerified struct {
	Holds  bool   `json:"holds"`
	First  uint64 `json:"first"` // of the records that were read
	Number uint64 `json:"number"`
	Hash   string `json:"hash"`
	// Broken is the record at which it does not hold, and Why how; where Holds is false.
	Broken uint64 `json:"broken,omitempty"`
	Why    string `json:"why,omitempty"`
}

// AuditExport is the body of POST /v1/audit/export: without Through an export begins, with
// Through and Hash it has been written. The answer is the place where it ends.
type AuditExport struct {
	By      string `json:"by,omitempty"`
	Through uint64 `json:"through,omitempty"`
	Hash    string `json:"hash,omitempty"`
}

// AuditErase is the body of POST /v1/audit/erase: whose name the audit trail is to forget.
type AuditErase struct {
	Kind string `json:"kind"` // who, user or machine
	Name string `json:"name"`
	By   string `json:"by,omitempty"`
	Note string `json:"note,omitempty"`
}

// AuditStatus is how the audit trail stands.
type AuditStatus struct {
	Number   uint64    `json:"number"`
	Hash     string    `json:"hash"`
	Kept     uint64    `json:"kept"`     // records
	Exported uint64    `json:"exported"` // through which record
	Since    time.Time `json:"since,omitzero"`
	// Overdue: what is older than it is to be kept cannot be dropped, since it was not
	// exported.
	Overdue bool `json:"overdue,omitempty"`
	// Names is how many names and reasons the trail knows, of MostNames: whoever comes once
	// all of that is taken is nameless in it.
	Names     int `json:"names"`
	MostNames int `json:"most_names"`
}
