package cloudapi

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// Usage that somebody carries, for a site without a link: files of UsageRecords as JSON, one a line, each with a UsageManifest that the site
// has signed; and for each a UsageFileReceipt that the vendor has signed.

// Signed is a document with a signature over its very bytes, and over what it is: KindManifest or KindReceipt.
type Signed struct {
	Document  []byte `json:"document"`  // JSON
	Signature []byte `json:"signature"` // ECDSA (ASN.1) or PKCS #1 v1.5 with SHA-256, or Ed25519
	// Certificates are that of the key and those that vouch for it, in DER; none where the other side knows the key.
	Certificates [][]byte `json:"certificates,omitempty"`
}

// What a signed document is. It is part of what is signed, so that none is taken for another.
const (
	KindManifest = "sitegate usage manifest 1"
	KindReceipt  = "sitegate usage receipt 1"
)

// UsageManifest says what a file of usage records is. Number grows by one from file to file, and After is where the file before ended:
// so a file that is missing is noticed.
type UsageManifest struct {
	Site     string    `json:"site"` // the cluster's id
	Epoch    uint64    `json:"epoch"`
	Number   uint64    `json:"number"`
	File     string    `json:"file"` // its name
	After    uint64    `json:"after"`
	Through  uint64    `json:"through"`
	Records  uint64    `json:"records"`
	SHA256   string    `json:"sha256"` // of the file, in hexadecimal
	MadeAt   time.Time `json:"made_at"`
	MadeBy   string    `json:"made_by"`
	Node     string    `json:"node"`
	Products []string  `json:"products,omitempty"`
}

// UsageFileReceipt says that the cloud has a file of usage records: all of them, but for those it refuses.
type UsageFileReceipt struct {
	Site       string        `json:"site"`
	Number     uint64        `json:"number"`
	SHA256     string        `json:"sha256"`
	Accepted   int           `json:"accepted"`
	Duplicates int           `json:"duplicates"` // of those, that it had before
	Refused    []RefusedLine `json:"refused,omitempty"`
	At         time.Time     `json:"at"`
}

// RefusedLine is a record of a file that the cloud will not take.
type RefusedLine struct {
	ID     string `json:"id"`
	Detail string `json:"detail"`
}

// ErrSignature says that a document is not what it says it is, or not from whom.
var ErrSignature = errors.New("its signature does not hold: it was changed, or is not from who should have signed it")

func signedBytes(kind string, document []byte) []byte {
	return append([]byte(kind+"\n"), document...)
}

// Sign signs a document that is made of v.
func Sign(kind string, v any, key crypto.Signer, certificates ...[]byte) (Signed, error) {
	doc, err := json.Marshal(v)
	if err != nil {
		return Signed{}, err
	}
	s := Signed{Document: doc, Certificates: certificates}
	text := signedBytes(kind, doc)
	if _, whole := key.Public().(ed25519.PublicKey); whole {
		s.Signature, err = key.Sign(rand.Reader, text, crypto.Hash(0))
		return s, err
	}
	sum := sha256.Sum256(text)
	s.Signature, err = key.Sign(rand.Reader, sum[:], crypto.SHA256)
	return s, err
}

// Open checks a document's signature and reads it into v. Unknown fields are passed over.
func (s *Signed) Open(kind string, key crypto.PublicKey, v any) error {
	text := signedBytes(kind, s.Document)
	sum := sha256.Sum256(text)
	ok := false
	switch k := key.(type) {
	case ed25519.PublicKey:
		ok = ed25519.Verify(k, text, s.Signature)
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(k, sum[:], s.Signature)
	case *rsa.PublicKey:
		ok = rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], s.Signature) == nil
	}
	if !ok {
		return ErrSignature
	}
	if err := json.Unmarshal(s.Document, v); err != nil {
		return fmt.Errorf("reading what was signed: %w", err)
	}
	return nil
}

// PublicKey reads a public key, or that of a certificate, in PEM form.
func PublicKey(data []byte) (crypto.PublicKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("it holds nothing in PEM form")
	}
	if block.Type == "CERTIFICATE" {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate: %w", err)
		}
		return c.PublicKey, nil
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the public key: %w", err)
	}
	return key, nil
}
