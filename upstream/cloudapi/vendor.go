package cloudapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// The vendor's own usage wire, for a cloud that offers no site API for usage: one JSON object after the other, posted as it happens
// (real-time), or CSV files put to a place that the location service names. Neither has an idempotency key: what is sent again after a lost
// answer may count twice there. CorrelationID and times are the same each time.
const (
	// PathPosting takes a Posting by POST: VendorAnswer.
	PathPosting = "/Bentley.ULAS.PostingService/PostingSvcWebApi"
	// PathLocation has below it, by GET ?ultId=&prdId=&lng=, where to put a file: Location.
	PathLocation       = "/Bentley.ULAS.LocationService/LocationSvcWebApi"
	LocationUsageLog   = "/usageLog"
	LocationFeatureLog = "/featureLog"
	PostingFeatureLog  = "/featureLog"    // below PathPosting, by POST of a list of Postings
	BlobTypeHeader     = "x-ms-blob-type" // of the PUT of a file
	BlobType           = "BlockBlob"
	VendorSuccess      = "success"
	MaxCSVRows         = 75_000 // in one file
	PostingLogVersion  = 1
)

// The sources of a posting, in lSrc.
const (
	SourceRealtime = "RealTime"
	SourceOffline  = "Offline"
	SourceCheckout = "Checkout"
)

// The types of use, in uType.
const (
	UseProduction   = "Production"
	UseTrial        = "Trial"
	UsePractitioner = "Practitioner"
)

// Posting is one piece of use at one moment.
type Posting struct {
	UltimateID    string `json:"ultID"`
	PrincipalID   string `json:"pid"`
	IMSID         string `json:"imsID"`
	Host          string `json:"hID"` // without its domain
	UserID        string `json:"uID"`
	PolicyID      string `json:"polID"`
	SecurableID   string `json:"secID"`
	ProductID     string `json:"prdid"`
	Feature       string `json:"fstr"`
	Version       int64  `json:"ver"`
	ProjectID     string `json:"projID"`
	CorrelationID string `json:"corID"` // of the session
	At            string `json:"evTimeZ"`
	LogVersion    int    `json:"lVer"`
	Source        string `json:"lSrc"`
	Country       string `json:"country"`
	UsageType     string `json:"uType"`

	// Of entries that are of an interval and not of a moment; of features these are. The time 0001-01-01 says that it has not ended.
	FeatureID string `json:"ftrID,omitempty"` // empty or the product's: the interval is the session's
	StartedAt string `json:"sDateZ,omitempty"`
	EndedAt   string `json:"eDateZ,omitempty"`
}

// Bounds of what clients post and put.
const (
	MaxPosting    = 256 << 10 // bytes of a posting, of features too
	MaxPostings   = 1000      // in a list of features
	MaxUsageFile  = 32 << 20  // bytes of a usage file
	maxLocation   = 16 << 10
	maxSignature  = 4096
	locationField = "epUri"
)

// Run is what a posting says of who runs what. Of the rest nothing is assumed.
type Run struct {
	IMSID         string    `json:"imsID"`
	Host          string    `json:"hID"`
	ProductID     ProductID `json:"prdid"`
	CorrelationID string    `json:"corID"`
	Source        string    `json:"lSrc"`
	FeatureID     string    `json:"ftrID"`
	EndedAt       string    `json:"eDateZ"`
}

// Ends is that of Posting.
func (r Run) Ends() bool {
	return Posting{ProductID: string(r.ProductID), FeatureID: digits(r.FeatureID), EndedAt: r.EndedAt}.Ends()
}

// ReadRuns reads a posting, or a list of those of features. A field that is given twice is refused.
func ReadRuns(body []byte, list bool) (runs []Run, err error) {
	if list {
		err = readJSON(body, MaxPosting, &runs)
	} else {
		runs = make([]Run, 1)
		err = readJSON(body, MaxPosting, &runs[0])
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading a posting: %w", err)
	case len(runs) > MaxPostings:
		return nil, fmt.Errorf("a posting lists more than %d entries", MaxPostings)
	}
	return runs, nil
}

