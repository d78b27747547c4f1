package emulator

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"sitegate/upstream/cloudapi"
)

// What the vendor's own desktop clients say and hear: discovery, policies, entitlements, access keys. Where public source does not show how the
// vendor does it, the stand-in does something that can be told apart from that: see limitExceeded.

// pathAccessKey is where an access key is asked about.
const pathAccessKey = "/Bentley.ULAS.AccessKeyService/AccessKeySvcWebApi"

// maxTickets is how many SAML tokens are remembered.
const maxTickets = 10_000

// desktops is what the cloud knows of clients that come by themselves.
type desktops struct {
	terms   PolicyTerms
	key     *policyKey
	other   *policyKey        // with WrongKey
	tickets map[string]ticket // SAML tokens
	keys    map[string]bool   // access keys
	given   int               // policies signed
	shape   func(*cloudapi.Policy)
}

// ticket is who a SAML token is for.
type ticket struct {
	user  string
	until time.Time
}

func (e *Emulator) desktopRoutes(m *http.ServeMux) {
	m.HandleFunc("POST "+cloudapi.PathDiscovery, e.discover)
	policy := cloudapi.DefaultPolicyPath
	m.HandleFunc("POST "+policy+cloudapi.PathGetPolicy, e.signedIn(e.getPolicy))
	m.HandleFunc("POST "+policy+cloudapi.PathGetPolicyWithAccessKey, e.getPolicyWithAccessKey)
	m.HandleFunc("GET "+policy+cloudapi.PathSigningCertificate, e.signingCertificate)
	m.HandleFunc("POST "+strings.TrimSuffix(policy, "/api")+cloudapi.PathWebEntitlement, e.signedIn(e.webEntitlement))
	m.HandleFunc("POST "+pathAccessKey+"/info", e.accessKeyInfo)
}

// discover answers PathDiscovery. Services that it does not know are its own, so that a client gets somewhere.
func (e *Emulator) discover(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, cloudapi.MaxSOAP))
	var ask cloudapi.GetURL
	if err == nil {
		ask, err = cloudapi.ReadGetURL(body)
	}
	here := "https://" + r.Host
	paths := map[string]string{
		cloudapi.ServicePolicy: cloudapi.DefaultPolicyPath, cloudapi.ServicePosting: cloudapi.PathPosting,
		cloudapi.ServiceLocation: cloudapi.PathLocation, cloudapi.ServiceAccessKey: pathAccessKey,
	}
	switch path, known := paths[ask.Name]; {
	case errors.Is(err, cloudapi.ErrOtherCall) && strings.Contains(string(body), "GetRegions"):
		io.WriteString(w, `<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>`+
			`<GetRegionsResponse xmlns="http://tempuri.org/"><GetRegionsResult><int>0</int></GetRegionsResult></GetRegionsResponse></soap:Body></soap:Envelope>`)
	case err != nil:
		w.WriteHeader(http.StatusInternalServerError) // as SOAP 1.1 has it over HTTP
		w.Write(cloudapi.SOAPFault(true, err.Error()))
	case known:
		w.Write(cloudapi.GetURLAnswer(here + path))
	default:
		w.Write(cloudapi.GetURLAnswer(here + "/other/" + ask.Name))
	}
}

// AddAccessKey makes a key known that servers ask with.
func (e *Emulator) AddAccessKey(key string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	put(&e.desktops.keys, key, true)
}

// accessKeyInfo says whether an access key is known.
func (e *Emulator) accessKeyInfo(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		AccessKey string `json:"accesskey"`
		Computer  string `json:"cSID"`
	}
	if !read(w, r, &ask) {
		return
	}
	e.mu.Lock()
	known := e.desktops.keys[ask.AccessKey]
	e.mu.Unlock()
	a := cloudapi.VendorAnswer{Status: "Error", Message: "unknown key", Time: e.vendorNow(), RequestID: rand.Text()}
	if known {
		a.Status, a.Message = "Success", ""
	}
	answer(w, http.StatusOK, a)
}

func (e *Emulator) vendorNow() string { return e.now().Format("2006-01-02T15:04:05Z") }

