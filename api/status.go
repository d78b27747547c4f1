package api

import "time"

// Status is what an operator sees of a node and its site.
type Status struct {
	Node      string         `json:"node"`
	Version   string         `json:"version"`
	Cluster   ClusterStatus  `json:"cluster"`
	Link      LinkState      `json:"link"`
	Cloud     CloudOffers    `json:"cloud"`
	Mirror    MirrorStatus   `json:"mirror"`
	Counts    Counts         `json:"counts"`
	Usage     UsageStatus    `json:"usage"`
	Autonomy  AutonomyStatus `json:"autonomy"`
	Connected int            `json:"connected"` // clients on this node's websocket
	Time      time.Time      `json:"time"`      // the cluster's
	// TimeHeld: this node's wall clock is off, and is not followed.
	TimeHeld bool `json:"time_held,omitempty"`
	// Restored is what the site waits for after a restore; nil: nothing.
	Restored *RestoredStatus `json:"restored,omitempty"`
	// Backup is what becomes of this node's scheduled backups; nil: it makes none.
	Backup *BackupStatus `json:"backup,omitempty"`
	// Disk is the room in this node's data folder; nil where it is not known.
	Disk *DiskStatus `json:"disk,omitempty"`
	// Egress is how this node's ways out are, its proxies and PAC file; empty where it goes out directly.
	Egress []EgressStatus `json:"egress,omitempty"`
	// Certificates are those that this node shows, and the site CA's.
	Certificates []CertificateStatus `json:"certificates,omitempty"`
	// Audit is how the audit trail stands.
	Audit AuditStatus `json:"audit"`
	// Lockouts are the proxies that reject the secret of one of the site's nodes; empty: none.
	Lockouts []Lockout `json:"lockouts,omitempty"`
	// Bypass is the one that lasts; nil: none does.
	Bypass *Bypass `json:"bypass,omitempty"`
	// KeysHeld are the issuers of sign-ins whose keys are held back; empty: none. See TrustedIssuer.
	KeysHeld []string `json:"keys_held,omitempty"`
}

// Lockout: a proxy has rejected a node's secret too often, and has taken none since.
type Lockout struct {
	Node  string    `json:"node"`
	Proxy string    `json:"proxy"` // as that node's configuration calls it
	Since time.Time `json:"since"`
}

// CloudOffers are what the vendor's cloud offers to a site beside its public services, as far as the leader has found out: each is
// nil before anybody has asked for it.
type CloudOffers struct {
	Feed  *Offer `json:"feed,omitempty"`  // of changes; without one, lists are imported
	Holds *Offer `json:"holds,omitempty"` // it confirms starts and checkouts; else the account's terms decide
	Moves *Offer `json:"moves,omitempty"` // licenses can be assigned here; else in the vendor's portal
	Books *Offer `json:"books,omitempty"` // it lists what the site has checked out
	// UsageWay is how usage goes to the vendor: site, realtime or csv; empty: it is not known yet.
	UsageWay   string    `json:"usage_way,omitempty"`
	UsageSince time.Time `json:"usage_since,omitzero"`
	// Portal is the page of the vendor's portal where licenses are assigned, as this node's
	// configuration has it; empty: it has none.
	Portal string `json:"portal,omitempty"`
}

// Offer is whether a cloud offers something, and when it was found to be so.
type Offer struct {
	Offered bool      `json:"offered"`
	Since   time.Time `json:"since"`
}

// EgressStatus is how a proxy, or the PAC file, is.
type EgressStatus struct {
	Name    string    `json:"name"`
	Kind    string    `json:"kind"`    // http, https, socks5 or pac
	Address string    `json:"address"` // host:port; of a PAC file: its URL or path
	State   string    `json:"state"`   // one of the EgressStates
	Since   time.Time `json:"since,omitzero"`
	Until   time.Time `json:"until,omitzero"`   // of resting and locked
	Scheme  string    `json:"scheme,omitempty"` // what the proxy was last answered with
	Code    string    `json:"code,omitempty"`   // of Problem
	Problem string    `json:"problem,omitempty"`
}

