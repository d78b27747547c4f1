package emulator

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"sitegate/upstream/cloudapi"
)

// policyKey is what the cloud signs policies with. Nobody else has it.
type policyKey struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

func newPolicyKey() *policyKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	now := time.Now()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "Emulated Policy Signing " + rand.Text()[:6]},
		NotBefore: now.AddDate(0, 0, -30), NotAfter: now.AddDate(2, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err == nil {
		c, err = x509.ParseCertificate(der)
	}
	if err != nil {
		panic(err) // nothing in it comes from outside
	}
	return &policyKey{key, c}
}

// signs is the key that is in force. The caller holds the lock.
func (d *desktops) signs() *policyKey {
	if d.key == nil {
		d.key = newPolicyKey()
	}
	return d.key
}

// RotatePolicyKey makes the cloud sign policies with a new key, and give out its certificate.
func (e *Emulator) RotatePolicyKey() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.desktops.key = newPolicyKey()
}

// PolicyCertificate is the certificate that policies are signed with.
func (e *Emulator) PolicyCertificate() *x509.Certificate {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.desktops.signs().cert
}

func (e *Emulator) signingCertificate(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, base64.StdEncoding.EncodeToString(e.PolicyCertificate().Raw))
}

// token signs a policy, as the terms have it. The caller holds the lock.
func (d *desktops) token(p cloudapi.Policy, from, until time.Time) (string, error) {
	k := d.signs()
	if d.terms.WrongKey {
		if d.other == nil {
			d.other = newPolicyKey()
		}
		k = d.other
	}
	doc, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{
		"iss": cloudapi.PolicyIssuer, "aud": cloudapi.AppliesTo, "nbf": from.Unix(), "exp": until.Unix(),
		cloudapi.ClaimPolicy: base64.StdEncoding.EncodeToString(doc),
	})
	if err != nil {
		return "", err
	}
	thumb := sha1.Sum(d.signs().cert.Raw)
	opts := (&jose.SignerOptions{}).WithType("JWT").WithHeader("x5t", base64.RawURLEncoding.EncodeToString(thumb[:]))
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: k.key}, opts)
	if err != nil {
		return "", err
	}
	signed, err := s.Sign(claims)
	if err != nil {
		return "", err
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		return "", err
	}
	d.given++
	if d.terms.Short {
		return token[:len(token)/2], nil
	}
	if d.terms.Altered {
		return alter(token, p)
	}
	return token, nil
}

// alter is a token with another policy in it, and the signature of what it was.
func alter(token string, p cloudapi.Policy) (string, error) {
	parts := strings.Split(token, ".")
	var claims map[string]any
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(body, &claims)
	}
	if err != nil {
		return "", err
	}
	p.PolicyID += "0"
	doc, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	claims[cloudapi.ClaimPolicy] = base64.StdEncoding.EncodeToString(doc)
	if body, err = json.Marshal(claims); err != nil {
		return "", err
	}
	parts[1] = base64.RawURLEncoding.EncodeToString(body)
	return strings.Join(parts, "."), nil
}
