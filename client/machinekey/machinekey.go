// Package machinekey is the key that a machine goes by at a gateway: made once, kept
// where only its user can read it, and never sent anywhere. What is sent is what it has
// signed.
//
// A key is a crypto.Signer, Ed25519 or ECDSA on P-256; whatever implements that interface
// will do. A Store makes one in a platform's keystore, where it has one (package
// sitegate/client/tpmkey is that of a TPM), and else in a file.
package machinekey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	"sitegate/api"
)

// Session is what a session token says.
type Session struct {
	User    string
	Cluster string
	Machine string    // its id
	Host    string    // that holds the key, where that is another computer
	At      time.Time // the gateway's
}

// Token signs a session token, and says how long it lasts.
func (s Session) Token(key crypto.Signer) (token string, life time.Duration, _ error) {
	token, err := sign(key, api.SessionTokenType, map[string]any{"sub": s.User, "aud": s.Cluster, "mid": s.Machine, "host": s.Host,
		"iat": s.At.Unix(), "exp": s.At.Add(api.SessionTokenLife).Unix(), "jti": rand.Text()})
	return token, api.SessionTokenLife, err
}

// Prove signs that the key is the machine's whose user has the access token.
func Prove(key crypto.Signer, machine, host, access string) (string, error) {
	digest := sha256.Sum256([]byte(access))
	return sign(key, api.KeyProofType, map[string]any{"mid": machine, "host": host, "ath": encode(digest[:])})
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// sign makes a JWT in compact form (RFC 7515) with the public key in its header.
func sign(key crypto.Signer, typ string, claims map[string]any) (string, error) {
	alg, jwk, err := public(key)
	if err != nil {
		return "", err
	}
	header, err := json.Marshal(map[string]any{"alg": alg, "typ": typ, "jwk": jwk})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := encode(header) + "." + encode(payload)
	sig, err := signature(key, []byte(text))
	if err != nil {
		return "", fmt.Errorf("signing with the machine's key: %w", err)
	}
	return text + "." + encode(sig), nil
}

// public is the algorithm of a key, and the key as a JWK (RFC 7517, RFC 8037).
func public(key crypto.Signer) (alg string, jwk map[string]string, _ error) {
	switch k := key.Public().(type) {
	case ed25519.PublicKey:
		return "EdDSA", map[string]string{"kty": "OKP", "crv": "Ed25519", "x": encode(k)}, nil
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			break
		}
		b, err := k.Bytes() // 4, x, y
		if err != nil {
			return "", nil, err
		}
		return "ES256", map[string]string{"kty": "EC", "crv": "P-256", "x": encode(b[1:33]), "y": encode(b[33:])}, nil
	}
	return "", nil, errors.New("a machine's key is Ed25519, or ECDSA on P-256")
}

// signature is that of JWS (RFC 7518, 3.4): of ECDSA the two numbers side by side.
func signature(key crypto.Signer, text []byte) ([]byte, error) {
	if _, ok := key.Public().(ed25519.PublicKey); ok {
		return key.Sign(rand.Reader, text, crypto.Hash(0))
	}
	digest := sha256.Sum256(text)
	der, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil {
		return nil, err
	}
	sig := make([]byte, 64)
	rs.R.FillBytes(sig[:32])
	rs.S.FillBytes(sig[32:])
	return sig, nil
}