// CertificateStatus is a certificate that a node shows, or that of the site CA.
type CertificateStatus struct {
	Name        string    `json:"name"` // api, relay, node or site-ca
	Ends        time.Time `json:"ends"`
	Fingerprint string    `json:"fingerprint"`       // SHA-256 of it
	File        string    `json:"file,omitempty"`    // of the site's own ones
	Problem     string    `json:"problem,omitempty"` // why the file as it is now is not shown
}

// EgressStates are the states of a way out.
var EgressStates = []string{"unknown", "well", "resting", "locked", "failing"}

// PathBackup is where administrators get a backup (GET), or have the node make one in its
// folder (POST, answered with a MadeBackup).
const PathBackup = "/v1/backup"

// MadeBackup is a backup in a node's folder.
type MadeBackup struct {
	Folder string    `json:"folder"`
	File   string    `json:"file"` // its name in there
	At     time.Time `json:"at"`
	Index  uint64    `json:"index"` // of the last entry that is in it
	Bytes  int64     `json:"bytes"`
}

// BackupStatus is how a node's scheduled backups are going.
type BackupStatus struct {
	Folder  string    `json:"folder"`
	EveryMS int64     `json:"every_ms"`
	Kept    int       `json:"kept"`
	Last    time.Time `json:"last,omitzero"` // the last good one
	Index   uint64    `json:"index,omitempty"`
	Bytes   int64     `json:"bytes,omitempty"`
	Overdue bool      `json:"overdue"`           // the last good one is too old
	Problem string    `json:"problem,omitempty"` // why the last try failed
}

// DiskStatus is how a node's disk is doing.
type DiskStatus struct {
	State string `json:"state"` // DiskOK, DiskWarn or DiskLow
	Free  uint64 `json:"free"`  // bytes
	Total uint64 `json:"total"` // bytes
}

// The states of a disk.
const (
	DiskOK   = "ok"
	DiskWarn = "warn" // it is filling up
	DiskLow  = "low"  // nothing new is granted while this node leads
)

// RestoredStatus is a site that went on from a backup, or from one node that was left,
// and grants nothing capped for now.
type RestoredStatus struct {
	Epoch     uint64    `json:"epoch"`
	Recovered bool      `json:"recovered"` // from one node, not from a backup
	Since     time.Time `json:"since,omitzero"`
	Until     time.Time `json:"until,omitzero"` // when every lease of before is over
	// Read: the checkouts are those of the cloud's books, or were accepted.
	Read bool `json:"read"`
}

// ClusterStatus is who leads whom.
type ClusterStatus struct {
	ID      string   `json:"id"`
	Leader  string   `json:"leader"` // empty: none
	Term    uint64   `json:"term"`
	Index   uint64   `json:"index"`
	Members []Member `json:"members"`
	// Level is what the cluster works at: programs that cannot do it are refused. Program
	// is a version that can, where the level was raised. Missing: not founded yet.
	Level   uint64 `json:"level,omitempty"`
	Program string `json:"program,omitempty"`
	// Diverged: the nodes have different states, and no majority has the same;
	// nothing new is granted.
	Diverged bool `json:"diverged,omitempty"`
	// Replacement is that of the site's CA, while it goes on, the old CA's voucher is good,
	// or members were left behind by it; nil: there is nothing to see to.
	Replacement *Replacement `json:"replacement,omitempty"`
}

// Member is one node.
type Member struct {
	Name    string    `json:"name"`
	Address string    `json:"address"`
	Voter   bool      `json:"voter"`
	Leader  bool      `json:"leader"`
	Reached time.Time `json:"reached,omitzero"`
}

