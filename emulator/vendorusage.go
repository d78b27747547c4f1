package emulator

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"sitegate/upstream/cloudapi"
)

// vendorUsage is what came the vendor's own ways, which know nothing again: what is sent twice is there twice.
type vendorUsage struct {
	postings []cloudapi.Posting
	features []json.RawMessage
	bodies   []string
	places   map[string]string     // path of a place for a file → its signature
	files    map[string][][]string // by path: the rows without the header
}

// uploads is the path below which files are put.
const uploads = "/usage-logs/"

// Postings are the pieces of use that were posted as they happened, in order of arrival.
func (e *Emulator) Postings() []cloudapi.Posting {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.vendor.postings)
}

// UsageRows are the rows of all usage files, without their headers, in no order.
func (e *Emulator) UsageRows() [][]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	rows := [][]string{}
	for _, f := range e.vendor.files {
		rows = append(rows, f...)
	}
	return rows
}

// FeatureLogs are the entries of features that were posted as they happened, as they came.
func (e *Emulator) FeatureLogs() []json.RawMessage {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.vendor.features)
}

// PostedBodies are the bodies of all postings, of features too, byte for byte and in order of arrival.
func (e *Emulator) PostedBodies() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.vendor.bodies)
}

// anyone lets in a site, or a user who comes by themselves: what is posted is believed as it is.
func (e *Emulator) anyone(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, err := e.userOf(r); err == nil {
			h(w, r)
			return
		}
		e.site(func(w http.ResponseWriter, r *http.Request, _ string) { h(w, r) })(w, r)
	}
}

// readVendor reads a body that desktop clients may send, too, whose fields are not all known; false: it has answered.
func readVendor[T any](w http.ResponseWriter, r *http.Request, parse func([]byte) (T, error)) (T, bool) {
	var v T
	body, err := io.ReadAll(r.Body)
	if err == nil {
		v, err = parse(body)
	}
	if err != nil {
		answer(w, http.StatusBadRequest, cloudapi.VendorAnswer{Status: "error", Message: err.Error(), RequestID: rand.Text()})
		return v, false
	}
	return v, true
}

// posted is a body, and what was read in it.
type posted struct {
	body    string
	entries []cloudapi.Posting
	raw     []json.RawMessage
}

func readPosting(body []byte) (posted, error) {
	p := posted{body: string(body), entries: make([]cloudapi.Posting, 1)}
	return p, json.Unmarshal(body, &p.entries[0])
}

func readFeatures(body []byte) (posted, error) {
	p := posted{body: string(body)}
	err := json.Unmarshal(body, &p.entries)
	if err == nil {
		err = json.Unmarshal(body, &p.raw)
	}
	return p, err
}

// postPosting answers PathPosting.
func (e *Emulator) postPosting(w http.ResponseWriter, r *http.Request) {
	if p, ok := readVendor(w, r, readPosting); ok {
		e.takePosted(w, p)
	}
}

// postFeatures answers PostingFeatureLog below it.
func (e *Emulator) postFeatures(w http.ResponseWriter, r *http.Request) {
	if p, ok := readVendor(w, r, readFeatures); ok {
		e.takePosted(w, p)
	}
}

func (e *Emulator) takePosted(w http.ResponseWriter, got posted) {
	a := cloudapi.VendorAnswer{Status: "error", Time: e.vendorNow(), RequestID: rand.Text()}
	for _, p := range got.entries {
		switch {
		case p.CorrelationID == "" || p.ProductID == "" || p.IMSID == "" || p.UltimateID == "" || p.At == "" || p.LogVersion != cloudapi.PostingLogVersion:
			a.Message = "ultID, imsID, prdid, corID, evTimeZ and lVer 1 are needed"
			answer(w, http.StatusBadRequest, a)
			return
		case e.refusesUsageOf(p.IMSID):
			a.Message = "imsID is not known"
			answer(w, http.StatusBadRequest, a)
			return
		}
	}
	now := e.now()
	e.mu.Lock()
	v := &e.vendor
	v.bodies = append(v.bodies, got.body)
	if got.raw != nil {
		v.features = append(v.features, got.raw...)
	} else {
		v.postings = append(v.postings, got.entries...)
	}
	for _, p := range got.entries {
		switch {
		case p.Source != cloudapi.SourceRealtime:
		case p.Ends():
			e.desktopStopped(p.IMSID, p.CorrelationID)
		default:
			if l, no := e.claimOf(p.IMSID, strings.TrimLeft(p.ProductID, "0"), now); no == nil {
				e.desktopActive(p.IMSID, p.Host, p.CorrelationID, l, now)
			}
		}
	}
	e.mu.Unlock()
	a.Status = cloudapi.VendorSuccess
	answer(w, http.StatusOK, a)
}

// locate answers where a usage file goes: to a place of its own, at UploadHost.
func (e *Emulator) locate(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	at := cloudapi.Location{Status: "error", ID: rand.Text()}
	if q.Get("ultId") == "" || q.Get("prdId") == "" {
		answer(w, http.StatusBadRequest, at)
		return
	}
	host := e.UploadHost
	if host == "" {
		host = r.Host
	}
	path, signature := uploads+q.Get("prdId")+"/"+rand.Text()+".csv", "sv=2026-01-01&sig="+rand.Text()
	e.mu.Lock()
	put(&e.vendor.places, path, signature)
	e.mu.Unlock()
	at.Status, at.Endpoint, at.Info.Signature = cloudapi.VendorSuccess, "https://"+host+path, "?"+signature
	answer(w, http.StatusOK, at)
}

// putUsageFile takes a file at a place that locate has named.
func (e *Emulator) putUsageFile(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	signature, there := e.vendor.places[r.URL.Path]
	e.mu.Unlock()
	if !there || r.URL.RawQuery != signature {
		http.Error(w, "AuthenticationFailed", http.StatusForbidden)
		return
	}
	rows, err := usageRows(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	put(&e.vendor.files, r.URL.Path, rows)
	e.mu.Unlock()
	w.WriteHeader(http.StatusCreated)
}

func usageRows(r *http.Request) ([][]string, error) {
	if r.Header.Get(cloudapi.BlobTypeHeader) != cloudapi.BlobType {
		return nil, fmt.Errorf("%s is not %s", cloudapi.BlobTypeHeader, cloudapi.BlobType)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	// Not every client says what the sum is.
	if sum := md5.Sum(body); r.Header.Get("Content-MD5") != "" && r.Header.Get("Content-MD5") != base64.StdEncoding.EncodeToString(sum[:]) {
		return nil, fmt.Errorf("Md5Mismatch")
	}
	rows, err := csv.NewReader(strings.NewReader(string(body))).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 || !slices.Equal(rows[0], cloudapi.CSVColumns()) && !slices.Equal(rows[0], cloudapi.FeatureCSVColumns()) {
		return nil, fmt.Errorf("the first line is not the columns")
	}
	return rows[1:], nil
}
