package desktop

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// entitlementLasts is how long an answer is gone by.
const entitlementLasts = 4 * time.Hour

type entitlement struct {
	status string
	until  time.Time
}

// preferred are the statuses that let a product run, the best first.
var preferred = []string{"Allowed", "AllowedTrial", "AllowedEvaluation"}

// Entitled asks as a web application does whether the user may use a product, and goes by the answer for four hours. It returns the best of
// the statuses that came, such as Allowed or Denied.
func (c *Client) Entitled(ctx context.Context, want Product) (string, error) {
	c.mu.Lock()
	known := c.entitled[want]
	c.mu.Unlock()
	if c.now().Before(known.until) {
		return known.status, nil
	}
	service := strings.TrimSuffix(c.find(ctx, PolicyService), "/api")
	body, err := json.Marshal(map[string]any{
		"RequestedSecurables": []map[string]string{{"ProductId": want.ID, "FeatureString": want.Feature}},
		"MachineName":         c.cfg.Machine,
		"ProjectId":           noProject,
		"ClientDateTime":      c.now().UTC().Format("2006-01-02T15:04:05.000Z"),
		"Locale":              "en",
		"AppliesTo":           appliesTo,
		"CreateTrial":         "true",
	})
	if err != nil {
		return "", err
	}
	answer, err := c.call(ctx, "POST", service+"/v4.0/api/WebEntitlement", true, body)
	if err != nil {
		return "", err
	}
	var got struct {
		Result struct {
			Entitlements []struct{ LicenseStatus string }
		}
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		return "", err
	}
	status, best := "NoLicense", len(preferred)
	for i, e := range got.Result.Entitlements {
		rank := slices.Index(preferred, e.LicenseStatus)
		if rank < 0 {
			rank = len(preferred)
		}
		if i == 0 || rank < best {
			status, best = e.LicenseStatus, rank
		}
	}
	c.mu.Lock()
	c.entitled[want] = entitlement{status, c.now().Add(entitlementLasts)}
	c.mu.Unlock()
	return status, nil
}
