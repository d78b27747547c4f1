package cloudapi

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ClaimPolicy is the claim of a token that holds the policy: base64 of its JSON.
const ClaimPolicy = "http://schemas.bentley.com/ws/2011/03/identity/claims/policy"

// PolicyIssuer is who signs policies, in the token.
const PolicyIssuer = "http://policyservice.bentley.com"

// minPolicyKey is the smallest RSA key, in bits, that a signature is believed of.
const minPolicyKey = 2048

// SignedPolicy is a policy as the vendor has signed it: a JWT with RS256. It was taken apart and nothing more; Verify says whether it is the
// vendor's.
type SignedPolicy struct {
	Token     string // byte for byte
	Issuer    string
	NotBefore time.Time
	Expires   time.Time
	Policy    Policy

	signed    []byte // what the signature is over
	signature []byte
}

// ReadPolicyAnswer reads what GetPolicy answers: a JSON string with a token.
func ReadPolicyAnswer(body []byte) (*SignedPolicy, error) {
	if text := bytes.Trim(body, " \t\r\n"); len(text) > 1 && len(body) <= MaxPolicy && isTokenInQuotes(text) {
		return ReadPolicyToken(string(text[1 : len(text)-1])) // as nearly all are
	}
	var token string
	if err := readJSON(body, MaxPolicy, &token); err != nil {
		return nil, fmt.Errorf("reading an answer with a policy: %w", err)
	}
	return ReadPolicyToken(token)
}

// ReadPolicyToken takes a token apart.
func ReadPolicyToken(token string) (*SignedPolicy, error) {
	if len(token) > MaxPolicy {
		return nil, fmt.Errorf("a policy's token is larger than %d bytes", MaxPolicy)
	}
	parts := strings.SplitN(token, ".", 4) // more are too many
	if len(parts) != 3 {
		return nil, errors.New("a policy's token has not three parts")
	}
	part := func(i int) ([]byte, error) { return base64.RawURLEncoding.Strict().DecodeString(parts[i]) }
	var head struct {
		Algorithm string `json:"alg"`
		Critical  []any  `json:"crit"`
	}
	var body struct {
		Issuer    string `json:"iss"`
		NotBefore int64  `json:"nbf"`
		Expires   int64  `json:"exp"`
		Policy    string `json:"http://schemas.bentley.com/ws/2011/03/identity/claims/policy"`
	}
	var policy string
	for i, into := range []any{&head, &body} {
		data, err := part(i)
		if err == nil && i == 1 {
			data, policy = withoutText(data, ClaimPolicy)
		}
		if err == nil {
			err = readJSON(data, MaxPolicy, into)
		}
		if err != nil {
			return nil, fmt.Errorf("reading part %d of a policy's token: %w", i+1, err)
		}
	}
	if head.Algorithm != "RS256" || head.Critical != nil {
		return nil, fmt.Errorf("a policy's token is signed with %.20q, and only RS256 is known", head.Algorithm)
	}
	s := &SignedPolicy{Token: token, Issuer: body.Issuer, NotBefore: time.Unix(body.NotBefore, 0).UTC(), Expires: time.Unix(body.Expires, 0).UTC(),
		signed: []byte(token[:len(parts[0])+1+len(parts[1])])}
	var err error
	if s.signature, err = part(2); err != nil {
		return nil, fmt.Errorf("reading the signature of a policy's token: %w", err)
	}
	doc, err := base64.StdEncoding.DecodeString(cmp.Or(policy, body.Policy))
	if err != nil {
		return nil, fmt.Errorf("reading the policy in a token: %w", err)
	}
	if s.Policy, err = readPolicy(doc); err != nil {
		return nil, fmt.Errorf("reading the policy in a token: %w", err)
	}
	if s.Policy.PolicyID == "" {
		return nil, errors.New("the policy in a token has no id")
	}
	return s, nil
}

// Verify says whether the holder of the certificate's key has signed the policy: nil, or an error that is ErrSignature. It says nothing of dates.
func (s *SignedPolicy) Verify(cert *x509.Certificate) error {
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok || key.N.BitLen() < minPolicyKey {
		return fmt.Errorf("%w: the certificate has no RSA key of %d bits or more", ErrSignature, minPolicyKey)
	}
	sum := sha256.Sum256(s.signed)
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], s.signature) != nil {
		return ErrSignature
	}
	return nil
}

// ReadCertificateAnswer reads what PathSigningCertificate answers: a JSON string with base64 of a certificate's DER.
func ReadCertificateAnswer(body []byte) (*x509.Certificate, error) {
	var text string
	if err := readJSON(body, MaxSOAP, &text); err != nil {
		return nil, fmt.Errorf("reading an answer with a certificate: %w", err)
	}
	return readCertificate(text)
}

func readCertificate(text string) (*x509.Certificate, error) {
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("reading a certificate: %w", err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading a certificate: %w", err)
	}
	return c, nil
}

// CheckoutFile is a .belic file: a policy that is a checkout, and the certificate that is said to have signed it. Who gives the file gives both, so
// that a signature by that certificate alone proves nothing.
type CheckoutFile struct {
	Policy      *SignedPolicy
	Certificate *x509.Certificate
}

// ReadCheckoutFile reads a .belic file: two lines, the token and base64 of the certificate's DER.
func ReadCheckoutFile(data []byte) (CheckoutFile, error) {
	if len(data) > MaxPolicy {
		return CheckoutFile{}, fmt.Errorf("a checkout file is larger than %d bytes", MaxPolicy)
	}
	lines := bytes.Split(bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff"))), []byte("\n"))
	if len(lines) != 2 {
		return CheckoutFile{}, fmt.Errorf("a checkout file has two lines, and this has %d", len(lines))
	}
	p, err := ReadPolicyToken(string(bytes.TrimSpace(lines[0])))
	if err != nil {
		return CheckoutFile{}, err
	}
	c, err := readCertificate(string(bytes.TrimSpace(lines[1])))
	return CheckoutFile{p, c}, err
}

// Bytes is the file.
func (f CheckoutFile) Bytes() []byte {
	return []byte(f.Policy.Token + "\n" + base64.StdEncoding.EncodeToString(f.Certificate.Raw))
}
