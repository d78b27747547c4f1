package emulator_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sitegate/emulator"
	"sitegate/upstream/cloudapi"
)

const policies = cloudapi.DefaultPolicyPath

// ask is a desktop client's request with the authorization that is given.
func (c *cloud) ask(method, path, authorization, body string, headers ...string) (int, []byte) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, b
}

func (c *cloud) bearer(user string) string {
	c.t.Helper()
	token, err := c.UserToken("", user, time.Hour)
	if err != nil {
		c.t.Fatal(err)
	}
	return "Bearer " + token
}

func wanted(machine string, products ...string) string {
	var list []string
	for _, p := range products {
		list = append(list, `{"ProductId":`+p+`,"FeatureString":"","Version":"10.2.3.4"}`)
	}
	return `{"MachineName":"` + machine + `","ClientDateTime":"2026-05-04T08:00:00Z","Locale":"en","AppliesTo":"` + cloudapi.AppliesTo + `","RequestedSecurables":[` + strings.Join(list, ",") + `]}`
}

// policy asks for a policy, and checks its signature.
func (c *cloud) policy(authorization, machine string, products ...string) *cloudapi.Policy {
	c.t.Helper()
	status, body := c.ask("POST", policies+cloudapi.PathGetPolicy, authorization, wanted(machine, products...))
	if status != http.StatusOK {
		c.t.Fatalf("got %d %s, want a policy", status, body)
	}
	p, err := cloudapi.ReadPolicyAnswer(body)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := p.Verify(c.certificate()); err != nil {
		c.t.Fatal(err)
	}
	return &p.Policy
}

func (c *cloud) certificate() *x509.Certificate {
	c.t.Helper()
	_, body := c.ask("GET", policies+cloudapi.PathSigningCertificate, "", "")
	cert, err := cloudapi.ReadCertificateAnswer(body)
	if err != nil {
		c.t.Fatal(err)
	}
	return cert
}

func (c *cloud) saml(user string, ttl time.Duration) string {
	c.t.Helper()
	token, err := c.SAMLToken(user, ttl)
	if err != nil {
		c.t.Fatal(err)
	}
	return "SAML " + token
}

// posting is a real-time posting of a session at its beginning; with an end, of its end.
func posting(user, machine, product, session string, end bool) string {
	p := cloudapi.Posting{UltimateID: "a-7001", IMSID: user, Host: machine, ProductID: product, CorrelationID: session, At: "2026-05-04T08:00:00.000Z",
		LogVersion: 1, Source: cloudapi.SourceRealtime, Country: "NL", UsageType: cloudapi.UsePractitioner, EndedAt: "0001-01-01T00:00:00Z"}
	if end {
		p.EndedAt = p.At
	}
	b, _ := json.Marshal(p)
	return string(b)
}

func TestPoliciesAreWhatTheBooksSay(t *testing.T) {
	c := newCloud(t, 10)
	for _, s := range []struct {
		auth, product string
		want          cloudapi.AccessKind
		offline       bool
	}{
		{c.bearer(emulator.UserA), emulator.ProductCapped, cloudapi.AccessAllowed, false},
		{c.saml(emulator.UserA, time.Hour), emulator.ProductCapped, cloudapi.AccessAllowed, false},
		{c.bearer(emulator.UserA), emulator.ProductUncapped, cloudapi.AccessAllowed, true},
		{c.bearer(emulator.UserB), emulator.ProductCapped2, cloudapi.AccessDenied, false},
		{c.bearer(emulator.UserB), "9999", cloudapi.AccessNone, true},
	} {
		p := c.policy(s.auth, "WS-101", s.product)
		id := cloudapi.ProductID(s.product)
		if got := p.Access(id, ""); got != s.want {
			t.Errorf("%s: got access %d, want %d", s.product, got, s.want)
		}
		if got := p.True(id, "", cloudapi.QualifierAllowOfflineUsage); got != s.offline {
			t.Errorf("%s: got offline use %v, want %v", s.product, got, s.offline)
		}
		if p.RequestData.MachineName != "WS-101" || p.ExpiresOn.Sub(p.CreatedOn.Time) != 7*24*time.Hour || p.RequestData.UserID == "" {
			t.Errorf("%s: got %+v", s.product, p)
		}
	}
	for name, auth := range map[string]string{"nobody": "", "a token that ended": c.saml(emulator.UserA, -time.Minute), "a site": "Bearer " + c.token("north", "n-secret"), "garbage": "SAML eDEw"} {
		if got, body := c.ask("POST", policies+cloudapi.PathGetPolicy, auth, wanted("WS-101", emulator.ProductCapped)); got != http.StatusUnauthorized {
			t.Errorf("%s: got %d %s, want 401", name, got, body)
		}
	}
	if got, body := c.ask("POST", policies+cloudapi.PathGetPolicy, c.bearer(emulator.UserA), `{"MachineName":"a","MachineName":"b"}`); got != http.StatusBadRequest {
		t.Errorf("a field twice: got %d %s, want 400", got, body)
	}
}

