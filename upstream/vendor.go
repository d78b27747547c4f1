package upstream

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf16"

	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// UsageConfig is which way usage goes. The zero value is the site API.
type UsageConfig struct {
	Way license.UsageWay // WaySite, WayRealtime or WayFile
	// Posting is the address of the vendor's posting service, for WayRealtime; Location that of its location service, for WayFile.
	Posting  string
	Location string
	// UploadHosts are where files may go: a host, or all hosts of a domain, as ".blob.example". The location service names one of them.
	UploadHosts []string
	UltimateID  string // of the account
	// Posted is where the postings go that the site has taken over from the vendor's own clients: the address of the posting service, whatever
	// the Way; empty: there are none.
	Posted string
}

func (u *UsageConfig) check() error {
	var errs []error
	if u.Posted != "" {
		if err := checkAddress(u.Posted); err != nil {
			errs = append(errs, fmt.Errorf("the address of the posting service that clients are relayed to: %w", err))
		}
	}
	switch u.Way {
	case license.WaySite:
		return errors.Join(errs...)
	case license.WayRealtime:
		if err := checkAddress(u.Posting); err != nil {
			errs = append(errs, fmt.Errorf("the posting service's address: %w", err))
		}
	case license.WayFile:
		if err := checkAddress(u.Location); err != nil {
			errs = append(errs, fmt.Errorf("the location service's address: %w", err))
		}
		if len(u.UploadHosts) == 0 {
			errs = append(errs, errors.New("no host is named that usage files may go to"))
		}
	default:
		errs = append(errs, fmt.Errorf("usage cannot be sent the way %q", u.Way))
	}
	if u.UltimateID == "" {
		errs = append(errs, errors.New("the account's id at the vendor (ultimate id) is missing"))
	}
	return errors.Join(errs...)
}

const (
	// meterEvery is how far apart the postings of one use are: the vendor counts machines in intervals of ten minutes (KB0019027).
	meterEvery = 10 * time.Minute
	// vendorPatience is after how long a delivery the vendor's own way ends with what it has done.
	vendorPatience = 20 * time.Second
)

// postRealtime posts records one by one: each from its beginning to its end in steps of meterEvery.
func (c *Client) postRealtime(ctx context.Context, usage []license.Usage) (license.Delivery, error) {
	d := license.Delivery{Way: license.WayRealtime}
	begun := time.Now()
	for _, u := range usage {
		if d.Done > 0 && (time.Since(begun) > vendorPatience || len(d.SetAside) >= license.MaxSetAsideAtOnce) {
			return d, nil
		}
		err := c.postUse(ctx, u)
		var no *StatusError
		switch {
		case errors.As(err, &no) && no.ofContent() && no.Reason != "":
			d.SetAside = append(d.SetAside, license.SetAside{Usage: u, Why: why(no)})
		case err != nil && d.Done > 0 && ctx.Err() == nil:
			return d, nil // the rest is tried again, and says then what is wrong
		case err != nil:
			return license.Delivery{}, fmt.Errorf("posting usage: %w", err)
		}
		d.Done++
	}
	return d, nil
}