// Ends says whether the posting ends its session: its interval is closed, and is of the product itself and not of a feature. That the end of a
// session is told so is an assumption; public source shows intervals of features only.
func (p Posting) Ends() bool {
	return (p.FeatureID == "" || p.FeatureID == p.ProductID) && p.EndedAt != "" && !strings.HasPrefix(p.EndedAt, "0001-01-01")
}

// VendorAnswer is the answer to a posting. Only Status "success", in any case, acknowledges it, whatever the HTTP status.
type VendorAnswer struct {
	Status    string `json:"status"`
	Message   string `json:"msg"`
	Time      string `json:"time"`
	RequestID string `json:"reqID"`
}

// Location says where to put a file: a URL, and a signature that goes behind it and is a secret.
type Location struct {
	Status   string       `json:"status"`
	Endpoint string       `json:"epUri"`
	Info     LocationInfo `json:"epInfo"`
	ID       string       `json:"reqID"`
}

// LocationInfo is what goes with a Location.
type LocationInfo struct {
	Signature string `json:"SharedAccessSignature"`
}

// ReadLocation reads where a file goes.
func ReadLocation(body []byte) (Location, error) {
	var l Location
	if err := readJSON(body, maxLocation, &l); err != nil {
		return Location{}, fmt.Errorf("reading where a file goes: %w", err)
	}
	return l, nil
}

// Place is where a file goes, without its signature; and the signature, as the query of a request. It is https, a host and a path.
func (l Location) Place() (place *url.URL, signature string, err error) {
	place, err = url.Parse(l.Endpoint)
	if err != nil || place.Scheme != "https" || place.Host == "" || place.User != nil || place.Fragment != "" || place.RawQuery != "" || place.Opaque != "" {
		return nil, "", errors.New("it is not https, a host and a path")
	}
	signature = strings.TrimPrefix(l.Info.Signature, "?")
	if strings.ContainsAny(signature, " #\r\n") || len(signature) > maxSignature {
		return nil, "", errors.New("its signature cannot go into an address")
	}
	return place, signature, nil
}

// MayUpload says whether a file may go to a place, by the hosts that files may go to: a host, with a port if it is not 443, or a domain, as
// .blob.example, for all hosts of it.
func MayUpload(hosts []string, place *url.URL) bool {
	is := func(host string) bool {
		host = strings.TrimSuffix(strings.ToLower(host), ".")
		return slices.ContainsFunc(hosts, func(h string) bool {
			h = strings.ToLower(h)
			return host == h || strings.HasPrefix(h, ".") && strings.HasSuffix(host, h)
		})
	}
	if is(place.Host) {
		return true
	}
	return (place.Port() == "" || place.Port() == "443") && is(place.Hostname())
}

// ReplaceEndpoint is a Location with another address, and everything else in it byte for byte as it was.
func ReplaceEndpoint(body []byte, address string) ([]byte, error) {
	if _, err := ReadLocation(body); err != nil {
		return nil, err
	}
	text, err := json.Marshal(address)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if _, err := d.Token(); err != nil { // of an object, since it was read
		return nil, err
	}
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err == nil {
			err = d.Decode(&value)
		}
		if err != nil {
			return nil, err
		}
		if field, ok := name.(string); ok && strings.EqualFold(field, locationField) && value[0] == '"' {
			to := int(d.InputOffset())
			return bytes.Join([][]byte{body[:to-len(value)], text, body[to:]}, nil), nil
		}
	}
	return nil, errors.New("it names no " + locationField)
}

// CSVColumns are the columns of a file, in their order.
func CSVColumns() []string {
	return []string{"UltimateId", "PrincipalId", "ProductId", "UsageCountryISO", "FeatureString", "IMSId", "MachineName", "ComputerSID", "Username", "UserSID",
		"PolicyId", "ProductVersion", "ProjectId", "CorrelationId", "LogVersion", "LogPostingSource", "UsageType", "StartTimeUTC", "EndTimeUTC", "EntryDate", "PartitionId"}
}

// FeatureCSVColumns are the columns of a file of features, in their order.
func FeatureCSVColumns() []string {
	return []string{"UltimateId", "CountryIso", "ProductId", "FeatureString", "VersionNumber", "MachineName", "ComputerSid", "UserName", "UserSid", "ImsId", "ProjectId",
		"SessionId", "FeatureId", "StartTime", "EndTime", "DurationTracked", "MetaData"}
}