// MirrorStatus is how far the mirror has been read.
type MirrorStatus struct {
	Filled bool        `json:"filled"`
	Cursor string      `json:"cursor"`
	Held   *HeldMirror `json:"held,omitempty"`
	Read   time.Time   `json:"read,omitzero"` // to the end of what there was, last
	// Malformed is how many records of the cloud's could not be understood.
	Malformed int `json:"malformed,omitempty"`
	// Source is where most of it is from, feed or file; Imported is when the last file
	// was imported.
	Source   string    `json:"source,omitempty"`
	Imported time.Time `json:"imported,omitzero"`
}

// MirrorRecord is a user, a product or a license of the mirror, or of a file to import.
type MirrorRecord struct {
	Kind string `json:"kind"` // user, product or license
	ID   string `json:"id"`
	// Gone, of a file: it is to be taken out. All but Kind and ID is left out then.
	Gone bool `json:"gone,omitempty"`

	Name    string `json:"name,omitempty"` // of a user or product
	Email   string `json:"email,omitempty"`
	Country string `json:"country,omitempty"`
	Blocked bool   `json:"blocked,omitempty"`
	Capped  string `json:"capped,omitempty"` // of a product: yes, no or unknown

	Product    string    `json:"product,omitempty"` // of a license: its id
	Assignee   string    `json:"assignee,omitempty"`
	AssignedAt time.Time `json:"assigned_at,omitzero"`
	Starts     time.Time `json:"starts,omitzero"`
	Ends       time.Time `json:"ends,omitzero"`
	Type       string    `json:"type,omitempty"` // virtuoso, commercial or trial

	// Source is feed or file, and AsOf how fresh that is; not of a file to import.
	Source string    `json:"source,omitempty"`
	AsOf   time.Time `json:"as_of,omitzero"`
}

// ImportRequest is the body of POST /v1/mirror/import: a part of a file, of at most
// 1000 records. Last says that nothing more follows.
type ImportRequest struct {
	By      string         `json:"by,omitempty"`
	Note    string         `json:"note,omitempty"`
	Records []MirrorRecord `json:"records"`
	Last    bool           `json:"last,omitempty"`
}

// MaxPortalBytes is how large the files of a PortalRequest may be together. Larger ones go
// in by the command line.
const MaxPortalBytes = 32 << 20

// PortalRequest is the body of POST /v1/mirror/files: what the vendor's portal exports as
// CSV, one file of users, one of licenses, or one of each, of at most 32 MiB together. Each is
// a whole list. With dry_run it is only told what would change; without, that is done which
// such an answer has told, and nothing if it would be something else by now.
type PortalRequest struct {
	Files []PortalFile `json:"files"`
	// Encoding is utf-8 or windows-1252; empty: the first, or the second where it cannot be
	// that. A byte order mark goes first.
	Encoding string `json:"encoding,omitempty"`
	DryRun   bool   `json:"dry_run,omitempty"`
	Saw      string `json:"saw,omitempty"` // of the report that is acted on; not with dry_run
	By       string `json:"by,omitempty"`
	Note     string `json:"note,omitempty"`
}

// PortalFile is a file of a PortalRequest.
type PortalFile struct {
	Name string `json:"name"` // by which it is spoken of
	Data []byte `json:"data"` // as it is, in base64
}

// PortalReport is what files of the vendor's portal change. With faults in them it lists
// those only, and nothing was done.
type PortalReport struct {
	DryRun  bool           `json:"dry_run"`
	Saw     string         `json:"saw,omitempty"` // stands for the changes
	Changes int            `json:"changes"`
	Counts  []PortalCount  `json:"counts"`
	Items   []PortalChange `json:"items"` // the first 200
	// NotFound is how many licenses are of a user who is not found any more: assigned to
	// nobody here. Uncapped is how many rows say that a product is not capped, which a file
	// cannot.
	NotFound int           `json:"not_found,omitempty"`
	Uncapped int           `json:"uncapped,omitempty"`
	Faults   []PortalFault `json:"faults,omitempty"` // the first 20 of each
}

