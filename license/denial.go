package license

// Reason is the stable name of a denial; it is part of the API.
type Reason string

// The reasons.
const (
	// MachineActive: another machine is active (R5, R7). Final: no other license
	// kind or client version gets around it.
	MachineActive Reason = "machine-active"
	// KeptForWaiter: free, but kept for half a minute for a machine that waited.
	KeptForWaiter Reason = "reserved"
	// NotAssigned: the user has no license of the product assigned (R2, R3).
	NotAssigned Reason = "not-assigned"
	// LicenseEnded: the assigned license's term is over; there is no grace (R1).
	LicenseEnded Reason = "license-ended"
	// LicenseNotStarted: the assigned license's term has not begun (R1).
	LicenseNotStarted Reason = "license-not-started"
	// CloudNeeded: the link is down and the account's terms do not let the site
	// decide this alone (R6).
	CloudNeeded Reason = "cloud-needed"
	// NoCountry: the user has no entitlement country (R2).
	NoCountry Reason = "no-country"
	// WrongCountry: the license is not for the user's entitlement country (R2).
	WrongCountry Reason = "country"
	// FeatureLevel: the product needs a feature level, and the start names none.
	FeatureLevel Reason = "feature-level"
	// CheckoutTooLong: the end lies beyond the license's term or the maximum (R14).
	CheckoutTooLong Reason = "checkout-too-long"
	// CheckoutInPast: the end is not in the future.
	CheckoutInPast Reason = "checkout-in-past"
	// CheckoutOff: the account allows no new checkouts to users of this country
	// (KB0019243), or this site allows none (Denial.Here).
	CheckoutOff Reason = "checkout-off"
	// CheckoutWrittenOff: it was given up for lost; it can be returned, not renewed.
	CheckoutWrittenOff Reason = "checkout-written-off"
	// TooManyCheckouts: the user has MaxCheckouts out already.
	TooManyCheckouts Reason = "too-many-checkouts"

	// TooManySessions: the user has MaxSessions running already.
	TooManySessions Reason = "too-many-sessions"

	// TakeoverRefused: another machine is active, and the site lets no other machine
	// ask it to let go.
	TakeoverRefused Reason = "takeover-refused"
	// TakeoverNotPossible: the active machine's client would not stop by itself in
	// time, so that its session cannot be taken over.
	TakeoverNotPossible Reason = "takeover-not-possible"
	// TakeoverCheckout: a checkout cannot be taken over.
	TakeoverCheckout Reason = "takeover-checkout"
	// TakeoverUnderWay: the hold is being freed for another machine of the user.
	TakeoverUnderWay Reason = "takeover-under-way"
	// UnknownRequest: nobody asks this (any more).
	UnknownRequest Reason = "unknown-request"

	// MoveLocked: the license was assigned more than a day ago, and 30 days are not
	// over (R10).
	MoveLocked Reason = "move-locked"
	// UserNotFound: who it is assigned to is gone from the account; only the vendor
	// can move it (R11).
	UserNotFound Reason = "user-not-found"
	// OtherAccount: the user belongs to another account until removed there (R19).
	OtherAccount Reason = "other-account"
	// CloudCannot: this cloud takes no such command from a site.
	CloudCannot Reason = "cloud-cannot"
	// MachineBlocked and UserBlockedHere: IT has blocked the machine, or the user, at
	// this site.
	MachineBlocked  Reason = "machine-blocked"
	UserBlockedHere Reason = "user-blocked-here"
	// MachineClone: the machine goes by another key than the one that was shown, and
	// something is open there: it is not the same computer.
	MachineClone Reason = "machine-clone"
	// KeyNeeded: the machine has a key, or the site asks for one, and none was shown.
	KeyNeeded Reason = "machine-key-needed"
	// SignInNeeded: the machine's key alone starts nothing new for so long after the last
	// sign-in that was verified.
	SignInNeeded Reason = "sign-in-needed"
	// TooManyKeys: the user has MaxMachineKeys keys of machines already, all of them in use
	// or shown lately.
	TooManyKeys Reason = "too-many-keys"
	// TooManyBlocks: the site has MaxBars blocks already.
	TooManyBlocks Reason = "too-many-blocks"
	// MirrorShrunk: the mirror would lose more than half of its users, licenses or
	// assignments at once; it is held back until an administrator accepts that.
	MirrorShrunk Reason = "mirror-shrunk"
	// MirrorNotHeld: there is nothing to accept, the mirror follows the cloud.
	MirrorNotHeld Reason = "mirror-not-held"
	// KeysNotHeld: no node holds back this set of the issuer's keys.
	KeysNotHeld Reason = "keys-not-held"
	// MirrorFollows: the mirror follows the cloud's feed, and takes nothing from files.
	MirrorFollows Reason = "mirror-follows-feed"

	// UnknownToken: no such join token was issued at this site, or it is long over.
	UnknownToken Reason = "unknown-token"
	// TokenUsed: the join token has let in a machine already.
	TokenUsed Reason = "token-used"
	// TokenExpired: the join token's time is over.
	TokenExpired Reason = "token-expired"
	// TooManyTokens: MaxTokens join tokens are open already.
	TooManyTokens Reason = "too-many-tokens"
	// NodeKnown: a node goes by this name, with another data folder.
	NodeKnown Reason = "node-known"
	// NodeGone: the node was removed from the cluster.
	NodeGone Reason = "node-removed"
	// TooManyNodes: MaxNodes names of nodes have been used.
	TooManyNodes Reason = "too-many-nodes"
	// NameInUse: another API token, or local account, goes by this name.
	NameInUse Reason = "name-in-use"
	// UnknownCredential: no such API token, sign-in, local account or token for the first
	// one is good at this site.
	UnknownCredential Reason = "unknown-credential"
	// TooManyCredentials: MaxTokensOfAPI API tokens are good already.
	TooManyCredentials Reason = "too-many-credentials"
	// TooManyAccounts: there are MaxLocalAccounts local accounts already.
	TooManyAccounts Reason = "too-many-accounts"
	// UsageFull: usage waits for the cloud, and the room for it is taken; what is started
	// now could not be metered any more.
	UsageFull Reason = "usage-full"
	// AfterRestore: the site went on from a backup, or from one node that was left;
	// what was granted in the time that is lost may still be in use.
	AfterRestore Reason = "restored"

	UnknownLicense  Reason = "unknown-license"  // not in the mirror
	UnknownUser     Reason = "unknown-user"     // not in the mirror
	UserBlocked     Reason = "user-blocked"     // blocked in the account
	UnknownProduct  Reason = "unknown-product"  // not in the mirror
	UnknownSession  Reason = "unknown-session"  // not running (any more)
	UnknownCheckout Reason = "unknown-checkout" // not open (any more)
	NotYours        Reason = "not-yours"        // belongs to another user or machine
	AlreadyEnded    Reason = "already-ended"    // this id was used and is over
	IDInUse         Reason = "id-in-use"        // this id means something else
	TooLate         Reason = "too-late"         // the command outlived its NotAfter
	BadCommand      Reason = "bad-command"      // malformed: no machine, too long, out of bounds
)

