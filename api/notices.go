package api

import "time"

// NoticesProtocol is the websocket subprotocol of /v1/notices. A client connects
// with its bearer token in the Authorization header and names itself in the
// query: machine (id), name (of the machine), instance (random per process),
// since ("epoch:seq" of the last frame it has dealt with, or empty), cluster (of
// the hello that since is of), lang (en, fr, de) and feed (FeedSite). One JSON
// object a frame. asyncapi.yaml tells all of it.
const NoticesProtocol = "sitegate.notices.v1"

// BearerProtocol begins a second subprotocol, by which a page in a browser shows its access
// token: the rest is the token in base64url without padding. Programs send the header
// Authorization.
const BearerProtocol = "sitegate.bearer."

// FeedSite asks for what happens to everybody of the site, as one who administers
// the account; without it a client hears of its own user only.
const FeedSite = "site"

// The limits of a client's frames.
const (
	MaxFrame        = 4096 // bytes
	MaxBeatSessions = 32
)

// Frame is what travels on the websocket, in both directions; Type says which of
// the other fields matter.
type Frame struct {
	Type string `json:"type"`

	// From the server.
	Hello  *Hello  `json:"hello,omitempty"`
	Notice *Notice `json:"notice,omitempty"`
	Lease  *Leases `json:"lease,omitempty"`
	State  *Me     `json:"state,omitempty"` // after a gap: how things are now
	// Nodes are the base URLs of all nodes, when others have come or gone since the hello.
	Nodes []string `json:"nodes,omitempty"`
	// Authed answers Auth.
	Authed *Authed `json:"authed,omitempty"`
	// Reconnect asks the client to go to another node.
	Reconnect *Reconnect `json:"reconnect,omitempty"`
	// Site is what happened at the site, to who asked for FeedSite.
	Site *SiteNotices `json:"site,omitempty"`

	// From the client.
	Beat *Beat `json:"beat,omitempty"`
	Auth *Auth `json:"auth,omitempty"`
}

// The frame types.
const (
	FrameHello     = "hello"     // first, from the server
	FrameState     = "state"     // after hello where the gap could not be filled
	FrameNodes     = "nodes"     // there are other nodes than the hello has said
	FrameNotice    = "notice"    // something happened
	FrameSite      = "site"      // some things happened at the site
	FrameBeat      = "beat"      // from the client: its sessions live
	FrameLease     = "lease"     // to a beat, after the leader has acknowledged it
	FrameAuth      = "auth"      // from the client: its next access token
	FrameAuthed    = "authed"    // whether it was taken
	FrameReconnect = "reconnect" // this node is going: connect to another
)

// Hello greets a client. Recovered: everything since its token follows as
// notices. Otherwise a state frame follows, and then what comes.
type Hello struct {
	Cluster   string    `json:"cluster"` // whose token (epoch, seq) is
	Epoch     uint64    `json:"epoch"`
	Seq       uint64    `json:"seq"`
	Recovered bool      `json:"recovered"`
	Time      time.Time `json:"time"` // the cluster's; until of a notice is in it
	Node      string    `json:"node"`
	Nodes     []string  `json:"nodes"` // base URLs of all nodes
	PingMS    int64     `json:"ping_ms"`
	BeatMS    int64     `json:"beat_ms"`
	// ExpiresMS is how long the access token still lasts; GraceMS after that, without
	// an auth frame, the connection ends.
	ExpiresMS int64 `json:"expires_ms"`
	GraceMS   int64 `json:"grace_ms"`
	Retry     Retry `json:"retry"`
}

// Retry is how a client comes back after a connection that broke: at a random
// moment within FirstMS, and after the n-th failure in a row at one within
// min(MaxMS, MinMS·2ⁿ).
type Retry struct {
	FirstMS int64 `json:"first_ms"`
	MinMS   int64 `json:"min_ms"`
	MaxMS   int64 `json:"max_ms"`
}

// Auth brings the next access token of the same user on a live connection. A token
// that does not fit in MaxFrame is brought by connecting anew.
type Auth struct {
	N     uint64 `json:"n"` // comes back in Authed
	Token string `json:"token"`
}

