package api

import "time"

// The paths of what is a node's own.
const (
	PathNodeSettings = "/v1/node/settings"
	PathDoctor       = "/v1/node/doctor"
	PathSiteAudit    = "/v1/site/audit"
)

// NodeSetting is a key of a node's configuration. Secrets are files, and only those are
// named.
type NodeSetting struct {
	Key   string `json:"key"`
	Value string `json:"value,omitempty"` // empty: it is not set
	From  string `json:"from"`            // default, or the file, the environment or the flag that it is set by
	// Reload: a change is taken by a reload. Else it waits for a restart.
	Reload bool `json:"reload"`
}

// DoctorReport is what was found on a node's way out.
type DoctorReport struct {
	At       time.Time         `json:"at"`
	Version  string            `json:"version"`
	Config   string            `json:"config"` // the file
	Node     string            `json:"node"`
	Running  bool              `json:"running"` // the node answers
	Checks   []DoctorCheck     `json:"checks"`
	Firewall []FirewallOpening `json:"firewall"`
}

// The states of a DoctorCheck.
const (
	CheckPass = "PASS"
	CheckWarn = "WARN" // it works, and may not go on to
	CheckFail = "FAIL"
	CheckSkip = "SKIP" // not tried, or not needed
)

// DoctorCheck is one step and what it found.
type DoctorCheck struct {
	Step   string `json:"step"`
	Of     string `json:"of,omitempty"` // the proxy, the destination, or both
	State  string `json:"state"`
	Code   string `json:"code,omitempty"` // of a failure
	Found  string `json:"found"`
	Action string `json:"action,omitempty"` // what to do, and who
}

// FirewallOpening is a row for the firewall or proxy team.
type FirewallOpening struct {
	Source      string `json:"source"`
	Destination string `json:"destination"` // host:port
	Protocol    string `json:"protocol"`
	Purpose     string `json:"purpose"`
}

// SiteAuditList is a page of the audit trail, newest first.
type SiteAuditList struct {
	Items []AuditRecord `json:"items"`
	Next  string        `json:"next,omitempty"` // for before
	Trail AuditTrail    `json:"trail"`
}

// PathReload has a node read its configuration anew (POST, answered with a Reloaded).
const PathReload = "/v1/reload"

// Reloaded is what a node goes by since it has read its configuration anew.
type Reloaded struct {
	Proxies []string `json:"proxies"`          // the names of the ways out
	PAC     string   `json:"pac,omitempty"`    // where the PAC file is; empty: there is none
	Direct  bool     `json:"direct,omitempty"` // without a proxy, where no other way is set
	// Modes: what is enforced of relayed traffic has changed in this node's file. The site goes
	// by that of the node that leads.
	Modes bool     `json:"modes,omitempty"`
	Waits []string `json:"waits,omitempty"` // settings that have changed and wait for a restart
}