// Reasons are all reasons, in a fixed order.
var reasons = [...]Reason{
	MachineActive, KeptForWaiter, NotAssigned, LicenseEnded, LicenseNotStarted, CloudNeeded,
	NoCountry, WrongCountry, FeatureLevel,
	CheckoutTooLong, CheckoutInPast, CheckoutOff, CheckoutWrittenOff, TooManyCheckouts, TooManySessions, UnknownUser, UserBlocked, UnknownProduct, UnknownSession,
	UnknownCheckout, NotYours, AlreadyEnded, IDInUse, TooLate, BadCommand,
	MoveLocked, UserNotFound, OtherAccount, CloudCannot, MachineBlocked, UserBlockedHere, TooManyBlocks, UnknownLicense,
	MachineClone, KeyNeeded, SignInNeeded, TooManyKeys,
	TakeoverRefused, TakeoverNotPossible, TakeoverCheckout, TakeoverUnderWay, UnknownRequest,
	UnknownToken, TokenUsed, TokenExpired, TooManyTokens, NodeKnown, NodeGone, TooManyNodes,
	NameInUse, UnknownCredential, TooManyCredentials, TooManyAccounts,
	AfterRestore,
	UsageFull,
	MirrorShrunk, MirrorNotHeld, MirrorFollows,
	KeysNotHeld,
}

// Reasons lists every reason there is, in a fixed order.
func Reasons() []Reason { return append([]Reason(nil), reasons[:]...) }

// HoldKind is what stands behind a hold.
type HoldKind uint8

// A hold is opened by a session or by a checkout.
const (
	HoldSession HoldKind = iota
	HoldCheckout
)

// String is "session" or "checkout".
func (k HoldKind) String() string {
	if k == HoldCheckout {
		return "checkout"
	}
	return "session"
}

// Denial says why a command was refused, with what a person needs to go on.
type Denial struct {
	Reason  Reason    `cbor:"1,keyasint"`
	Product ProductID `cbor:"2,keyasint,omitempty"` // what was asked for
	License LicenseID `cbor:"3,keyasint,omitempty"` // the license it would have used

	// For MachineActive and KeptForWaiter: which machine stands in the way, since
	// when, with which license, by a session or a checkout. The vendor's sentence
	// is true only where Holding equals License.
	Machine Machine   `cbor:"4,keyasint,omitempty"`
	Since   Time      `cbor:"5,keyasint,omitempty"`
	Holding LicenseID `cbor:"6,keyasint,omitempty"`
	By      HoldKind  `cbor:"7,keyasint,omitempty"`

	// Until is when waiting helps at the latest, the end of a checkout or of a
	// term, or the longest end that would have been granted. Zero: not known.
	Until Time `cbor:"8,keyasint,omitempty"`
	// Elsewhere: the machine is known to the cloud only, not to this site.
	Elsewhere bool `cbor:"9,keyasint,omitempty"`

	// Person is whom an administrator's command is refused for: who holds the
	// license, or was to get it.
	Person UserID `cbor:"40,keyasint,omitempty"`
	// Here: it is this site's own setting that refuses, and not the account's.
	Here bool `cbor:"70,keyasint,omitempty"`
	// Who and Note are the administrator who blocked, and what they said.
	Who  string `cbor:"41,keyasint,omitempty"`
	Note string `cbor:"42,keyasint,omitempty"`
	// Email, for NotAssigned: a license is assigned, but to this e-mail of the user's
	// and not to the one they are signed in with (R15).
	Email string `cbor:"20,keyasint,omitempty"`
	// Node is the node of the cluster that is spoken of.
	Node string `cbor:"90,keyasint,omitempty"`
}

func deny(r Reason) *Denial { return &Denial{Reason: r} }
