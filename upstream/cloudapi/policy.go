package cloudapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The vendor's policy service: a client says who it is, on which machine and for what, and gets a policy that the vendor has signed
// (imodel-native, LicensingCrossPlatform). Paths are relative to the service's address, which discovery names; DefaultPolicyPath is what it was in 2020.
const (
	DefaultPolicyPath = "/Bentley.Entitlement.PolicyService/PolicySvcWebApi/api"

	PathGetPolicy              = "/GetPolicy"                     // POST PolicyRequest: a JSON string, the token
	PathGetPolicyWithAccessKey = "/GetPolicyWithAccessKey"        // the same for servers, which have a key and no user
	PathSigningCertificate     = "/PolicyTokenSigningCertificate" // GET: a JSON string, the certificate as base64 of its DER

	MaxPolicyRequest = 256 << 10 // bytes
	MaxPolicy        = 2 << 20   // bytes of an answer with a policy
	MaxSecurables    = 256       // in a request

	AppliesTo = "https://entitlement-search.bentley.com/" // what clients ask for
)

// ProductID is a product's number. Requests have it as text or as a number, which may be filled up with zeros; policies have a number.
type ProductID string

// UnmarshalJSON takes a number without fraction, or text. However a number is written, it is read as its digits: two spellings are one product.
func (p *ProductID) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	if !bytes.HasPrefix(b, []byte(`"`)) {
		if _, err := strconv.ParseUint(string(b), 10, 63); err != nil {
			return fmt.Errorf("%.40s is no product's number", b)
		}
		*p = ProductID(b)
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*p = ProductID(digits(s))
	return nil
}

// digits is a number as a number is written, and other text without what surrounds it.
func digits(s string) string {
	s = strings.TrimSpace(s)
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return s
	}
	if s = strings.TrimLeft(s, "0"); s == "" {
		return "0"
	}
	return s
}

// MarshalJSON writes a number where it is one, otherwise text.
func (p ProductID) MarshalJSON() ([]byte, error) {
	if n, err := strconv.ParseUint(string(p), 10, 63); err == nil && strconv.FormatUint(n, 10) == string(p) {
		return []byte(p), nil
	}
	return json.Marshal(string(p))
}

// Date is a moment in the vendor's notation. Without a zone it is UTC; null and empty are the zero Date.
type Date struct{ time.Time }

// UnmarshalJSON takes RFC 3339, the same without a zone, null and empty text.
func (d *Date) UnmarshalJSON(b []byte) error {
	*d = Date{}
	var s *string
	if err := json.Unmarshal(b, &s); err != nil || s == nil || *s == "" {
		return err
	}
	at, err := parseDate(*s)
	if err != nil {
		return fmt.Errorf("%.40q is no date", *s)
	}
	d.Time = at
	return nil
}

// MarshalJSON writes UTC with milliseconds, and null for the zero Date.
func (d Date) MarshalJSON() ([]byte, error) {
	if d.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(d.UTC().Format("2006-01-02T15:04:05.000Z"))
}

// PolicyRequest asks for a policy. In a policy, it is the request that the policy answers.
type PolicyRequest struct {
	MachineSID          string            `json:"MachineSID,omitempty"`
	AccessKey           string            `json:"AccessKey,omitempty"` // a secret; of GetPolicyWithAccessKey
	UserID              string            `json:"UserId,omitempty"`    // in a policy
	CheckedOutDate      Date              `json:"CheckedOutDate,omitzero"`
	RequestedSecurables []SecurableWanted `json:"RequestedSecurables"`
	MachineName         string            `json:"MachineName"`
	ClientDateTime      string            `json:"ClientDateTime,omitempty"` // the machine's clock, which nothing is decided by
	Locale              string            `json:"Locale,omitempty"`
	AppliesTo           string            `json:"AppliesTo,omitempty"`
	ProjectID           string            `json:"ProjectId,omitempty"`
}

// SecurableWanted is a product, as a client asks for it.
type SecurableWanted struct {
	ProductID ProductID
	Feature   string
	Version   string // in four parts
	// Misspelt: the version's field is written Vesrion, as by a generation of clients and in some policies.
	Misspelt bool
}

type securableWire struct {
	ProductID     ProductID `json:"ProductId"`
	FeatureString string    `json:"FeatureString"`
	Version       *string   `json:"Version,omitempty"`
	Vesrion       *string   `json:"Vesrion,omitempty"`
}

