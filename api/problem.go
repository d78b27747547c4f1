package api

import "time"

// ProblemBase is what every problem type begins with; the rest is its code, which
// is stable: "about" documents are not served there, the URI is a name.
const ProblemBase = "https://sitegate.dev/problems/"

// ProblemType is the media type of a Problem (RFC 9457).
const ProblemType = "application/problem+json"

// The codes that are no denial of the rules.
const (
	CodeNoQuorum     = "no-quorum"           // 503: most nodes of the cluster cannot be reached
	CodeUnknown      = "outcome-unknown"     // 503: ask again with the same id
	CodeNotReady     = "not-ready"           // 503: the site has not read its licenses yet
	CodeDiverged     = "state-diverged"      // 503: the nodes do not agree, and nothing new is granted
	CodeDiskLow      = "disk-low"            // 503: the disk is nearly full, and nothing new is granted
	CodeCloud        = "cloud-unreachable"   // 503: the vendor's cloud was to be asked now, and does not answer
	CodeUnauthorized = "unauthorized"        // 401: no token, or one that does not hold
	CodeForbidden    = "forbidden"           // 403
	CodeNotFound     = "not-found"           // 404: no such path
	CodeMethod       = "method"              // 405
	CodeTooLarge     = "too-large"           // 413
	CodeMediaType    = "media-type"          // 415
	CodeMalformed    = "malformed"           // 400: not the JSON this path takes
	CodeTooMany      = "too-many"            // 429
	CodeReplaced     = "replaced"            // 409: the same instance of this client has connected again
	CodeCluster      = "cluster"             // 409: the nodes are not such that this could be done
	CodeNoBackup     = "no-backup"           // 503, 409 where this node cannot: no backup can be made
	CodeUsage        = "usage"               // 409: what was asked about usage that somebody carries cannot be done
	CodeSettings     = "wrong-configuration" // 422: the node goes on by the one it has
	CodeChanged      = "changed"             // 409: what would be done is not what was shown
	CodeInternal     = "internal"            // 500: its text is in the log under the request id
)

// Problem is an error or a denial as RFC 9457 shapes it. For denials the code is
// the reason of the rules ("machine-active") and the status is 409, 403 for
// not-assigned, 404 for what is not there, 503 for cloud-needed.
type Problem struct {
	Type      string   `json:"type"` // ProblemBase + Code
	Title     string   `json:"title"`
	Status    int      `json:"status"`
	Detail    string   `json:"detail"` // a sentence for the person at the desktop
	Code      string   `json:"code"`
	Next      []string `json:"next,omitempty"` // what they can do
	RequestID string   `json:"request_id"`

	Product string `json:"product,omitempty"`
	License string `json:"license,omitempty"`
	// Machine is the name of the active machine; left out for clients that do not
	// show it (R7).
	Machine string    `json:"machine,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	By      string    `json:"by,omitempty"`   // session or checkout
	Until   time.Time `json:"until,omitzero"` // when waiting helps, or the latest end
	// User is whom an administrator's request is about: who holds the license, or was
	// to get it.
	User string `json:"user,omitempty"`
	Note string `json:"note,omitempty"` // what the administrator said who blocked
	// Contacts are whom to ask (R23), with denials.
	Contacts []Administrator `json:"contacts,omitempty"`
	// RetryAfterMS repeats the Retry-After header in milliseconds.
	RetryAfterMS int64 `json:"retry_after_ms,omitempty"`
}
