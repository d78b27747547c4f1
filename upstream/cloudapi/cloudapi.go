// Package cloudapi holds the wire types of the site API: what a site's gateway and the vendor's cloud say to each other
// about users, licenses, holds and usage. It holds types, paths and limits and nothing else; upstream is the client, emulator
// a stand-in for the server.
//
// The shape of the wire: JSON with snake_case names, times in RFC 3339 UTC, durations in milliseconds in fields that end in
// _ms, ids opaque strings. A site is known by its access token, which it gets from the issuer's token endpoint with the OAuth 2.0
// client credentials grant and scope [Scope]; no request names the site otherwise. What the cloud refuses comes as 409 with a
// [Problem] that carries one of the Reason constants; every other status of 400 or more carries a Problem where it can.
//
// Not all of this is public at the vendor's: the change feed, the holds, the moves and the receipts are what a site needs from a cloud,
// each is optional, and a gateway must work without any of them. What a cloud does not offer it answers with 404 and a Problem with
// ReasonNotOffered.
//
// Beside it stands what the vendor's own clients say and hear, as far as it is public: discovery (SOAP), policies that the vendor signs, checkout
// files, entitlements, and usage. What is read of that is bounded, and what two readers could read in two ways is refused.
package cloudapi

import (
	"net/url"
	"time"
)

// Paths, relative to the cloud's address.
const (
	Base = "/site/v1"

	PathPing         = Base + "/ping"          // GET: Ping
	PathChanges      = Base + "/changes"       // GET ?cursor=&limit=&wait_ms=: Changes
	PathHolds        = Base + "/holds"         // PUT HoldRequest: HoldGrant · GET: HoldList
	PathHoldsRenew   = Base + "/holds/renew"   // POST RenewRequest: RenewAnswer
	PathHoldsRelease = Base + "/holds/release" // POST ReleaseRequest: 204
	PathHoldsBatch   = Base + "/holds/batch"   // POST BatchRequest: BatchAnswer
	PathUsage        = Base + "/usage"         // POST UsageRequest with header IdempotencyKey: UsageReceipt
	PathLicenses     = Base + "/licenses"      // see PathMove
)

// PathMove is where a license is moved: POST MoveRequest: Moved.
func PathMove(licenseID string) string {
	return PathLicenses + "/" + url.PathEscape(licenseID) + "/move"
}

// IdempotencyKey is the header that names one posting of usage; the same key gets the same answer.
const IdempotencyKey = "Idempotency-Key"

// Challenge is a header with which a request may ask for a proof that the cloud itself answers it, now, and hears what was sent: a cloud that knows it repeats it, with its value of at most
// [MaxID] bytes, in whatever it answers to the request. One that does not answers as ever.
const Challenge = "Site-Challenge"

// Scope is the OAuth scope of a site's access token.
const Scope = "site"

// Limits. A request beyond one is refused with 400 (or 413 for bodies).
const (
	MaxChanges      = 5000             // changes in one page
	MaxWait         = 60 * time.Second // longest long poll
	MaxUsageRecords = 1000             // records in one posting
	MaxHolds        = 200_000          // holds in one renewal
	MaxBatch        = 1000             // operations in one batch
	MaxBody         = 64 << 20         // bytes in any body, either way
	MaxID           = 256              // bytes in an id or reference
	MaxKey          = 1024             // bytes in a hold key
	MaxName         = 256              // bytes in a name or an address
	MaxNote         = 1024             // bytes in what somebody says of why
	MaxCountries    = 300              // countries of a license, or with a policy of their own
)

// Reasons of refusals, in Problem.Reason.
const (
	ReasonMachineActive = "machine-active"    // another machine holds it: Problem.MachineName, Problem.Since
	ReasonNotAssigned   = "not-assigned"      // the license is not this user's
	ReasonLicenseEnded  = "license-ended"     // before its start or after its end
	ReasonUserBlocked   = "user-blocked"      // the user may not sign in
	ReasonUnknown       = "unknown"           // no such user, product or license
	ReasonNoCountry     = "no-country"        // the user has no entitlement country (R2)
	ReasonCountry       = "country"           // the license is not for the user's entitlement country (KB0019240)
	ReasonFeatureLevel  = "feature-level"     // the product needs a feature level, and the session names none (KB0019240)
	ReasonCheckoutOff   = "checkout-off"      // the account allows no new checkouts in the user's country (KB0019243)
	ReasonTooLong       = "checkout-too-long" // beyond the license's end, the account's or the country's longest checkout
	ReasonMoveLocked    = "move-locked"       // re-assigned too recently (R10): Problem.Until, Problem.AssigneeID
	ReasonUserNotFound  = "user-not-found"    // whom the license is assigned to is gone: a service request only (R11): Problem.AssigneeID
	ReasonOtherAccount  = "other-account"     // another account has claimed the user (R19)
	ReasonCheckedIn     = "checked-in"        // in a conflict: a checkout that was written off is checked in
	ReasonStaleFence    = "stale-fence"       // a newer leader has spoken for this site
	ReasonNotOffered    = "not-offered"       // with 404: this cloud takes no such request from a site
	ReasonInvalid       = "invalid"           // the request itself is wrong
	ReasonUnauthorized  = "unauthorized"      // no valid site token
	ReasonBusy          = "busy"              // come back after Retry-After
)

// Millis is a duration in milliseconds on the wire.
type Millis int64

// MillisOf rounds d down to whole milliseconds.
func MillisOf(d time.Duration) Millis { return Millis(d / time.Millisecond) }

// Duration is m as a time.Duration; what does not fit becomes the longest there is, of the same sign.
func (m Millis) Duration() time.Duration {
	const most = Millis(1<<63-1) / Millis(time.Millisecond)
	switch {
	case m > most:
		return 1<<63 - 1
	case m < -most:
		return -1 << 63
	}
	return time.Duration(m) * time.Millisecond
}

// Ping is the cloud's answer to "are you there", with its clock.
type Ping struct {
	Time time.Time `json:"time"`
}

// Problem tells why a request was not done.
type Problem struct {
	Reason string `json:"reason"`
	Detail string `json:"detail,omitempty"` // a sentence for a log, not for a user
	// ReasonMachineActive: who holds it, since when, with which license, by a session or a checkout.
	MachineName string     `json:"machine_name,omitempty"`
	Since       *time.Time `json:"since,omitempty"`
	LicenseID   string     `json:"license_id,omitempty"`
	Kind        HoldKind   `json:"kind,omitempty"`
	// ReasonMoveLocked, ReasonUserNotFound: the id of whom the license is assigned to.
	AssigneeID string `json:"assignee_id,omitempty"`
	// Of a move that is refused because of whom it is to: that user. With ReasonUnknown and without it, the license is not known.
	UserID string `json:"user_id,omitempty"`
	// ReasonMoveLocked: when the lock opens. ReasonTooLong: the latest end there is.
	Until *time.Time `json:"until,omitempty"`
}