// signedIn lets in requests of a signed-in user only, with a Bearer token of this issuer or a SAML token, and tells the handler who it is.
func (e *Emulator) signedIn(h func(w http.ResponseWriter, r *http.Request, user string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, err := e.userOf(r)
		if err != nil {
			e.log().Info("desktop request refused", "path", r.URL.Path, "err", err)
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		h(w, r, user)
	}
}

// userOf is who a request is of.
func (e *Emulator) userOf(r *http.Request) (string, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return e.bearerUser(token)
	case strings.EqualFold(scheme, "SAML"):
		e.mu.Lock()
		defer e.mu.Unlock()
		t, known := e.desktops.tickets[token]
		if !known || !e.now().Before(t.until) {
			return "", errors.New("unknown or expired SAML token")
		}
		return t.user, nil
	}
	return "", errors.New("no Bearer or SAML token")
}

func (e *Emulator) bearerUser(token string) (string, error) {
	tok, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return "", errors.New("not a token")
	}
	var c claims
	if key := e.issuer.published(tok.Headers[0].KeyID); key == nil || tok.Claims(key, &c) != nil {
		return "", errors.New("not signed by this cloud")
	}
	if err := c.ValidateWithLeeway(jwt.Expected{AnyAudience: jwt.Audience{UserAudience}, Time: e.now(), Issuer: e.Issuer}, 0); err != nil {
		return "", err
	}
	return c.Subject, nil
}

// SAMLToken is what a user's older client authorizes itself with: base64 of an assertion, good for ttl.
func (e *Emulator) SAMLToken(userID string, ttl time.Duration) (string, error) {
	u, there := e.User(userID)
	if !there {
		return "", errors.New("no such user: " + userID)
	}
	until := e.now().Add(ttl)
	var subject strings.Builder
	xml.EscapeText(&subject, []byte(u.Email)) // a strings.Builder takes everything
	text := fmt.Sprintf(`<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_%s" Version="2.0"><saml:Subject><saml:NameID>%s</saml:NameID></saml:Subject>`+
		`<saml:Conditions NotOnOrAfter="%s"/></saml:Assertion>`, rand.Text(), subject.String(), until.Format(time.RFC3339))
	token := base64.StdEncoding.EncodeToString([]byte(text))
	e.mu.Lock()
	defer e.mu.Unlock()
	d := &e.desktops
	if len(d.tickets) >= maxTickets {
		for t, is := range d.tickets {
			if !e.now().Before(is.until) {
				delete(d.tickets, t)
			}
		}
		if len(d.tickets) >= maxTickets {
			return "", errors.New("too many SAML tokens are out")
		}
	}
	put(&d.tickets, token, ticket{u.ID, until})
	return token, nil
}

// claimOf is the license that a user has for a product, the best first (R4), and why there is none.
func (e *Emulator) claimOf(user, product string, now time.Time) (cloudapi.License, *cloudapi.Problem) {
	why := &cloudapi.Problem{Reason: cloudapi.ReasonNotAssigned, Detail: "nothing of this product is for this user"}
	var best cloudapi.License
	rank := func(l cloudapi.License) int { // the larger the better
		n := map[string]int{cloudapi.LicenseVirtuoso: 4, cloudapi.LicenseCommercial: 2}[l.Kind]
		if l.AssignedTo != "" {
			n++
		}
		return n
	}
	for _, l := range e.licenses {
		if l.ProductID != product || l.AssignedTo != "" && l.AssignedTo != user {
			continue
		}
		no := e.right(cloudapi.Hold{UserID: user, LicenseID: l.ID, ProductID: product}, now)
		switch {
		case no != nil && (best.ID != "" || l.AssignedTo == ""):
		case no != nil:
			why = no
		case best.ID == "" || rank(l) > rank(best) || rank(l) == rank(best) && cmp.Or(-l.EndsAt.Compare(best.EndsAt), cmp.Compare(l.ID, best.ID)) < 0:
			best = l
		}
	}
	if best.ID != "" {
		why = nil
	}
	return best, why
}