// UnmarshalJSON takes the version under either name; Version counts where there are both.
func (s *SecurableWanted) UnmarshalJSON(b []byte) error {
	var w securableWire
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*s = SecurableWanted{ProductID: w.ProductID, Feature: w.FeatureString}
	switch {
	case w.Version != nil:
		s.Version = *w.Version
	case w.Vesrion != nil:
		s.Version, s.Misspelt = *w.Vesrion, true
	}
	return nil
}

// MarshalJSON writes the version under the name it had.
func (s SecurableWanted) MarshalJSON() ([]byte, error) {
	w := securableWire{ProductID: s.ProductID, FeatureString: s.Feature, Version: &s.Version}
	if s.Misspelt {
		w.Version, w.Vesrion = nil, &s.Version
	}
	return json.Marshal(w)
}

// ReadPolicyRequest reads the body of GetPolicy and GetPolicyWithAccessKey. A field that is given twice is refused.
func ReadPolicyRequest(body []byte) (PolicyRequest, error) {
	r, err := readPolicyRequest(body)
	if err != nil {
		return PolicyRequest{}, fmt.Errorf("reading a request for a policy: %w", err)
	}
	switch {
	case len(r.RequestedSecurables) == 0:
		return PolicyRequest{}, errors.New("a request for a policy names no product (RequestedSecurables)")
	case len(r.RequestedSecurables) > MaxSecurables:
		return PolicyRequest{}, fmt.Errorf("a request for a policy names more than %d products", MaxSecurables)
	case r.MachineName == "":
		return PolicyRequest{}, errors.New("a request for a policy names no machine (MachineName)")
	}
	return r, nil
}

// AccessKind is whether a product may be used.
type AccessKind int

// Access kinds. Maybe lets the product be used; what it waits for is not public.
const (
	AccessNone         AccessKind = 0 // nothing is said of the product
	AccessAllowed      AccessKind = 1
	AccessMaybe        AccessKind = 2
	AccessDenied       AccessKind = 3
	AccessTrialExpired AccessKind = 4
)

// Allows says whether a client starts the product with it. A kind that is not known does: a client that looks only for those that refuse takes it so.
func (k AccessKind) Allows() bool {
	return k != AccessNone && k != AccessDenied && k != AccessTrialExpired
}

// Policy is what the vendor allows one user on one machine.
type Policy struct {
	PolicyID            string        `json:"PolicyId"`
	PolicyVersion       json.Number   `json:"PolicyVersion"`
	CreatedOn           Date          `json:"PolicyCreatedOn"`
	ExpiresOn           Date          `json:"PolicyExpiresOn"`
	RequestData         PolicyRequest `json:"RequestData"`
	MachineSignature    string        `json:"MachineSignature"`
	AppliesToUserID     string        `json:"AppliesToUserId"`
	AppliesToSecurables []string      `json:"AppliesToSecurableIds"`
	ACLs                []ACL         `json:"ACLs"`
	Securables          []Securable   `json:"SecurableData"`
	UserData            UserData      `json:"UserData"`
	MetaData            MetaData      `json:"MetaData"`
	Defaults            []Qualifier   `json:"DefaultQualifiers"`
}

// ACL says what a principal may do with a securable. The principal is the user, the organisation, the ultimate, or that in a country.
type ACL struct {
	PrincipalID string      `json:"PrincipalId"`
	SecurableID string      `json:"SecurableId"`
	AccessKind  AccessKind  `json:"AccessKind"`
	ExpiresOn   Date        `json:"ExpiresOn"`
	Overrides   []Qualifier `json:"QualifierOverrides"`
}

// Securable is a product, or a feature of one.
type Securable struct {
	SecurableID string      `json:"SecurableId"`
	ProductID   ProductID   `json:"ProductId"`
	ProductName string      `json:"ProductName,omitempty"`
	Feature     string      `json:"FeatureString"`
	Version     string      `json:"Version"`
	Overrides   []Qualifier `json:"QualifierOverrides"`
}

// UserData is who the policy is for.
type UserData struct {
	UserID            string `json:"UserId"`
	OrganizationID    string `json:"OrganizationId"`
	Country           string `json:"UsageCountryISO"`
	UltimateID        string `json:"UltimateId"`
	UltimateCountryID string `json:"UltimateCountryId"`
}

// MetaData is of the account.
type MetaData struct {
	SiteName      string `json:"SiteName,omitempty"`
	LicensingMode string `json:"LicensingMode,omitempty"`
}

// Qualifier is one of the terms of use. Its value is text, whatever its type.
type Qualifier struct {
	MessageID string `json:"MessageId,omitempty"`
	Name      string `json:"Name"`
	Value     string `json:"Value"`
	Type      string `json:"Type,omitempty"`
	Prompt    string `json:"Prompt,omitempty"`
}

