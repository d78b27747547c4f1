package api

import "time"

// PathTrust lists whose keys the site goes by; keys that are held back are accepted below it.
const PathTrust = "/v1/trust"

// TrustedIssuer is an issuer of sign-ins as the site's nodes see its keys. All keys are
// thumbprints (RFC 7638, SHA-256, base64url).
type TrustedIssuer struct {
	Issuer string `json:"issuer"`
	// Keys are those that the site goes by, and Nodes the nodes that do.
	Keys  []string `json:"keys"`
	Nodes []string `json:"nodes"`
	// Held are the sets that nodes hold back; empty: the issuer lists what it should.
	Held []HeldKeys `json:"held,omitempty"`
}

// HeldKeys is a set of keys that an issuer lists all of a sudden, none of which the site
// knows: they are not believed until somebody accepts them.
type HeldKeys struct {
	Set   string    `json:"set"`   // its digest, by which it is accepted
	Keys  []string  `json:"keys"`  // thumbprints
	Nodes []string  `json:"nodes"` // that see it
	Since time.Time `json:"since"`
	// Accepted: somebody has accepted it, and it is taken in a moment.
	Accepted bool `json:"accepted,omitempty"`
}

// AcceptKeysRequest accepts a set of keys that is held back.
type AcceptKeysRequest struct {
	Issuer string `json:"issuer"`
	Set    string `json:"set"` // the digest that was shown
	By     string `json:"by,omitempty"`
	Note   string `json:"note,omitempty"`
}
