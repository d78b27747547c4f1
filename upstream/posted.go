package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// setAsideTogether is how many postings one delivery sets aside: they are noted in the log with all that is in them.
const setAsideTogether = 8

// postKept posts what the vendor's own clients have posted while the vendor could not be reached, byte for byte. Their users' tokens are not kept, so that it
// goes with this site's. What the vendor's service does not take, or not from this site, is set aside and keeps nothing back.
func (c *Client) postKept(ctx context.Context, usage []license.Usage) (license.Delivery, error) {
	d := license.Delivery{Way: license.WayRealtime}
	if c.usage.Posted == "" {
		return d, errors.New("clients' postings were taken over, and there is no address to post them to: set relay.posting_url")
	}
	for _, u := range usage {
		address := strings.TrimSuffix(c.usage.Posted, "/")
		if u.Listed {
			address += cloudapi.PostingFeatureLog
		}
		var got cloudapi.VendorAnswer
		err := c.doVendor(ctx, http.MethodPost, address, u.Posted, &got)
		if err == nil && !strings.EqualFold(got.Status, cloudapi.VendorSuccess) {
			err = fmt.Errorf("%w: it answers %q to usage: %s", ErrUnreachable, clip(got.Status), clip(got.Message))
		}
		var no *StatusError
		switch {
		case errors.As(err, &no) && no.Reason != "": // else something in between says so
			d.SetAside = append(d.SetAside, license.SetAside{Usage: u, Why: why(no)})
		case errors.Is(err, ErrUnauthorized):
			d.SetAside = append(d.SetAside, license.SetAside{Usage: u, Why: "the posting service takes nothing from this site"})
		case err != nil && d.Done > 0 && ctx.Err() == nil:
			return d, nil // the rest is tried again, and says then what is wrong
		case err != nil:
			return license.Delivery{}, fmt.Errorf("posting what a client has posted: %w", err)
		}
		if d.Done++; len(d.SetAside) == setAsideTogether {
			break
		}
	}
	return d, nil
}