// PortalCount is how many records of a kind are new, changed and gone.
type PortalCount struct {
	Kind    string `json:"kind"` // user, product or license
	New     int    `json:"new"`
	Changed int    `json:"changed"`
	Gone    int    `json:"gone"`
}

// PortalChange is a record as it was, left out where it is new, and as it is then, left out
// where it is gone.
type PortalChange struct {
	Was *MirrorRecord `json:"was,omitempty"`
	Now *MirrorRecord `json:"now,omitempty"`
}

// PortalFault is what is wrong with a file, and where.
type PortalFault struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`   // the first is 1; left out: the whole file
	Column string `json:"column,omitempty"` // as the file calls it
	Reason string `json:"reason"`
	Text   string `json:"text"` // the reason as a sentence
}

// MalformedRecord is a record of the cloud's that could not be understood, and counts
// as deleted.
type MalformedRecord struct {
	Kind  string    `json:"kind"` // account, user, product or license
	ID    string    `json:"id"`
	Why   string    `json:"why"`
	Since time.Time `json:"since"`
}

// AcceptedTime is what time it was for the site before an operator accepted its
// nodes' clocks, and is since.
type AcceptedTime struct {
	Before time.Time `json:"before"`
	Now    time.Time `json:"now"`
}

// HeldMirror is what the cloud's list lacks, where that is more than half of what
// the site knows: nothing of it is taken away before it is accepted.
type HeldMirror struct {
	Since  time.Time   `json:"since"`
	Losing MirrorSizes `json:"losing"`
	Of     MirrorSizes `json:"of"`
	Until  time.Time   `json:"until,omitzero"` // accepted, to come in until then
	By     string      `json:"by,omitempty"`   // who has accepted it
	Note   string      `json:"note,omitempty"`
}

// MirrorSizes are the sizes of a mirror.
type MirrorSizes struct {
	Users       int `json:"users"`
	Licenses    int `json:"licenses"`
	Assignments int `json:"assignments"`
}

// Counts are the sizes of things.
type Counts struct {
	Users       int `json:"users"`
	Products    int `json:"products"`
	Licenses    int `json:"licenses"`
	Assigned    int `json:"assigned"`
	Sessions    int `json:"sessions"`
	Checkouts   int `json:"checkouts"`
	Provisional int `json:"provisional"`
	// Learned is of how many uses relayed traffic has told that the mirror does not have.
	Learned int `json:"learned,omitempty"`
}

// UsageStatus is how far usage has been delivered.
type UsageStatus struct {
	Seq     uint64 `json:"seq"`     // of the last event
	Sent    uint64 `json:"sent"`    // usage up to here is with the cloud
	Waiting uint64 `json:"waiting"` // records that are not
	// Oldest is since when the record waits that waits longest; zero: none does, or the node
	// that is asked does not know it yet.
	Oldest time.Time `json:"oldest,omitzero"`
	// Refused are records that the cloud has refused for good: they are kept apart.
	Refused uint64 `json:"refused,omitempty"`
	// Backlog says how much of the room for usage that waits is taken: BacklogOK,
	// BacklogHalf, BacklogHigh or BacklogFull; Bytes and Most are of that room, as the
	// leader measured it last. Most is zero where there is no bound.
	Backlog string `json:"backlog"`
	Bytes   uint64 `json:"bytes,omitempty"`
	Most    uint64 `json:"most,omitempty"`
}

// How full the room for usage is.
const (
	BacklogOK   = "ok"
	BacklogHalf = "half" // half of it
	BacklogHigh = "high" // four fifths
	BacklogFull = "full" // nothing new is granted
)

// AutonomyStatus is how long after the last contact the site may decide alone.
type AutonomyStatus struct {
	CappedMS   int64 `json:"capped_ms"`
	UncappedMS int64 `json:"uncapped_ms"`
}

// ReleaseRequest is the body of POST /v1/sessions/{id}/release on the operator's
// socket.
type ReleaseRequest struct {
	By   string `json:"by,omitempty"`
	Note string `json:"note"`
}
