package api

import "time"

// The paths of what an operator does about the nodes, on the operator's socket.
const (
	PathMembers  = "/v1/cluster/members"
	PathTokens   = "/v1/cluster/tokens"
	PathStepDown = "/v1/cluster/step-down"
	PathDrain    = "/v1/cluster/drain"
	PathLeave    = "/v1/cluster/leave"
	PathRekey    = "/v1/cluster/rekey"
)

// ClusterMember is a node of the cluster, as the node that is asked sees it.
type ClusterMember struct {
	Name    string `json:"name"`
	Address string `json:"address"` // of its peer port
	Role    string `json:"role"`    // leader, voter, or newcomer: it has no vote yet
	Self    bool   `json:"self"`    // it is the one that was asked
	// Known: it has said something of itself to the asked node since that has run; what
	// follows is of then, but for Reached.
	Known      bool   `json:"known"`
	LagEntries uint64 `json:"lag_entries"` // of the log that it has not applied yet
	// Reached is when it was last heard of.
	Reached     time.Time `json:"reached,omitzero"`
	Version     string    `json:"version,omitempty"`
	URL         string    `json:"url,omitempty"`        // of its API
	Certificate time.Time `json:"certificate,omitzero"` // until then
	HoldsCAKey  bool      `json:"holds_ca_key"`
	Drained     bool      `json:"drained"`
	Level       uint64    `json:"level,omitempty"` // the highest that its program can do; missing: it did not say
	HoldsLevel  bool      `json:"holds_level,omitempty"`
	// Disk is the room in its data folder; nil: it did not say.
	Disk *DiskStatus `json:"disk,omitempty"`
}

// The roles of a ClusterMember.
const (
	RoleLeader   = "leader"
	RoleVoter    = "voter"
	RoleNewcomer = "newcomer"
)

// TokenRequest is the body of POST /v1/cluster/tokens. Listen and Advertise open the
// peer port of a node that is alone and has none yet.
type TokenRequest struct {
	ForMS     int64  `json:"for_ms"`
	By        string `json:"by,omitempty"`
	Listen    string `json:"listen,omitempty"`    // host:port
	Advertise string `json:"advertise,omitempty"` // host:port; Listen where it is left out
}

// JoinToken lets one machine into the cluster.
type JoinToken struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
	Cluster string    `json:"cluster"`
}

// RemoveRequest is the body of POST /v1/cluster/members/{id}/remove.
type RemoveRequest struct {
	By    string `json:"by,omitempty"`
	Note  string `json:"note,omitempty"`
	Force bool   `json:"force,omitempty"` // though no majority would be left
}

// RekeyRequest is the body of POST /v1/cluster/rekey.
type RekeyRequest struct {
	By   string `json:"by,omitempty"`
	Note string `json:"note"` // why
	// OverlapMS is how long clients have that trust the old CA only; at least a second, at
	// most 400 days.
	OverlapMS int64 `json:"overlap_ms"`
	// CutOff: also within the overlap of the last one, of which clients may trust the first
	// CA only.
	CutOff bool `json:"cut_off,omitempty"`
}

// Replacement is how far the replacement of the site's CA is, as the node that is asked
// knows it.
type Replacement struct {
	Fingerprint string    `json:"fingerprint"` // of the new CA's certificate
	Since       time.Time `json:"since"`
	Until       time.Time `json:"until"` // clients that trust the old CA only are served until then
	// Over is since when the old CA is not trusted among nodes any more; zero: it is.
	Over time.Time `json:"over,omitzero"`
	// Waiting are the members that have no certificate by the new CA yet, and Keyless the
	// voters that do not hold its key.
	Waiting []string `json:"waiting,omitempty"`
	Keyless []string `json:"keyless,omitempty"`
	// Left are members that had none when it was over: they come back by a join token only.
	Left []string `json:"left,omitempty"`
}

// SteppedDown answers POST /v1/cluster/step-down.
type SteppedDown struct {
	From string `json:"from"`         // led until then
	To   string `json:"to,omitempty"` // leads now, if that is known already
}

// DrainRequest is the body of POST /v1/cluster/drain.
type DrainRequest struct {
	Node   string `json:"node,omitempty"` // whichever member; the one that is asked where it is left out
	OverMS int64  `json:"over_ms"`        // how long to take for sending the clients elsewhere
	Note   string `json:"note,omitempty"` // why; on the operator's socket it may be left out
}

// StepDownRequest is the body of POST /v1/cluster/step-down.
type StepDownRequest struct {
	Note string `json:"note,omitempty"` // as of DrainRequest
}

// LeaveRequest is the body of POST /v1/cluster/leave.
type LeaveRequest struct {
	Note string `json:"note,omitempty"` // as of DrainRequest
}