func TestASecondMachineGetsASignedDenial(t *testing.T) {
	c := newCloud(t, 10)
	who := c.bearer(emulator.UserA)
	access := func(machine string) cloudapi.AccessKind {
		t.Helper()
		return c.policy(who, machine, emulator.ProductCapped).Access(emulator.ProductCapped, "")
	}
	post := func(path, body string) {
		t.Helper()
		if got, answer := c.ask("POST", cloudapi.PathPosting+path, who, body); got != http.StatusOK || !strings.Contains(string(answer), `"success"`) {
			t.Fatalf("got %d %s, want it taken", got, answer)
		}
	}
	check := func(step string, first, second cloudapi.AccessKind) {
		t.Helper()
		if a, b := access("WS-101"), access("ws-102.site.test"); a != first || b != second {
			t.Errorf("%s: got %d and %d, want %d and %d", step, a, b, first, second)
		}
	}
	yes, no := cloudapi.AccessAllowed, cloudapi.AccessDenied
	check("before anything was started", yes, yes)
	post("", posting(emulator.UserA, "WS-101", emulator.ProductCapped, "s-1", false))
	check("with the first one in use", yes, no)
	if q, _ := c.policy(who, "WS-102", emulator.ProductCapped).Qualifier(emulator.ProductCapped, "", cloudapi.QualifierMachineLimitExceeded); q != "true" {
		t.Errorf("the denial says %q of the limit, want true", q)
	}
	c.time = c.time.Add(2 * time.Minute)
	post("", posting(emulator.UserA, "WS-101", emulator.ProductCapped, "s-1", false))
	c.time = c.time.Add(2 * time.Minute)
	check("renewed", yes, no)
	c.time = c.time.Add(2 * time.Minute)
	check("three minutes after its last word", yes, yes)
	post("", posting(emulator.UserA, "WS-102", emulator.ProductCapped, "s-2", false))
	check("the other one", no, yes)
	feature := strings.Replace(posting(emulator.UserA, "WS-102", emulator.ProductCapped, "s-2", true), `"ultID"`, `"ftrID":"print","ultID"`, 1)
	post(cloudapi.PostingFeatureLog, "["+feature+"]")
	check("a feature of it has ended", no, yes)
	post(cloudapi.PostingFeatureLog, "["+posting(emulator.UserA, "WS-102", emulator.ProductCapped, "s-2", true)+"]")
	check("it has ended", yes, yes)
	if err := c.HoldElsewhere(emulator.UserA, "LAPTOP-9"); err != nil {
		t.Fatal(err)
	}
	check("a machine of no site", no, no)
	c.SetPolicyTerms(emulator.PolicyTerms{Blind: true})
	check("a cloud that does not look", yes, yes)
	if got := len(c.FeatureLogs()); got != 2 {
		t.Errorf("got %d entries of features, want 2", got)
	}
	if got := c.PostedBodies(); len(got) != 5 || got[3] != "["+feature+"]" {
		t.Errorf("got %q, want what was posted", got)
	}
}

func TestAPolicyMayMakeTheMachineActive(t *testing.T) {
	c := newCloud(t, 10)
	c.SetPolicyTerms(emulator.PolicyTerms{HoldAtOnce: true})
	who := c.bearer(emulator.UserA)
	c.policy(who, "WS-101", emulator.ProductUncapped)
	if got := len(c.DesktopHolds()); got != 0 {
		t.Errorf("a product that is not capped: got %d holds, want none", got)
	}
	c.policy(who, "WS-101", emulator.ProductCapped)
	if got := c.policy(who, "WS-102", emulator.ProductCapped).Access(emulator.ProductCapped, ""); got != cloudapi.AccessDenied {
		t.Errorf("got %d, want it denied", got)
	}
	if got := c.DesktopHolds(); len(got) != 1 || got[0].MachineName != "WS-101" {
		t.Errorf("got %+v, want the first machine", got)
	}
}

