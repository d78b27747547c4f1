package api

import "time"

// MoveRequest is the body of POST /v1/licenses/{id}/move: who gets it, who moves
// it, and why.
type MoveRequest struct {
	To   string `json:"to"` // id of the user
	By   string `json:"by,omitempty"`
	Note string `json:"note"`
}

// License is a license and whom it is assigned to.
type License struct {
	ID         string    `json:"id"`
	Product    string    `json:"product"`
	Assignee   string    `json:"assignee,omitempty"`
	AssignedAt time.Time `json:"assigned_at,omitzero"`
	Ends       time.Time `json:"ends,omitzero"`
}

// MachineBlockRequest is the body of POST /v1/machines/block and /unblock. The
// machine's id or its name is enough.
type MachineBlockRequest struct {
	Machine Machine `json:"machine"`
	By      string  `json:"by,omitempty"`
	Note    string  `json:"note"` // shown to users
}

// Block is a user or a machine that IT keeps out of the site.
type Block struct {
	User    string    `json:"user,omitempty"`
	Machine *Machine  `json:"machine,omitempty"`
	By      string    `json:"by"`
	Note    string    `json:"note,omitempty"`
	Since   time.Time `json:"since"`
	// Keys is how many keys a machine's block holds: whatever shows one of them is kept out,
	// however it is called.
	Keys int `json:"keys,omitempty"`
}

// Removal says what is lost with a user who is removed from the account (R11).
type Removal struct {
	User     string           `json:"user"`
	Name     string           `json:"name,omitempty"`
	Email    string           `json:"email,omitempty"`
	Safe     bool             `json:"safe"` // nothing is lost
	Licenses []RemovalLicense `json:"licenses"`
	Next     []string         `json:"next"` // what to do first
}

// RemovalLicense is one license that would be lost.
type RemovalLicense struct {
	ID          string     `json:"id"`
	Product     string     `json:"product"`
	Ends        time.Time  `json:"ends,omitzero"`
	LockedUntil time.Time  `json:"locked_until,omitzero"` // it can be moved from then on; none: now
	Lost        bool       `json:"lost"`                  // the user is gone already
	Sessions    int        `json:"sessions"`              // that run
	Checkouts   []Checkout `json:"checkouts"`             // that are out
}

// Reminder is something IT should see to (R12).
type Reminder struct {
	Kind    string    `json:"kind"` // user-not-found, ending, unassigned, never-used, pooled
	Text    string    `json:"text"` // a sentence
	License string    `json:"license"`
	Product string    `json:"product"`
	User    string    `json:"user,omitempty"` // it is assigned to; of a pooled use: it could have been
	Ends    time.Time `json:"ends,omitzero"`
	Days    int       `json:"days,omitempty"` // of an ending: within so many; of a pooled use: of the last 60 those with a use, each a license-day
	Since   time.Time `json:"since,omitzero"` // of what was never used; of a pooled use: the first of the days
}
