package upstream

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// Ping reports whether the cloud answers, to this site.
func (c *Client) Ping(ctx context.Context) error {
	var got cloudapi.Ping
	if err := c.do(ctx, call{method: http.MethodGet, path: cloudapi.PathPing}, &got); err != nil {
		return fmt.Errorf("asking whether the cloud is there: %w", asError(err))
	}
	if got.Time.IsZero() {
		return fmt.Errorf("asking whether the cloud is there: %w: an answer without a time", ErrGarbage)
	}
	return nil
}

// SendUsage delivers usage records. Nil means that the cloud keeps them all. key makes a repeated delivery harmless; what it does not
// cover, because the records were grouped differently or filled in since, the records' own ids do.
func (c *Client) SendUsage(ctx context.Context, key string, usage []license.Usage) error {
	for start := 0; start < len(usage); start += cloudapi.MaxUsageRecords {
		part := usage[start:min(start+cloudapi.MaxUsageRecords, len(usage))]
		req := cloudapi.UsageRequest{}
		for _, u := range part {
			if u.Record == "" {
				return errors.New("sending usage: a record has no id of its own")
			}
			req.Records = append(req.Records, fromUsage(u))
		}
		body, err := json.Marshal(req)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(append([]byte(key+"\n"), body...))
		var got cloudapi.UsageReceipt
		err = c.do(ctx, call{method: http.MethodPost, path: cloudapi.PathUsage, key: hex.EncodeToString(sum[:16]), body: body}, &got)
		if err != nil {
			return fmt.Errorf("sending usage: %w", asError(err))
		}
		if got.Accepted != len(part) || got.Duplicates < 0 || got.Duplicates > len(part) {
			return fmt.Errorf("sending usage: %w: a receipt for %d of %d records", ErrGarbage, got.Accepted, len(part))
		}
	}
	return nil
}

func fromUsage(u license.Usage) cloudapi.UsageRecord {
	r := cloudapi.UsageRecord{ID: u.Record, UserID: string(u.User), ProductID: string(u.Product), LicenseID: string(u.License),
		LicenseType: cmp.Or(u.LicenseType, license.Practitioner), MachineID: u.Machine.ID, MachineName: u.Machine.Name, ProductVersion: u.Version, Country: u.Country,
		SessionID: u.ID.String(), Kind: cloudapi.HoldSession, StartedAt: u.Started.Std(), EndedAt: u.Ended.Std(), Provisional: u.Provisional}
	if u.Kind == license.UsageCheckout {
		r.Kind = cloudapi.HoldCheckout
	}
	return r
}
