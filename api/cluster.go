package api

import "time"

// The paths of what an operator does about the nodes, on the operator's socket.
const (
	PathMembers  = "/v1/cluster/members"
	PathTokens   = "/v1/cluster/tokens"
	PathStepDown = "/v1/cluster/step-down"
	PathDrain    = "/v1/cluster/drain"
	PathLeave    = "/v1/cluster/leave"
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
	By        string `json:"by"`
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
	By    string `json:"by"`
	Note  string `json:"note,omitempty"`
	Force bool   `json:"force,omitempty"` // though no majority would be left
}

// SteppedDown answers POST /v1/cluster/step-down.
type SteppedDown struct {
	From string `json:"from"`         // led until then
	To   string `json:"to,omitempty"` // leads now, if that is known already
}

// DrainRequest is the body of POST /v1/cluster/drain.
type DrainRequest struct {
	OverMS int64 `json:"over_ms"` // how long to take for sending the clients elsewhere
}