func TestPoliciesThatAreNotAsTheyShouldBe(t *testing.T) {
	c := newCloud(t, 5)
	who := c.bearer(emulator.UserA)
	get := func() (*cloudapi.SignedPolicy, error) {
		_, body := c.ask("POST", policies+cloudapi.PathGetPolicy, who, wanted("WS-101", emulator.ProductCapped))
		return cloudapi.ReadPolicyAnswer(body)
	}
	for name, terms := range map[string]emulator.PolicyTerms{"another key": {WrongKey: true}, "altered": {Altered: true}} {
		c.SetPolicyTerms(terms)
		if p, err := get(); err != nil || p.Verify(c.certificate()) == nil {
			t.Errorf("%s: got %v and a signature that holds", name, err)
		}
	}
	c.SetPolicyTerms(emulator.PolicyTerms{Short: true})
	if p, err := get(); err == nil {
		t.Errorf("cut short: got %+v, want it to be none", p)
	}
	c.SetPolicyTerms(emulator.PolicyTerms{Life: -time.Hour, PostingInterval: 5 * time.Minute, OfflineCapped: true, Misspelt: true, NoOffline: true})
	p, err := get()
	if err != nil {
		t.Fatal(err)
	}
	interval, _ := p.Policy.Minutes(emulator.ProductCapped, "", cloudapi.QualifierTimeToKeepUnSentLogs)
	if !p.Expires.Before(c.time) || interval != 5*time.Minute || !p.Policy.True(emulator.ProductCapped, "", cloudapi.QualifierAllowOfflineUsage) ||
		p.Policy.True(emulator.ProductUncapped, "", cloudapi.QualifierAllowOfflineUsage) || !p.Policy.RequestData.RequestedSecurables[0].Misspelt {
		t.Errorf("got %+v that expires %v", p.Policy, p.Expires)
	}
	old := c.certificate()
	c.RotatePolicyKey()
	c.SetPolicyTerms(emulator.PolicyTerms{})
	if p, err = get(); err != nil || p.Verify(old) == nil || p.Verify(c.certificate()) != nil {
		t.Errorf("rotated: got %v, want the new key's signature only", err)
	}
}

