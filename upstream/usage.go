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
	"slices"

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

// SendUsage delivers usage records, and sets aside those that the cloud refuses for good, whatever they come with. It may deal with fewer
// than all of them. key makes a repeated delivery harmless; what it does not
// cover, because the records were grouped differently or filled in since, the records' own ids do. The vendor's own ways know neither.
func (c *Client) SendUsage(ctx context.Context, key string, usage []license.Usage) (license.Delivery, error) {
	for _, u := range usage {
		if u.Record == "" {
			return license.Delivery{}, errors.New("sending usage: a record has no id of its own")
		}
	}
	posted := func(u license.Usage) bool { return u.Kind == license.UsagePosted }
	if n := slices.IndexFunc(usage, func(u license.Usage) bool { return posted(u) != posted(usage[0]) }); n > 0 {
		usage = usage[:n] // the others go another way, and next time
	}
	if len(usage) > 0 && posted(usage[0]) {
		return c.postKept(ctx, usage)
	}
	switch c.usage.Way {
	case license.WayRealtime:
		return c.postRealtime(ctx, usage)
	case license.WayFile:
		return c.putFiles(ctx, usage)
	}
	d := delivery{c: c, key: key}
	for len(usage) > d.Done && len(d.SetAside) < license.MaxSetAsideAtOnce {
		rest := usage[d.Done:]
		if err := d.send(ctx, rest[:min(len(rest), cloudapi.MaxUsageRecords)]); err != nil {
			return license.Delivery{}, fmt.Errorf("sending usage: %w", err)
		}
	}
	return d.Delivery, nil
}

// delivery is one SendUsage under way.
type delivery struct {
	license.Delivery
	c   *Client
	key string
}

// send posts records. Where the cloud refuses them it posts each half by itself, until it is found which are refused.
func (d *delivery) send(ctx context.Context, part []license.Usage) error {
	err := d.post(ctx, part)
	var no *StatusError
	switch {
	case err == nil:
		d.Done += len(part)
		return nil
	case !errors.As(err, &no) || !no.ofContent():
		return err
	case len(part) > 1:
		if err := d.send(ctx, part[:len(part)/2]); err != nil || len(d.SetAside) >= license.MaxSetAsideAtOnce {
			return err
		}
		return d.send(ctx, part[len(part)/2:])
	case no.Reason != cloudapi.ReasonInvalid:
		return err // something in between says so, as a proxy that lets nothing so large through
	}
	d.SetAside = append(d.SetAside, license.SetAside{Usage: part[0], Why: why(no)})
	d.Done++
	return nil
}

// ofContent reports whether what was sent is refused, and not who sends it or when.
func (e *StatusError) ofContent() bool {
	return e.Status == http.StatusBadRequest || e.Status == http.StatusRequestEntityTooLarge || e.Status == http.StatusUnprocessableEntity
}

// post is one posting of records.
func (d *delivery) post(ctx context.Context, part []license.Usage) error {
	req := cloudapi.UsageRequest{}
	for _, u := range part {
		req.Records = append(req.Records, fromUsage(u))
	}
	body, err := json.Marshal(req)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(append([]byte(d.key+"\n"), body...))
	key := hex.EncodeToString(sum[:16])
	var got cloudapi.UsageReceipt
	err = d.c.do(ctx, call{method: http.MethodPost, path: cloudapi.PathUsage, key: key, body: body}, &got)
	switch {
	case err != nil:
		return asError(err)
	case got.Key != key: // of another posting: kept somewhere on the way, or come twice
		return fmt.Errorf("%w: it is the receipt of another posting", ErrGarbage)
	case got.Accepted != len(part) || got.Duplicates < 0 || got.Duplicates > len(part):
		return fmt.Errorf("%w: a receipt for %d of %d records", ErrGarbage, got.Accepted, len(part))
	}
	return nil
}

func fromUsage(u license.Usage) cloudapi.UsageRecord {
	r := cloudapi.UsageRecord{ID: u.Record, UserID: string(u.User), ProductID: string(u.Product), LicenseID: string(u.License),
		LicenseType: cmp.Or(u.LicenseType, license.Practitioner), MachineID: u.Machine.ID, MachineName: u.Machine.Name, ProductVersion: u.Version, Country: u.Country,
		SessionID: u.ID.String(), Kind: cloudapi.HoldSession, StartedAt: u.Started.Std(), EndedAt: u.Ended.Std(), Provisional: u.Provisional}
	switch u.Kind {
	case license.UsageCheckout:
		r.Kind = cloudapi.HoldCheckout
	case license.UsagePosted: // where somebody carries it
		r.Kind, r.Posting = cloudapi.KindPosting, string(u.Posted)
	}
	return r
}
