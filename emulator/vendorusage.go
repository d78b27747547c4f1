package emulator

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/csv"
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

// postPosting answers PathPosting.
func (e *Emulator) postPosting(w http.ResponseWriter, r *http.Request, _ string) {
	var p cloudapi.Posting
	if !read(w, r, &p) {
		return
	}
	no := cloudapi.VendorAnswer{Status: "error", Time: e.now().Format("2006-01-02T15:04:05Z"), RequestID: rand.Text()}
	switch {
	case p.CorrelationID == "" || p.ProductID == "" || p.IMSID == "" || p.UltimateID == "" || p.At == "" || p.LogVersion != cloudapi.PostingLogVersion:
		no.Message = "ultID, imsID, prdid, corID, evTimeZ and lVer 1 are needed"
		answer(w, http.StatusBadRequest, no)
		return
	case e.refusesUsageOf(p.IMSID):
		no.Message = "imsID is not known"
		answer(w, http.StatusBadRequest, no)
		return
	}
	e.mu.Lock()
	e.vendor.postings = append(e.vendor.postings, p)
	e.mu.Unlock()
	no.Status = cloudapi.VendorSuccess
	answer(w, http.StatusOK, no)
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
	if sum := md5.Sum(body); r.Header.Get("Content-MD5") != base64.StdEncoding.EncodeToString(sum[:]) {
		return nil, fmt.Errorf("Md5Mismatch")
	}
	rows, err := csv.NewReader(strings.NewReader(string(body))).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 || !slices.Equal(rows[0], cloudapi.CSVColumns()) {
		return nil, fmt.Errorf("the first line is not the columns")
	}
	return rows[1:], nil
}
