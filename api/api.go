// Package api is the contract between a gateway and its clients: the JSON of
// /v1, its problem documents and the frames of the notices websocket. It holds
// types and nothing else, imports only the standard library, and openapi.yaml
// says the same for other languages; a test keeps the two alike.
//
// Conventions: snake_case, times in RFC 3339 UTC, durations in milliseconds with
// names ending in _ms, ids are UUIDs made by the caller (UUIDv7) and are the
// idempotency key of the request, lists are {"items": […], "next": "…"}. Unknown
// fields are refused by the server and must be ignored by clients: the contract
// only grows.
package api

import "time"

// The paths of the API.
const (
	PathSessions    = "/v1/sessions"
	PathCheckouts   = "/v1/checkouts"
	PathWaits       = "/v1/waits"
	PathRequests    = "/v1/requests"
	PathMe          = "/v1/me"
	PathRefresh     = "/v1/me/refresh"
	PathMachineKey  = "/v1/machine-key"
	PathNotices     = "/v1/notices"
	PathSignOut     = "/v1/sign-out"
	PathStatus      = "/v1/status"
	PathCA          = "/ca.pem"
	PathLicenses    = "/v1/licenses"
	PathUsers       = "/v1/users"
	PathMachines    = "/v1/machines"
	PathBlocks      = "/v1/blocks"
	PathReminders   = "/v1/reminders"
	PathRestore     = "/v1/restore"
	PathMirror      = "/v1/mirror"
	PathMaintenance = "/v1/maintenance"
	PathTime        = "/v1/time"
	PathPeaks       = "/v1/usage/peaks"
	PathRefused     = "/v1/usage/refused"
	PathAudit       = "/v1/usage/audit"
	PathTrail       = "/v1/audit"
)

// Machine is the computer a request speaks of.
type Machine struct {
	ID   string `json:"id"`             // stable, made by the client once per machine
	Name string `json:"name,omitempty"` // as its user knows it
}

// StartRequest is the body of POST /v1/sessions.
type StartRequest struct {
	ID      string  `json:"id"`
	Product string  `json:"product"`
	Version string  `json:"version,omitempty"` // of the product, four-part
	Machine Machine `json:"machine"`
	// Client is the version of the CONNECTION Client, if one asks: before
	// 23.0.1.25 a refusal does not name the other machine (R7).
	Client string `json:"client,omitempty"`
	// Feature is the feature level, for products that come in several.
	Feature string `json:"feature,omitempty"`
	// Fences: the client stops the product by itself before its lease is over; only
	// such a session can be taken over by another machine of its user.
	Fences bool `json:"fences,omitempty"`
}

// Session is a product running on a machine.
type Session struct {
	ID          string    `json:"id"`
	Product     string    `json:"product"`
	License     string    `json:"license"`
	LicenseType string    `json:"license_type"` // Practitioner, Commercial, Pooled or Trial (R21)
	Machine     Machine   `json:"machine"`
	Since       time.Time `json:"since"`
	Provisional bool      `json:"provisional"` // the cloud has not agreed yet
	// TTLMS is how long the session lives from when the last acknowledged heartbeat
	// was sent; BeatMS is how often to send one.
	TTLMS    int64   `json:"ttl_ms"`
	BeatMS   int64   `json:"beat_ms"`
	Token    Token   `json:"token"`              // fencing token of the grant
	Checkout string  `json:"checkout,omitempty"` // it runs under this checkout
	Ending   *Ending `json:"ending,omitempty"`   // it will not be renewed for ever
	// Warnings are what its user should know of the license type.
	Warnings []Warning `json:"warnings,omitempty"`
}

// Warning is what the user of a granted start is told of it: that it may cost, why
// it is not recorded as Practitioner, what to do.
type Warning struct {
	Code string `json:"code"` // pooled-may-cost, other-email, client-outdated, trial, v8i
	Text string `json:"text"` // a sentence in the user's language
}

// Token orders what the site has decided: the larger (epoch, seq) came later.
type Token struct {
	Epoch uint64 `json:"epoch"`
	Seq   uint64 `json:"seq"`
}

// Ending tells a session that it has lost its right.
type Ending struct {
	Reason  string    `json:"reason"` // released, conflict, unassigned, checkout-over, blocked, license-ended, not-covered, takeover, let-go
	By      string    `json:"by,omitempty"`
	Note    string    `json:"note,omitempty"`
	Machine string    `json:"machine,omitempty"`
	Until   time.Time `json:"until"` // renewals are refused from then on
}

// MachineRequest is the body of requests that only say which machine asks:
// stop, return, heartbeat.
type MachineRequest struct {
	Machine Machine `json:"machine"`
}

// Lease answers a heartbeat: the session lives for TTLMS from when the heartbeat
// was sent.
type Lease struct {
	Session string  `json:"session"`
	TTLMS   int64   `json:"ttl_ms"`
	Ending  *Ending `json:"ending,omitempty"`
}

