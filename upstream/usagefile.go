package upstream

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// ErrUploadHost: the location service names a place that this site sends no usage to.
var ErrUploadHost = errors.New("usage files may not go to this host: name it, or its domain, among those they may go to, if it is the vendor's")

// uploadTimeout bounds putting one file.
const uploadTimeout = 5 * time.Minute

// putFiles puts records as CSV files to where the location service says, one for each product.
func (c *Client) putFiles(ctx context.Context, usage []license.Usage) (license.Delivery, error) {
	usage = usage[:min(len(usage), cloudapi.MaxCSVRows)]
	var order []license.ProductID
	byProduct := map[license.ProductID][]license.Usage{}
	for _, u := range usage {
		if _, there := byProduct[u.Product]; !there {
			order = append(order, u.Product)
		}
		byProduct[u.Product] = append(byProduct[u.Product], u)
	}
	for _, p := range order {
		file, err := c.csvFile(byProduct[p], time.Now())
		if err != nil {
			return license.Delivery{}, err
		}
		if err := c.putFile(ctx, string(p), file); err != nil {
			return license.Delivery{}, fmt.Errorf("sending a usage file: %w", err)
		}
	}
	return license.Delivery{Done: len(usage), Way: license.WayFile}, nil
}

// csvFile is a file of records, as the vendor's client writes it.
func (c *Client) csvFile(usage []license.Usage, entered time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	if err := w.Write(cloudapi.CSVColumns()); err != nil {
		return nil, err
	}
	for _, u := range usage {
		source := cloudapi.SourceOffline
		if u.Kind == license.UsageCheckout {
			source = cloudapi.SourceCheckout
		}
		machine := cmp.Or(u.Machine.Name, u.Machine.ID)
		row := []string{c.usage.UltimateID, string(u.License), string(u.Product), u.Country, "", string(u.User), machine, vendorSID(machine), string(u.User), vendorSID(string(u.User)),
			"", strconv.FormatInt(versionNumber(u.Version), 10), "", u.ID.String(), strconv.Itoa(cloudapi.PostingLogVersion), source, usageType(u),
			vendorTime(u.Started.Std()), vendorTime(u.Ended.Std()), vendorTime(entered), "1"}
		if err := w.Write(row); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

// putFile asks where a file of a product goes, and puts it there.
func (c *Client) putFile(ctx context.Context, product string, file []byte) error {
	q := url.Values{"ultId": {c.usage.UltimateID}, "prdId": {product}, "lng": {"en"}}
	var at cloudapi.Location
	if err := c.doVendor(ctx, http.MethodGet, strings.TrimSuffix(c.usage.Location, "/")+cloudapi.LocationUsageLog+"?"+q.Encode(), nil, &at); err != nil {
		return fmt.Errorf("asking where it goes: %w", err)
	}
	if !strings.EqualFold(at.Status, cloudapi.VendorSuccess) {
		return fmt.Errorf("asking where it goes: %w: it answers %q", ErrUnreachable, clip(at.Status))
	}
	to, err := c.uploadURL(at)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, uploadTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, to.String(), bytes.NewReader(file))
	if err != nil {
		return fmt.Errorf("putting it to %s: the address cannot be used", clip(to.Host)) // the error would have the signature in it
	}
	sum := md5.Sum(file)
	req.Header.Set(cloudapi.BlobTypeHeader, cloudapi.BlobType)
	req.Header.Set("Content-Type", "text/csv; charset=utf-8")
	req.Header.Set("Content-MD5", base64.StdEncoding.EncodeToString(sum[:])) // so that what is kept is what was sent
	resp, said, err := c.fetch(req, maxSmall, 0)
	var leaks *url.Error
	switch {
	case errors.As(err, &leaks):
		return fmt.Errorf("putting it to %s: %w: %w", clip(to.Host), ErrUnreachable, leaks.Err)
	case err != nil:
		return fmt.Errorf("putting it to %s: %w", clip(to.Host), err)
	case resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusOK:
		return fmt.Errorf("putting it to %s: %w: status %d", clip(to.Host), ErrUnreachable, resp.StatusCode)
	case resp.StatusCode == http.StatusOK && len(said) > 0, strings.Contains(resp.Header.Get("Content-Type"), "html"):
		return fmt.Errorf("putting it to %s: %w: a page or the like, where whoever keeps a file says that it was made, or nothing", clip(to.Host), ErrGarbage)
	case resp.Header.Get("Content-MD5") != "" && resp.Header.Get("Content-MD5") != req.Header.Get("Content-MD5"):
		return fmt.Errorf("putting it to %s: %w: what it has kept is not what was sent", clip(to.Host), ErrGarbage)
	}
	return nil
}

// uploadURL is where a file goes, if it may go there. The signature is in its query and never in an error.
func (c *Client) uploadURL(at cloudapi.Location) (*url.URL, error) {
	to, signature, err := at.Place()
	if err != nil {
		return nil, fmt.Errorf("%w: of the place that it names: %w", ErrGarbage, err)
	}
	if !cloudapi.MayUpload(c.usage.UploadHosts, to) {
		return nil, fmt.Errorf("%.100q: %w", to.Host, ErrUploadHost)
	}
	to.RawQuery = signature
	return to, nil
}