func TestFaultsOfWhatLiesBetween(t *testing.T) {
	c := newCloud(t, 5)
	c.SetFault(emulator.Fault{Prefix: policies, Status: http.StatusFound, Location: "https://elsewhere.test/x"})
	req, err := http.NewRequestWithContext(t.Context(), "GET", c.url+policies+cloudapi.PathSigningCertificate, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusFound || got != "https://elsewhere.test/x" {
		t.Errorf("got %d to %q, want a redirect", resp.StatusCode, got)
	}
	c.SetFault(emulator.Fault{Prefix: policies, Short: true})
	if resp, err = http.DefaultTransport.RoundTrip(req); err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err == nil || int64(len(b)) >= resp.ContentLength {
		t.Errorf("got %d of %d bytes and %v, want it cut short", len(b), resp.ContentLength, err)
	}
	c.ClearFaults()
	c.NoContinue = true
	if got, _ := c.ask("POST", policies+cloudapi.PathGetPolicy, c.bearer(emulator.UserA), wanted("WS-101", emulator.ProductCapped), "Expect", "100-continue"); got != http.StatusExpectationFailed {
		t.Errorf("got %d, want 417", got)
	}
	c.NoContinue = false
	if got, _ := c.ask("POST", policies+cloudapi.PathGetPolicy, c.bearer(emulator.UserA), wanted("WS-101", emulator.ProductCapped), "Expect", "100-continue"); got != http.StatusOK {
		t.Errorf("got %d, want 200", got)
	}
}

func TestDiscoveryNamesTheServices(t *testing.T) {
	c := newCloud(t, 0)
	host := strings.TrimPrefix(c.url, "http://")
	for name, want := range map[string]string{cloudapi.ServicePolicy: policies, cloudapi.ServicePosting: cloudapi.PathPosting, cloudapi.ServiceLocation: cloudapi.PathLocation, "Portal.Url": "/other/Portal.Url"} {
		_, body := c.ask("POST", cloudapi.PathDiscovery, "", string(cloudapi.GetURL{Name: name}.Message()), "Content-Type", "text/xml; charset=utf-8", "SOAPAction", `"`+cloudapi.ActionGetURL+`"`)
		if got, err := cloudapi.ReadGetURLAnswer(body); err != nil || got != "https://"+host+want {
			t.Errorf("%s: got %q, %v, want %s", name, got, err, want)
		}
	}
	if got, body := c.ask("POST", cloudapi.PathDiscovery, "", "<!DOCTYPE a><a/>"); got != http.StatusInternalServerError || !bytes.Contains(body, []byte("Fault")) {
		t.Errorf("got %d %s, want a fault", got, body)
	}
	regions := strings.Replace(string(cloudapi.GetURL{Name: "x"}.Message()), "GetUrl", "GetRegions", 2)
	if got, body := c.ask("POST", cloudapi.PathDiscovery, "", regions); got != http.StatusOK || !bytes.Contains(body, []byte("GetRegionsResult")) {
		t.Errorf("got %d %s, want the regions", got, body)
	}
}

func TestServersHaveKeys(t *testing.T) {
	c := newCloud(t, 5)
	c.AddAccessKey("k-1")
	body := strings.Replace(wanted("SRV-1", emulator.ProductUncapped), "{", `{"MachineSID":"abc=","AccessKey":"k-1",`, 1)
	status, answer := c.ask("POST", policies+cloudapi.PathGetPolicyWithAccessKey, "", body)
	p, err := cloudapi.ReadPolicyAnswer(answer)
	if status != http.StatusOK || err != nil || p.Policy.Access(emulator.ProductUncapped, "") != cloudapi.AccessAllowed || len(c.DesktopHolds()) != 0 {
		t.Errorf("got %d, %v, want a policy and no hold", status, err)
	}
	if status, _ = c.ask("POST", policies+cloudapi.PathGetPolicyWithAccessKey, "", strings.Replace(body, "k-1", "k-2", 1)); status != http.StatusUnauthorized {
		t.Errorf("an unknown key: got %d, want 401", status)
	}
	for key, want := range map[string]string{"k-1": `"Success"`, "k-2": `"Error"`} {
		if _, answer := c.ask("POST", "/Bentley.ULAS.AccessKeyService/AccessKeySvcWebApi/info", "", `{"accesskey":"`+key+`","cSID":"abc="}`); !strings.Contains(string(answer), want) {
			t.Errorf("%s: got %s, want %s", key, answer, want)
		}
	}
}

func TestEntitlementsAreWhatTheBooksSay(t *testing.T) {
	c := newCloud(t, 5)
	path := strings.TrimSuffix(policies, "/api") + cloudapi.PathWebEntitlement
	if err := c.HoldElsewhere(emulator.UserA, "LAPTOP-9"); err != nil {
		t.Fatal(err)
	}
	_, body := c.ask("POST", path, c.saml(emulator.UserA, time.Hour), wanted("WS-101", emulator.ProductCapped, emulator.ProductUncapped, "3202"))
	a, err := cloudapi.ReadEntitlementAnswer(body)
	if err != nil || len(a.Result.Entitlements) != 3 {
		t.Fatalf("got %s, %v", body, err)
	}
	for i, want := range []cloudapi.EntitlementStatus{cloudapi.StatusDenied, cloudapi.StatusAllowed, cloudapi.StatusNoLicense} {
		if got := a.Result.Entitlements[i].LicenseStatus; got != want {
			t.Errorf("product %d: got %s, want %s", i, got, want)
		}
	}
}

func TestCheckoutFiles(t *testing.T) {
	c := newCloud(t, 5)
	until := c.time.Add(10 * 24 * time.Hour)
	file, err := c.CheckoutFile(emulator.UserA, "LAPTOP-7", until, emulator.ProductCapped)
	if err != nil {
		t.Fatal(err)
	}
	f, err := cloudapi.ReadCheckoutFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := &f.Policy.Policy
	if err := f.Policy.Verify(c.PolicyCertificate()); err != nil || !f.Certificate.Equal(c.PolicyCertificate()) || !p.True(emulator.ProductCapped, "", cloudapi.QualifierIsCheckedOut) ||
		!p.ExpiresOn.Equal(until) || p.RequestData.MachineName != "LAPTOP-7" || p.RequestData.CheckedOutDate.IsZero() {
		t.Errorf("got %v and %+v", err, p)
	}
	who := c.bearer(emulator.UserA)
	if got := c.policy(who, "WS-101", emulator.ProductCapped).Access(emulator.ProductCapped, ""); got != cloudapi.AccessDenied {
		t.Errorf("another machine: got %d, want it denied", got)
	}
	if got := c.policy(who, "laptop-7", emulator.ProductCapped).Access(emulator.ProductCapped, ""); got != cloudapi.AccessAllowed {
		t.Errorf("its own machine: got %d, want it allowed", got)
	}
	if _, err := c.CheckoutFile(emulator.UserA, "WS-101", until, emulator.ProductCapped); emulator.Reason(err) != cloudapi.ReasonMachineActive {
		t.Errorf("a second checkout: got %v, want %s", err, cloudapi.ReasonMachineActive)
	}
	if _, err := c.CheckoutFile(emulator.UserA, "LAPTOP-7", c.time.Add(90*24*time.Hour), emulator.ProductCapped); emulator.Reason(err) != cloudapi.ReasonTooLong {
		t.Errorf("too long: got %v, want %s", err, cloudapi.ReasonTooLong)
	}
	if !c.CheckIn(p.PolicyID) {
		t.Error("it cannot be checked in")
	}
	if got := c.policy(who, "WS-101", emulator.ProductCapped).Access(emulator.ProductCapped, ""); got != cloudapi.AccessAllowed {
		t.Errorf("after that: got %d, want it allowed", got)
	}
}

func TestDesktopKnobsOverHTTP(t *testing.T) {
	c := newCloud(t, 5)
	c.Issuer = c.url
	knobs := c.Control()
	turn := func(method, path, body string) (int, string) {
		t.Helper()
		w := httptest.NewRecorder()
		r, err := http.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		knobs.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	if got, body := turn("PUT", "/policies", `{"posting_interval_ms":300000,"no_offline":true,"life_ms":3600000}`); got != http.StatusNoContent {
		t.Fatalf("got %d %s", got, body)
	}
	if got := c.PolicyTerms(); got.PostingInterval != 5*time.Minute || !got.NoOffline || got.Life != time.Hour {
		t.Errorf("got %+v", got)
	}
	if _, body := turn("GET", "/policies", ""); !strings.Contains(body, `"posting_interval_ms":300000`) {
		t.Errorf("got %s", body)
	}
	for _, kind := range []string{"bearer", "saml"} {
		_, body := turn("POST", "/tokens", `{"user_id":"`+emulator.UserA+`","kind":"`+kind+`"}`)
		var got struct {
			Token string `json:"token"`
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || got.Token == "" {
			t.Fatalf("%s: got %s", kind, body)
		}
		c.policy(map[string]string{"bearer": "Bearer ", "saml": "SAML "}[kind]+got.Token, "WS-101", emulator.ProductCapped)
	}
	if got, body := turn("POST", "/tokens", `{"user_id":"`+emulator.UserA+`","kind":"other"}`); got != http.StatusConflict {
		t.Errorf("got %d %s, want 409", got, body)
	}
	until := c.time.Add(24 * time.Hour).Format(time.RFC3339)
	if got, body := turn("POST", "/checkouts", `{"user_id":"`+emulator.UserA+`","machine_name":"LAPTOP-7","products":["`+emulator.ProductCapped+`"],"until":"`+until+`"}`); got != http.StatusOK {
		t.Errorf("got %d %s, want a file", got, body)
	} else if _, err := cloudapi.ReadCheckoutFile([]byte(body)); err != nil {
		t.Errorf("got %v of %s", err, body)
	}
	if got, body := turn("POST", "/checkouts", `{"user_id":"`+emulator.UserA+`","machine_name":"WS-1","products":["`+emulator.ProductCapped+`"],"until":"`+until+`"}`); got != http.StatusConflict || !strings.Contains(body, cloudapi.ReasonMachineActive) {
		t.Errorf("got %d %s, want 409", got, body)
	}
	if _, body := turn("GET", "/desktops", ""); !strings.Contains(body, "LAPTOP-7") {
		t.Errorf("got %s, want the checkout in it", body)
	}
	before := c.PolicyCertificate()
	turn("POST", "/policies/rotate", "")
	if before.Equal(c.PolicyCertificate()) {
		t.Error("the certificate is as before")
	}
}