// CheckoutRequest is the body of POST /v1/checkouts.
type CheckoutRequest struct {
	ID      string  `json:"id"`
	Product string  `json:"product"`
	Version string  `json:"version,omitempty"`
	Machine Machine `json:"machine"`
	Client  string  `json:"client,omitempty"`
	// Until is left out for the site's default, or less where that is too long.
	Until time.Time `json:"until,omitzero"`
}

// Checkout is a license one machine may use away from the network.
type Checkout struct {
	ID          string    `json:"id"`
	Product     string    `json:"product"`
	Version     string    `json:"version,omitempty"` // no other runs under it
	License     string    `json:"license"`
	LicenseType string    `json:"license_type"`
	Machine     Machine   `json:"machine"`
	Since       time.Time `json:"since"`
	Until       time.Time `json:"until"`
	Token       Token     `json:"token"`
	By          string    `json:"by,omitempty"` // the administrator who made it
	Note        string    `json:"note,omitempty"`
	WrittenOff  *WriteOff `json:"written_off,omitempty"`
}

// WaitRequest is the body of POST /v1/waits: tell this machine when the product
// can be started on it; and of POST /v1/requests: ask the active machine to let go
// as well.
type WaitRequest struct {
	ID      string  `json:"id"`
	Product string  `json:"product"`
	Machine Machine `json:"machine"`
}

// Wait is a machine that waits. Free means that nothing stands in the way any
// more: start now.
type Wait struct {
	ID      string    `json:"id"`
	Product string    `json:"product"`
	Machine Machine   `json:"machine"`
	Since   time.Time `json:"since,omitzero"`
	Free    bool      `json:"free"`
	// Asks is how the active machine was asked to let go, where it was: ask or
	// grace. Until is when its sessions end then, or, with Free, how long it is kept
	// for this machine; Declined: it does not let go.
	Asks     string    `json:"asks,omitempty"`
	Until    time.Time `json:"until,omitzero"`
	Declined bool      `json:"declined,omitempty"`
}

// How an active machine is asked to let go.
const (
	AsksAsk   = "ask"   // its user decides there
	AsksGrace = "grace" // its sessions end by then
)

// Me is what the site knows of the caller.
type Me struct {
	ID        string      `json:"id"`
	Email     string      `json:"email"`               // that the licenses are assigned to (R21)
	SignedIn  string      `json:"signed_in,omitempty"` // the e-mail of the sign-in; R15 wants both alike
	Name      string      `json:"name,omitempty"`
	Country   string      `json:"country,omitempty"` // entitlement country, ISO 3166 (R2); empty: none is known
	Licenses  []MyLicense `json:"licenses"`
	Products  []MyProduct `json:"products"`
	Sessions  []Session   `json:"sessions"`
	Checkouts []Checkout  `json:"checkouts"`
	Waiting   []Wait      `json:"waiting"` // what waits, then what is free and kept
	// OneWait: the user waits for one thing at a time, and another wait takes its place.
	// Otherwise each product has a wait of its own.
	OneWait        bool            `json:"one_wait,omitempty"`
	Administrators []Administrator `json:"administrators"` // whom to ask (R23)
	Link           LinkState       `json:"link"`
	// Maintenance is announced and not over; absent: none.
	Maintenance *Maintenance `json:"maintenance,omitempty"`
}

// MyLicense is a license assigned to the caller.
type MyLicense struct {
	ID          string    `json:"id"`
	Product     string    `json:"product"`
	ProductName string    `json:"product_name,omitempty"`
	LicenseType string    `json:"license_type"`
	Capped      string    `json:"capped"` // yes, no, unknown (R9)
	Ends        time.Time `json:"ends,omitzero"`
}

// MyProduct is a product the caller may start, and by which type of license that
// would be now, or the reason why not, with a sentence and what to do next in the caller's
// language. Another machine may stand in the way.
type MyProduct struct {
	Product     string    `json:"product"`
	Name        string    `json:"name,omitempty"`
	LicenseType string    `json:"license_type,omitempty"`
	Warnings    []Warning `json:"warnings,omitempty"`
	Reason      string    `json:"reason,omitempty"`
	Text        string    `json:"text,omitempty"`
	Next        []string  `json:"next,omitempty"`
}

// Administrator is somebody who can help.
type Administrator struct {
	Name  string `json:"name"`
	Email string `json:"email"`
	// Role is license-administrator, administrator or co-administrator (R22), where
	// it is known.
	Role string `json:"role,omitempty"`
}

// LinkState is the link to the vendor's cloud.
type LinkState struct {
	Up      bool      `json:"up"`
	State   string    `json:"state"`            // one of the Link… constants
	Since   time.Time `json:"since,omitzero"`   // when it became so
	Contact time.Time `json:"contact,omitzero"` // the cloud last answered
}

// The states of the link.
const (
	LinkUp    = "up"
	LinkSlow  = "slow" // up, but most of what the cloud is asked takes too long
	LinkDown  = "down"
	LinkStale = "stale" // down, and without contact for two hours
)

// List is a page of things.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"` // to ask on from; empty at the end
}
