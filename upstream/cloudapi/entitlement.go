package cloudapi

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// PathWebEntitlement is where a web application asks what its user may use: POST EntitlementRequest: EntitlementAnswer. It is relative to the policy
// service's address without its "/api".
const PathWebEntitlement = "/v4.0/api/WebEntitlement"

// EntitlementRequest asks what a user may use.
type EntitlementRequest struct {
	RequestedSecurables []SecurableWanted `json:"RequestedSecurables"`
	MachineName         string            `json:"MachineName"`
	ProjectID           string            `json:"ProjectId,omitempty"`
	ClientDateTime      string            `json:"ClientDateTime,omitempty"`
	Locale              string            `json:"Locale,omitempty"`
	AppliesTo           string            `json:"AppliesTo,omitempty"`
	CreateTrial         string            `json:"CreateTrial,omitempty"` // "true"
}

// EntitlementAnswer is what the service answers.
type EntitlementAnswer struct {
	Result struct {
		Entitlements []Entitlement `json:"Entitlements"`
	} `json:"result"`
}

// Entitlement is what a user may do with a product.
type Entitlement struct {
	ProductID     ProductID         `json:"ProductId"`
	FeatureString string            `json:"FeatureString"`
	LicenseStatus EntitlementStatus `json:"LicenseStatus"`
	PrincipalID   string            `json:"PrincipalId"`
	ExpiresOn     Date              `json:"ExpiresOn"`
}

// EntitlementStatus is sent as text.
type EntitlementStatus string

// Statuses. Of several a client prefers them in the order Allowed, AllowedTrial, AllowedEvaluation.
const (
	StatusNoLicense         EntitlementStatus = "NoLicense"
	StatusAllowed           EntitlementStatus = "Allowed"
	StatusAllowedTrial      EntitlementStatus = "AllowedTrial"
	StatusAllowedEvaluation EntitlementStatus = "AllowedEvaluation"
	StatusDenied            EntitlementStatus = "Denied"
	StatusDeniedTrial       EntitlementStatus = "DeniedTrial"
)

// Allows says whether a client may let its user work: it does not by the statuses that
// say no, as words or as the numbers that they have elsewhere. What is not known counts as
// allowed, since a client may go by it.
func (s EntitlementStatus) Allows() bool {
	no := [...]EntitlementStatus{StatusNoLicense, StatusDenied, StatusDeniedTrial, "0", "-1", "-2"}
	return !slices.ContainsFunc(no[:], func(n EntitlementStatus) bool {
		return strings.EqualFold(string(n), strings.TrimSpace(string(s)))
	})
}

// ReadEntitlementRequest reads the body of WebEntitlement. A field that is given twice is refused.
func ReadEntitlementRequest(body []byte) (EntitlementRequest, error) {
	var r EntitlementRequest
	if err := readJSON(body, MaxPolicyRequest, &r); err != nil {
		return EntitlementRequest{}, fmt.Errorf("reading a request for entitlements: %w", err)
	}
	switch {
	case len(r.RequestedSecurables) == 0:
		return EntitlementRequest{}, errors.New("a request for entitlements names no product (RequestedSecurables)")
	case len(r.RequestedSecurables) > MaxSecurables:
		return EntitlementRequest{}, fmt.Errorf("a request for entitlements names more than %d products", MaxSecurables)
	}
	return r, nil
}

// ReadEntitlementAnswer reads what WebEntitlement answers.
func ReadEntitlementAnswer(body []byte) (EntitlementAnswer, error) {
	var a EntitlementAnswer
	if err := readJSON(body, MaxPolicy, &a); err != nil {
		return EntitlementAnswer{}, fmt.Errorf("reading an answer with entitlements: %w", err)
	}
	if a.Result.Entitlements == nil {
		return EntitlementAnswer{}, errors.New("an answer with entitlements has no list of them (result.Entitlements)")
	}
	return a, nil
}