// Authed says that a token was taken, and for how long, or with Error why not: the
// connection then goes on with the one before, to its end.
type Authed struct {
	N         uint64 `json:"n"`
	ExpiresMS int64  `json:"expires_ms,omitempty"`
	// Error is missing, malformed, expired, early, issuer, audience, key, signature, user
	// for one of somebody else, or too-many where tokens are brought too often.
	Error string `json:"error,omitempty"`
}

// Reconnect: at a random moment within the window connect to one of the nodes. The
// connection goes on until the client or, after the window, the node closes it.
type Reconnect struct {
	WindowMS int64    `json:"window_ms"`
	Nodes    []string `json:"nodes"` // base URLs of the others; empty: none is known
}

// SiteNotices are what happened at the site since the last such frame. What
// happened alike to the same user and machine meanwhile is told once, as the
// latest, with how often.
type SiteNotices struct {
	// Epoch and Seq are the token of the whole frame.
	Epoch   uint64   `json:"epoch"`
	Seq     uint64   `json:"seq"`
	Notices []Notice `json:"notices"`
}

// Poll answers GET /v1/notices/poll, for clients that no websocket gets through
// for: what came after since, or, where that is not known any more, how things
// are. Come back with (Epoch, Seq) as since, at once.
type Poll struct {
	Hello   Hello    `json:"hello"` // its (epoch, seq) is the token to come back with
	State   *Me      `json:"state,omitempty"`
	Notices []Notice `json:"notices"`
}

// Notice tells a user's clients what happened. Its token is (epoch, seq).
type Notice struct {
	Epoch  uint64    `json:"epoch"`
	Seq    uint64    `json:"seq"`
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"`
	Text   string    `json:"text"` // a sentence in the user's language
	Mine   bool      `json:"mine"` // it concerns this very machine
	ID     string    `json:"id,omitempty"`
	Reason string    `json:"reason,omitempty"`

	Product string    `json:"product,omitempty"`
	License string    `json:"license,omitempty"`
	Machine string    `json:"machine,omitempty"` // the machine it is about
	By      string    `json:"by,omitempty"`
	Note    string    `json:"note,omitempty"`
	From    time.Time `json:"from,omitzero"` // of maintenance: when it begins
	Until   time.Time `json:"until,omitzero"`
	// LeftMS is how long it was from at to until: what a countdown begins with,
	// whatever the client's clock says. Absent without until.
	LeftMS *int64 `json:"left_ms,omitempty"`
	About  string `json:"about,omitempty"` // the user whom an administrator is told of
	// Provisional: the site granted it alone; confirmed, or ending with the reason
	// conflict, follows.
	Provisional bool `json:"provisional,omitempty"`
	// Times: it happened so often since the last frame; only in Site, and from 2 on.
	Times int `json:"times,omitempty"`
	// Reminders are how much there is to see to, by the kinds of Reminder.
	Reminders *ReminderCounts `json:"reminders,omitempty"`
	// Node and Proxy are of what is told of a node's way out.
	Node  string `json:"node,omitempty"`
	Proxy string `json:"proxy,omitempty"`
	// Issuer is of what is told of an issuer's keys.
	Issuer string `json:"issuer,omitempty"`
}

// ReminderCounts are how many reminders there are of each kind.
type ReminderCounts struct {
	UserNotFound int `json:"user_not_found"`
	Ending       int `json:"ending"`
	Unassigned   int `json:"unassigned"`
	NeverUsed    int `json:"never_used"`
	Pooled       int `json:"pooled"`
	PooledDays   int `json:"pooled_days"` // license-days of the last 60 that the pooled ones are
}