// Names of qualifiers.
const (
	QualifierHeartbeatInterval    = "HeartbeatInterval"    // minutes between usage records
	QualifierPolicyInterval       = "PolicyInterval"       // minutes between refreshes of the policy
	QualifierTimeToKeepUnSentLogs = "TimeToKeepUnSentLogs" // minutes between postings
	QualifierOfflineDuration      = "OfflineDuration"      // days
	QualifierAllowOfflineUsage    = "AllowOfflineUsage"    // TRUE: a client that cannot ask goes on with the policy it has
	QualifierIsCheckedOut         = "IsCheckedOut"         // true: the policy is a checkout
	QualifierUsageType            = "UsageType"
	QualifierMachineLimitExceeded = "MachineLimitExceeded"
)

// UnmarshalJSON takes values that are no text as they are written: some services send true for "true".
func (q *Qualifier) UnmarshalJSON(b []byte) error {
	var w struct {
		MessageID, Name, Type, Prompt *string
		Value                         json.RawMessage
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	*q = Qualifier{MessageID: text(w.MessageID), Name: text(w.Name), Type: text(w.Type), Prompt: text(w.Prompt)}
	if len(w.Value) > 0 && string(w.Value) != "null" && json.Unmarshal(w.Value, &q.Value) != nil {
		q.Value = string(w.Value)
	}
	return nil
}

// Securable finds the securable of a product and feature; false: the policy says nothing of it.
func (p *Policy) Securable(product ProductID, feature string) (Securable, bool) {
	for _, s := range p.Securables {
		if s.ProductID == product && s.Feature == feature {
			return s, true
		}
	}
	return Securable{}, false
}

// Access is what the policy says of a product and feature. Of several ACLs, and of several securables, the one that allows most counts, since a
// client may go by it.
func (p *Policy) Access(product ProductID, feature string) AccessKind {
	kind := AccessNone
	for _, s := range p.Securables {
		if s.ProductID == product && s.Feature == feature {
			kind = p.most(s, kind)
		}
	}
	return kind
}

// AccessTo is what the policy says of one of its securables.
func (p *Policy) AccessTo(s Securable) AccessKind { return p.most(s, AccessNone) }

func (p *Policy) most(s Securable, kind AccessKind) AccessKind {
	for _, a := range p.ACLs {
		if strings.EqualFold(a.SecurableID, s.SecurableID) && (kind == AccessNone || a.AccessKind.Allows() && !kind.Allows()) {
			kind = a.AccessKind
		}
	}
	return kind
}

// Qualifier looks a term of use up for a product and feature; false: there is none.
func (p *Policy) Qualifier(product ProductID, feature, name string) (string, bool) {
	s, there := p.Securable(product, feature)
	if !there {
		return find(p.Defaults, name)
	}
	return p.QualifierOf(s, name)
}

// QualifierOf looks a term of use up for a securable: in the ACLs' overrides, then in the securable's, then in the defaults; false: it is in none.
func (p *Policy) QualifierOf(s Securable, name string) (string, bool) {
	for _, a := range p.ACLs {
		if strings.EqualFold(a.SecurableID, s.SecurableID) {
			if v, ok := find(a.Overrides, name); ok {
				return v, true
			}
		}
	}
	if v, ok := find(s.Overrides, name); ok {
		return v, true
	}
	return find(p.Defaults, name)
}

func find(list []Qualifier, name string) (string, bool) {
	for _, q := range list {
		if q.Name == name {
			return q.Value, true
		}
	}
	return "", false
}

// True says whether a qualifier is TRUE, in any case.
func (p *Policy) True(product ProductID, feature, name string) bool {
	v, _ := p.Qualifier(product, feature, name)
	return strings.EqualFold(v, "true")
}

// TrueOf is True of a securable.
func (p *Policy) TrueOf(s Securable, name string) bool {
	v, _ := p.QualifierOf(s, name)
	return strings.EqualFold(v, "true")
}

// Minutes is a qualifier that counts minutes; false: there is none, or it is no whole number from 1 to that of a year.
func (p *Policy) Minutes(product ProductID, feature, name string) (time.Duration, bool) {
	v, _ := p.Qualifier(product, feature, name)
	return minutes(v)
}

// MinutesOf is Minutes of a securable.
func (p *Policy) MinutesOf(s Securable, name string) (time.Duration, bool) {
	v, _ := p.QualifierOf(s, name)
	return minutes(v)
}

func minutes(v string) (time.Duration, bool) {
	n, err := strconv.Atoi(strings.TrimSpace(v))
	if err != nil || n < 1 || n > 366*24*60 {
		return 0, false
	}
	return time.Duration(n) * time.Minute, true
}
