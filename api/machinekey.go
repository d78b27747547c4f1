package api

import "time"

// The kinds of tokens that a machine signs itself, with the key it goes by: JWTs in
// compact form, by EdDSA (Ed25519) or ES256, with the public key in their header (jwk).
// KeyProofType accompanies an access token once: mid is the machine's id, host the computer that holds the
// key where that is another, ath the SHA-256 of the access token in base64url.
// SessionTokenType stands in an access token's place after that: sub is the user, mid and
// host as above, aud the site's id (MachineKey.Cluster), iat, exp and jti; exp is at most
// SessionTokenLife after iat.
const (
	KeyProofType     = "sitegate-key+jwt"
	SessionTokenType = "sitegate-session+jwt"
	SessionTokenLife = 10 * time.Minute
)

// KeyRequest is the body of POST /v1/machine-key, which is asked with an access token:
// from then on the machine goes by the key, and the session tokens that it signs itself
// are taken in an access token's place.
type KeyRequest struct {
	Machine Machine `json:"machine"`
	// Host is the name of the computer that holds the key, where the user has come there
	// from the machine, as to a multi-user server; empty: the machine itself.
	Host string `json:"host,omitempty"`
	// Proof is a KeyProofType, signed with the key.
	Proof string `json:"proof"`
}

// MachineKey is what a machine must know to go on by its key.
type MachineKey struct {
	User    string `json:"user"`    // sub of its session tokens
	Cluster string `json:"cluster"` // aud of its session tokens
	// Until is how long something new can be started by the key alone, counted from this
	// sign-in. What runs is renewed after that, too.
	Until time.Time `json:"until"`
	Time  time.Time `json:"time"` // at the gateway, which the tokens' times are judged by
}

// ForgetKeyRequest is the body of POST /v1/users/{id}/forget-key: another key may take the
// place of the one that the machine has shown, whatever is open on it.
type ForgetKeyRequest struct {
	Machine Machine `json:"machine"`
	By      string  `json:"by,omitempty"`
	Note    string  `json:"note,omitempty"`
}