// The kinds of notices.
const (
	KindGranted     = "granted"      // a session started
	KindStopped     = "stopped"      // a session ended; its machine is not let go of by it
	KindAttempted   = "attempted"    // another machine tried and was refused
	KindFree        = "free"         // a machine let go
	KindYours       = "yours"        // kept for this machine, which waited, until then
	KindNotTaken    = "not-taken"    // what was kept is free for all again
	KindWaitEnded   = "wait-ended"   // this machine waits no more
	KindReleased    = "released"     // ended by an administrator
	KindEnding      = "ending"       // lost its right; renewed until then
	KindConfirmed   = "confirmed"    // the cloud agreed to a provisional start
	KindCheckedOut  = "checked-out"  // a checkout was made
	KindReturned    = "returned"     // a checkout was given back or has ended
	KindEndsSoon    = "license-ends" // the license's term is over soon
	KindExtended    = "extended"     // the license goes on after all; the session may too
	KindAssigned    = "assigned"     // a license was assigned to you
	KindUnassigned  = "unassigned"   // a license was taken from you
	KindBlocked     = "blocked"      // IT keeps you out of this site
	KindUnblocked   = "unblocked"    // and does so no more
	KindRequested   = "requested"    // another machine asks this one to let go
	KindDeclined    = "declined"     // the active machine does not let go
	KindLinkUp      = "link-up"      // the cloud answers again
	KindLinkDown    = "link-down"    // the cloud does not answer
	KindPolicy      = "policy"       // other rules hold: refresh now
	KindMaintenance = "maintenance"  // work on the gateway, from then until then; reason over: there is none

	// To administrators of the account.
	KindCheckoutFlagged = "checkout-flagged"     // the right to a checkout is gone
	KindUserNotFound    = "user-not-found"       // a user is gone though a license is assigned
	KindLicenseChanged  = "license-changed"      // to fulfillment contacts, too
	KindSiteEnds        = "site-license-ends"    // a license of the account ends soon
	KindReminders       = "reminders"            // once a week: how much there is to see to
	KindMirrorHeld      = "mirror-held"          // the cloud's list has shrunk by more than half; nothing is taken away
	KindMirrorResumed   = "mirror-resumed"       // the site follows the cloud's list again
	KindLevelRaised     = "level-raised"         // older programs are of no use to this site any more
	KindUsageRefused    = "usage-refused"        // the cloud refuses usage records for good; they are kept apart
	KindSecretStopped   = "proxy-secret-stopped" // a proxy rejects a node's secret, which is not sent before until
	KindSecretResumed   = "proxy-secret-resumed" // the proxy takes one again, or is not used any more
	KindBypass          = "bypass"               // nothing that is relayed is withheld until then; reason over: something is again
	KindKeysHeld        = "issuer-keys-held"     // an issuer of sign-ins lists other keys only; they are not believed
	KindKeysResumed     = "issuer-keys-resumed"  // they were accepted, or it lists what it did before
	KindMachineClone    = "machine-clone"        // another computer went by the id of a machine in use, and was refused; with the reason two-places one key is shown in two networks by turns, and nothing was refused
	KindMachineRekeyed  = "machine-rekeyed"      // a machine shows another key than before
	KindUsageBacklog    = "usage-backlog"        // usage waits for the cloud; the reason is how full its room is
	KindQuarantined     = "mirror-malformed"     // some of the cloud's records cannot be understood
	KindLinkSlow        = "link-slow"            // the cloud answers slowly, or (reason over) does so no more
	KindLinkStale       = "link-stale"           // there was no contact with the cloud for two hours

	// Of a checkout.
	KindOutEnding  = "checkout-ending" // it ends in three days, or in one
	KindWrittenOff = "written-off"     // it was given up for lost, and still blocks
)

// Beat is a heartbeat for the sessions of this machine. N comes back in Leases.
type Beat struct {
	N        uint64   `json:"n"`
	Sessions []string `json:"sessions"`
}

// Leases answers a Beat. A session counts from when the beat was sent.
type Leases struct {
	N      uint64       `json:"n"`
	Leases []BeatResult `json:"leases"`
	// Error: the leader could not be asked; nothing was renewed, try again.
	Error string `json:"error,omitempty"`
}

// BeatResult is one session's renewal, or the reason why there is none.
type BeatResult struct {
	Session string  `json:"session"`
	TTLMS   int64   `json:"ttl_ms,omitempty"`
	Reason  string  `json:"reason,omitempty"`
	Ending  *Ending `json:"ending,omitempty"`
}

// The close codes of the websocket. 4000 to 4499: connect again; 4500 to 4999:
// do not, it would not help.
const (
	CloseSlow         = 4008 // the client did not read; resume
	CloseResume       = 4009 // this node's state has jumped; resume
	CloseUnauthorized = 4401 // the token has expired or was withdrawn; come back with a new one
	CloseBudget       = 4429 // too many messages; wait
	CloseReplaced     = 4510 // the same instance has connected again
	CloseBlocked      = 4503 // the user may not come back
	CloseBadFrame     = 4500 // a frame this protocol does not have
)
