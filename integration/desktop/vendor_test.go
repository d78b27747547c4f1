package desktop

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// vendor answers what a client asks, as a test wants it, without a network.
type vendor struct {
	t    *testing.T
	key  *rsa.PrivateKey
	cert string

	mu       sync.Mutex
	policy   map[string]any // what GetPolicy signs
	down     bool           // nothing answers
	answer   http.HandlerFunc
	asked    map[string]int // by path
	posted   []map[string]any
	features []map[string]any
	files    []string
	statuses []string // of entitlements
	requests []*http.Request
}

// keys are made once: it takes long. The second is nobody's.
var keys = sync.OnceValues(func() ([2]*rsa.PrivateKey, error) {
	first, err := rsa.GenerateKey(rand.Reader, 2048)
	second, err2 := rsa.GenerateKey(rand.Reader, 2048)
	return [2]*rsa.PrivateKey{first, second}, errors.Join(err, err2)
})

func newVendor(t *testing.T) *vendor { return newVendorWithKey(t, 0) }

func newVendorWithKey(t *testing.T, which int) *vendor {
	t.Helper()
	both, err := keys()
	if err != nil {
		t.Fatal(err)
	}
	key := both[which]
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Policies"}, NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &vendor{t: t, key: key, cert: base64.StdEncoding.EncodeToString(der), asked: map[string]int{}}
}

func (v *vendor) set(change func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change()
}

func (v *vendor) count(path string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.asked[path]
}

// RoundTrip is the way to the vendor.
func (v *vendor) RoundTrip(r *http.Request) (*http.Response, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked[r.URL.Path]++
	if v.down {
		return nil, fmt.Errorf("dial tcp: no route to host")
	}
	v.requests = append(v.requests, r)
	w := httptest.NewRecorder()
	if v.answer != nil && r.URL.Path != "/discovery.asmx" {
		v.answer(w, r)
	} else {
		v.serve(w, r)
	}
	return w.Result(), nil
}

func (v *vendor) serve(w http.ResponseWriter, r *http.Request) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	switch r.Method + " " + r.URL.Path {
	case "POST /discovery.asmx":
		var soap struct {
			Name string `xml:"Body>GetUrl>urlName"`
		}
		if err := xml.Unmarshal(body, &soap); err != nil || r.Header.Get("SOAPAction") != `"http://tempuri.org/GetUrl"` {
			v.t.Errorf("got the question %q (%v)", body, err)
		}
		fmt.Fprintf(w, `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><GetUrlResponse xmlns="http://tempuri.org/"><GetUrlResult>https://vendor.example/%s/api</GetUrlResult></GetUrlResponse></s:Body></s:Envelope>`, strings.ToLower(strings.TrimSuffix(soap.Name, ".Url")))
	case "GET /entitlementpolicyservice/api/PolicyTokenSigningCertificate":
		json.NewEncoder(w).Encode(v.cert)
	case "POST /entitlementpolicyservice/api/GetPolicy", "POST /entitlementpolicyservice/api/GetPolicyWithAccessKey":
		json.NewEncoder(w).Encode(v.sign(v.policy))
	case "POST /entitlementpolicyservice/v4.0/api/WebEntitlement":
		var list []map[string]any
		for _, s := range v.statuses {
			list = append(list, map[string]any{"ProductId": 9100, "LicenseStatus": s})
		}
		json.NewEncoder(w).Encode(map[string]any{"result": map[string]any{"Entitlements": list}})
	case "POST /usageloggingservices.realtimelogging/api":
		var p map[string]any
		if err := json.Unmarshal(body, &p); err != nil {
			v.t.Errorf("got the posting %q: %v", body, err)
		}
		v.posted = append(v.posted, p)
		fmt.Fprint(w, `{"status":"Success","msg":"","time":"","reqID":"1"}`)
	case "POST /usageloggingservices.realtimelogging/api/featureLog":
		if err := json.Unmarshal(body, &v.features); err != nil {
			v.t.Errorf("got the features %q: %v", body, err)
		}
		fmt.Fprint(w, `{"status":"success"}`)
	case "GET /usageloggingservices.location/api/usageLog":
		fmt.Fprint(w, `{"status":"success","epUri":"https://blobs.example/put/1","epInfo":{"SharedAccessSignature":"?sig=abc"},"reqID":"1"}`)
	case "PUT /put/1":
		if r.URL.RawQuery != "sig=abc" || r.Header.Get("x-ms-blob-type") != "BlockBlob" {
			v.t.Errorf("a file is put to %s with %v", r.URL, r.Header)
		}
		v.files = append(v.files, string(body))
	default:
		v.t.Errorf("nobody takes %s %s", r.Method, r.URL.Path)
	}
}

func (v *vendor) sign(policy map[string]any) string {
	document, err := json.Marshal(policy)
	if err != nil {
		v.t.Error(err)
	}
	claims, _ := json.Marshal(map[string]any{"iss": "http://policyservice.example", policyClaim: base64.StdEncoding.EncodeToString(document)})
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT","alg":"RS256","x5t":"abc"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, v.key, crypto.SHA256, sum[:])
	if err != nil {
		v.t.Error(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// policyOf is a policy for drafting, good for seven days; more changes it.
func policyOf(id string, access int, now time.Time, settings ...string) map[string]any {
	qualifiers := []map[string]any{{"Name": "HeartbeatInterval", "Value": "1"}, {"Name": "PolicyInterval", "Value": "240"},
		{"Name": "OfflineDuration", "Value": "7"}, {"Name": "TimeToKeepUnSentLogs", "Value": "60"}, {"Name": "UsageType", "Value": "Practitioner"}}
	for i := 0; i+1 < len(settings); i += 2 {
		qualifiers = append([]map[string]any{{"Name": settings[i], "Value": settings[i+1]}}, qualifiers...)
	}
	return map[string]any{
		"PolicyId": id, "PolicyVersion": 1.0, "PolicyExpiresOn": now.Add(7 * 24 * time.Hour).UTC().Format(time.RFC3339Nano),
		"RequestData": map[string]any{"UserId": "user-1", "MachineName": "DESK-1"},
		"ACLs": []map[string]any{{"PrincipalId": "user-1", "SecurableId": "s-1", "AccessKind": access,
			"ExpiresOn": now.AddDate(0, 1, 0).UTC().Format("2006-01-02T15:04:05.0000000"), "QualifierOverrides": []any{}}},
		"SecurableData":     []map[string]any{{"SecurableId": "s-1", "ProductId": 9100, "FeatureString": ""}},
		"UserData":          map[string]any{"UserId": "user-1", "UsageCountryISO": "NL", "UltimateSAPId": 4711, "UltimateId": "ult-1"},
		"DefaultQualifiers": qualifiers,
	}
}

var drafting = Product{ID: "9100", Version: "10.2.3.4"}