func (c *Client) postUse(ctx context.Context, u license.Usage) error {
	for _, at := range moments(u.Started.Std(), u.Ended.Std()) {
		body, err := json.Marshal(c.posting(u, at))
		if err != nil {
			return err
		}
		var got cloudapi.VendorAnswer
		err = c.doVendor(ctx, http.MethodPost, c.usage.Posting, body, &got)
		if err == nil && !strings.EqualFold(got.Status, cloudapi.VendorSuccess) {
			err = fmt.Errorf("%w: it answers %q to usage: %s", ErrUnreachable, clip(got.Status), clip(got.Message))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// moments are those that a use from one time to another is posted for: its beginning, each meterEvery, its end.
func moments(from, to time.Time) []time.Time {
	all := []time.Time{from}
	for at := from.Add(meterEvery); at.Before(to); at = at.Add(meterEvery) {
		all = append(all, at)
	}
	if to.After(from) {
		all = append(all, to)
	}
	return all
}

func (c *Client) posting(u license.Usage, at time.Time) cloudapi.Posting {
	p := cloudapi.Posting{UltimateID: c.usage.UltimateID, PrincipalID: string(u.License), IMSID: string(u.User), Host: bareName(u.Machine), UserID: string(u.User),
		ProductID: string(u.Product), Version: versionNumber(u.Version), CorrelationID: u.ID.String(), At: vendorTime(at),
		LogVersion: cloudapi.PostingLogVersion, Source: cloudapi.SourceRealtime, Country: u.Country, UsageType: usageType(u)}
	if u.Kind == license.UsageCheckout {
		p.Source = cloudapi.SourceCheckout
	}
	return p
}

// doVendor is do for the vendor's own services, which answer refusals in their own shape.
func (c *Client) doVendor(ctx context.Context, method, address string, body []byte, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	if err := c.wait(ctx, u.Path); err != nil {
		return err
	}
	for again := true; ; again = false {
		token, err := c.tokens.get(ctx)
		if err != nil {
			return fmt.Errorf("getting this site's access token: %w", err)
		}
		req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		if body != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		resp, answer, err := c.fetch(req, maxSmall, 0)
		if err != nil {
			return err
		}
		switch s := resp.StatusCode; {
		case s == http.StatusOK, s == http.StatusCreated:
			return decode(resp, answer, out)
		case s == http.StatusUnauthorized && again:
			c.tokens.drop(token)
		case s == http.StatusUnauthorized:
			return ErrUnauthorized
		case s == http.StatusTooManyRequests, s == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
			d := retryAfter(resp.Header.Get("Retry-After"))
			c.hush(u.Path, d)
			return fmt.Errorf("%w: in %s", ErrBusy, d)
		case s >= 500:
			return fmt.Errorf("%w: status %d", ErrUnreachable, s)
		case s >= 400:
			var no cloudapi.VendorAnswer
			if decode(resp, answer, &no) != nil {
				no = cloudapi.VendorAnswer{} // of something in between
			}
			return &StatusError{Status: s, Reason: clip(no.Status), Detail: clip(no.Message)}
		default:
			return fmt.Errorf("%w: status %d", ErrGarbage, s)
		}
	}
}

// why is what the cloud says of what it refuses, as text that can be kept.
func why(no *StatusError) string { return strings.ToValidUTF8(clip(cmp.Or(no.Detail, no.Reason)), "?") }

// bareName is a machine's name without its domain.
func bareName(m license.Machine) string {
	name := cmp.Or(m.Name, m.ID)
	name = name[strings.LastIndexAny(name, `\/`)+1:]
	if strings.Trim(name, "0123456789.") == "" {
		return name // an address
	}
	bare, _, _ := strings.Cut(name, ".")
	return bare
}

// versionNumber writes a four-part version as the vendor does: each part but the first with four digits. What is none is 0.
func versionNumber(version string) int64 {
	v, ok := license.ParseVersion(version)
	if !ok {
		return 0
	}
	n := int64(0)
	for _, part := range v {
		n = n*10_000 + int64(min(part, 9999))
	}
	return n
}

func vendorTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func usageType(u license.Usage) string {
	switch cmp.Or(u.LicenseType, license.Practitioner) {
	case license.Practitioner:
		return cloudapi.UsePractitioner
	case license.TypeTrial:
		return cloudapi.UseTrial
	}
	return cloudapi.UseProduction
}

// vendorSID is the vendor's hash of a name: SHA-1, seventeen times, of its lower case in UTF-16.
func vendorSID(name string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(strings.ToLower(name))) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	for range 17 {
		sum := sha1.Sum(b)
		b = sum[:]
	}
	return base64.StdEncoding.EncodeToString(b)
}
