package desktop

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// policyClaim is where a token has its policy.
const policyClaim = "http://schemas.bentley.com/ws/2011/03/identity/claims/policy"

// Kinds of access in an ACL.
const (
	allowed      = 1
	denied       = 3
	trialExpired = 4
)

// Policy is a policy document as far as the client looks at it.
type Policy struct {
	PolicyID          string `json:"PolicyId"`
	PolicyExpiresOn   moment
	RequestData       RequestData
	ACLs              []ACL
	SecurableData     []Securable
	UserData          UserData
	DefaultQualifiers []Qualifier
}

// RequestData is what was asked for.
type RequestData struct {
	MachineSID, MachineName, UserID, AccessKey string
	ClientDateTime, Locale, AppliesTo          string
	RequestedSecurables                        []Requested
}

// Requested is a product that was asked for. Its version is misspelled in some policies.
type Requested struct {
	ProductID  text   `json:"ProductId"`
	Feature    string `json:"FeatureString"`
	Version    string `json:"Version"`
	Misspelled string `json:"Vesrion,omitempty"`
}

// ACL lets a principal have something, or not.
type ACL struct {
	PrincipalID, SecurableID string
	AccessKind               int
	ExpiresOn                moment
	QualifierOverrides       []Qualifier
}

// Securable is a product with a feature.
type Securable struct {
	SecurableID        string
	ProductID          text `json:"ProductId"`
	ProductName        string
	FeatureString      string
	QualifierOverrides []Qualifier
}

// UserData is whom a policy is for.
type UserData struct {
	UserID, OrganizationID, UsageCountryISO string
	UltimateSAPID                           text `json:"UltimateSAPId"`
	UltimateID, UltimateCountryID           string
}

// Qualifier is a setting, with what the user is told of it.
type Qualifier struct{ Name, Value, Prompt string }

// text is a string or a number.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(t))
	}
	if string(b) != "null" {
		*t = text(b)
	}
	return nil
}

// moment is a time with or without a zone, which is UTC then; zero: none.
type moment struct{ time.Time }

func (m *moment) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil || s == "" {
		return err
	}
	var err error
	if m.Time, err = time.Parse(time.RFC3339Nano, s); err != nil {
		m.Time, err = time.Parse("2006-01-02T15:04:05.999999999", s)
	}
	return err
}

// unquote takes a body that is a JSON string apart, and leaves another as it is.
func unquote(body []byte) string {
	var s string
	if json.Unmarshal(body, &s) != nil {
		s = string(body)
	}
	return strings.TrimSpace(s)
}

// openPolicy reads a token, which is signed with the key of a certificate (DER in base64).
func openPolicy(token, certificate string) (*Policy, error) {
	der, err := base64.StdEncoding.DecodeString(certificate)
	if err != nil {
		return nil, fmt.Errorf("the certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("the certificate's key is not RSA")
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("the token has no three parts")
	}
	var head struct{ Alg string }
	if err := decodePart(parts[0], &head); err != nil || head.Alg != "RS256" {
		return nil, fmt.Errorf("the token is signed with %q (%v)", head.Alg, err)
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature); err != nil {
		return nil, err
	}
	var claims map[string]json.RawMessage
	if err := decodePart(parts[1], &claims); err != nil {
		return nil, err
	}
	document, err := base64.StdEncoding.DecodeString(unquote(claims[policyClaim]))
	if err != nil {
		return nil, err
	}
	var p Policy
	if err := json.Unmarshal(document, &p); err != nil {
		return nil, err
	}
	return &p, nil
}

func decodePart(part string, v any) error {
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// securable is the product in a policy; nil: it is not there.
func (p *Policy) securable(want Product) *Securable {
	for i, s := range p.SecurableData {
		if string(s.ProductID) == want.ID && s.FeatureString == want.Feature {
			return &p.SecurableData[i]
		}
	}
	return nil
}

// acl is the first that speaks of the product; nil: none does.
func (p *Policy) acl(want Product) *ACL {
	s := p.securable(want)
	if s == nil {
		return nil
	}
	for i, a := range p.ACLs {
		if a.SecurableID == s.SecurableID {
			return &p.ACLs[i]
		}
	}
	return nil
}

// qualifier looks a setting up: of the ACL, of the product, of all.
func (p *Policy) qualifier(want Product, name string) (Qualifier, bool) {
	var lists [][]Qualifier
	if a := p.acl(want); a != nil {
		lists = append(lists, a.QualifierOverrides)
	}
	if s := p.securable(want); s != nil {
		lists = append(lists, s.QualifierOverrides)
	}
	for _, list := range append(lists, p.DefaultQualifiers) {
		if i := slices.IndexFunc(list, func(q Qualifier) bool { return q.Name == name }); i >= 0 {
			return list[i], true
		}
	}
	return Qualifier{}, false
}

// number is a setting that is a number, or what the client was built with.
func (p *Policy) number(want Product, name string, otherwise int) int {
	q, _ := p.qualifier(want, name)
	if n, err := strconv.Atoi(q.Value); err == nil {
		return n
	}
	return otherwise
}

func (p *Policy) allowsOffline(want Product) bool {
	q, _ := p.qualifier(want, "AllowOfflineUsage")
	return strings.EqualFold(q.Value, "TRUE")
}

// valid reports whether a policy hangs together: it says whom it is for, and its ACLs speak of them.
func (p *Policy) valid() bool {
	u := p.UserData
	if p.RequestData.UserID == "" && p.RequestData.AccessKey == "" || u.UserID == "" && p.RequestData.AccessKey == "" {
		return false
	}
	return !slices.ContainsFunc(p.ACLs, func(a ACL) bool {
		return a.PrincipalID == "" || !slices.Contains([]string{u.UserID, u.OrganizationID, u.UltimateID, u.UltimateCountryID}, a.PrincipalID)
	})
}

// decide is what a policy means for a product. began is when the days without an answer began; zero: they have not.
func decide(p *Policy, want Product, began, now time.Time) Status {
	switch {
	case p == nil:
		return NotEntitled
	case !now.Before(p.PolicyExpiresOn.Time):
		return Expired
	case !p.valid():
		return DisabledByPolicy
	}
	a := p.acl(want)
	usage, _ := p.qualifier(want, "UsageType")
	switch {
	case a == nil:
		return NotEntitled
	case a.AccessKind == denied:
		return AccessDenied
	case a.AccessKind == trialExpired:
		return Expired
	case usage.Value == "Trial" && !now.Before(a.ExpiresOn.Time):
		return Expired
	case usage.Value == "Trial":
		return Trial
	case began.IsZero():
		return Ok
	case !p.allowsOffline(want):
		return DisabledByPolicy
	case now.Sub(began) < time.Duration(p.number(want, "OfflineDuration", 7))*24*time.Hour:
		return Offline
	}
	return Expired
}
