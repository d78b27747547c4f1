package cloudapi_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"sitegate/upstream/cloudapi"
)

func TestPolicyRequestIsReadUnderBothSpellings(t *testing.T) {
	for name, body := range map[string]string{
		"text and Version":   `{"MachineName":"WS-101","RequestedSecurables":[{"ProductId":"3101","FeatureString":"","Version":"10.2.3.4"}],"ClientDateTime":"x","New":[1]}`,
		"number and Vesrion": `{"MachineName":"WS-101","RequestedSecurables":[{"ProductId":3101,"FeatureString":"","Vesrion":"10.2.3.4"}]}`,
		"both":               `{"MachineName":"WS-101","RequestedSecurables":[{"ProductId":3101,"Version":"10.2.3.4","Vesrion":"1"}]}`,
	} {
		r, err := cloudapi.ReadPolicyRequest([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := r.RequestedSecurables[0]; r.MachineName != "WS-101" || got.ProductID != "3101" || got.Version != "10.2.3.4" || got.Misspelt != strings.HasSuffix(name, "and Vesrion") {
			t.Errorf("%s: got %+v", name, r)
		}
	}
}

func TestPolicyRequestRefusesWhatTwoCouldReadTwoWays(t *testing.T) {
	const one = `"RequestedSecurables":[{"ProductId":1}]`
	for name, body := range map[string]string{
		"nothing":           "",
		"cut short":         `{"MachineName":"a",` + one,
		"two machines":      `{"MachineName":"a","MachineName":"b",` + one + `}`,
		"in another case":   `{"MachineName":"a","machinename":"b",` + one + `}`,
		"with a long s":     `{"MachineName":"a",` + one + `,"Requeſtedsecurables":[{"ProductId":2}]}`,
		"twice in a list":   `{"MachineName":"a","RequestedSecurables":[{"ProductId":1,"ProductId":2}]}`,
		"two values":        `{"MachineName":"a",` + one + `}{}`,
		"no product":        `{"MachineName":"a","RequestedSecurables":[]}`,
		"many products":     `{"MachineName":"a","RequestedSecurables":[{}` + strings.Repeat(",{}", cloudapi.MaxSecurables) + `]}`,
		"no machine":        `{` + one + `}`,
		"a product of 1.5":  `{"MachineName":"a","RequestedSecurables":[{"ProductId":1.5}]}`,
		"a product object":  `{"MachineName":"a","RequestedSecurables":[{"ProductId":{}}]}`,
		"too deep":          `{"MachineName":"a","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `,` + one + `}`,
		"too large":         `{"MachineName":"a",` + one + `}` + strings.Repeat(" ", cloudapi.MaxPolicyRequest),
		"not UTF-8":         "{\"MachineName\":\"\xff\"," + one + "}",
		"an array":          `[]`,
		"a broken document": `{"MachineName":"a",]`,
	} {
		if r, err := cloudapi.ReadPolicyRequest([]byte(body)); err == nil {
			t.Errorf("%s: got %+v, want it refused", name, r)
		}
	}
}

// A version keeps the name it came under; a number is a number, however it was written.
func TestSecurableKeepsItsSpelling(t *testing.T) {
	for _, s := range []string{`{"ProductId":3101,"FeatureString":"f","Version":"1.2.3.4"}`, `{"ProductId":3101,"FeatureString":"f","Vesrion":"1.2.3.4"}`, `{"ProductId":"A310","FeatureString":"","Version":""}`, `{"ProductId":"0310","FeatureString":"","Version":""}`} {
		want := strings.Replace(s, `"0310"`, "310", 1)
		var w cloudapi.SecurableWanted
		err := json.Unmarshal([]byte(s), &w)
		got, err2 := json.Marshal(w)
		if err != nil || err2 != nil || string(got) != want {
			t.Errorf("got %s, %v, %v, want %s", got, err, err2, want)
		}
	}
}

func TestDatesAreUTC(t *testing.T) {
	at := time.Date(2026, 11, 22, 8, 30, 0, 0, time.UTC)
	for s, want := range map[string]time.Time{
		`"2026-11-22T08:30:00Z"`: at, `"2026-11-22T08:30:00.0000000"`: at, `"2026-11-22T09:30:00+01:00"`: at, `"2026-11-22T08:30:00.123Z"`: at.Add(123 * time.Millisecond),
		`null`: {}, `""`: {},
	} {
		var d cloudapi.Date
		if err := json.Unmarshal([]byte(s), &d); err != nil || !d.Equal(want) {
			t.Errorf("%s: got %v, %v, want %v", s, d, err, want)
		}
	}
	var d cloudapi.Date
	if err := json.Unmarshal([]byte(`"tomorrow"`), &d); err == nil {
		t.Errorf("got %v, want it refused", d)
	}
}

// somePolicy says something of two products: 3101 in two features, 3102.
func somePolicy() cloudapi.Policy {
	q := func(name, value string) cloudapi.Qualifier { return cloudapi.Qualifier{Name: name, Value: value} }
	return cloudapi.Policy{
		PolicyID: "p-1", PolicyVersion: "1.0",
		Securables: []cloudapi.Securable{
			{SecurableID: "s-1", ProductID: "3101", Overrides: []cloudapi.Qualifier{q("b", "securable"), q("c", "securable")}},
			{SecurableID: "s-2", ProductID: "3101", Feature: "plus"},
			{SecurableID: "s-3", ProductID: "3102"},
		},
		ACLs: []cloudapi.ACL{
			{PrincipalID: "u", SecurableID: "s-1", AccessKind: cloudapi.AccessAllowed, Overrides: []cloudapi.Qualifier{q("c", "acl")}},
			{PrincipalID: "u", SecurableID: "s-2", AccessKind: cloudapi.AccessDenied},
			{PrincipalID: "u", SecurableID: "s-3", AccessKind: cloudapi.AccessDenied},
			{PrincipalID: "o", SecurableID: "s-3", AccessKind: cloudapi.AccessMaybe, Overrides: []cloudapi.Qualifier{q("a", "second acl")}},
		},
		Defaults: []cloudapi.Qualifier{q("a", "default"), q("b", "default"), q("c", "default"), q(cloudapi.QualifierPolicyInterval, "240"), q(cloudapi.QualifierAllowOfflineUsage, "TRUE")},
	}
}

func TestQualifiersAreLookedUpInTheirOrder(t *testing.T) {
	p := somePolicy()
	for _, s := range []struct{ product, feature, name, want string }{
		{"3101", "", "a", "default"}, {"3101", "", "b", "securable"}, {"3101", "", "c", "acl"},
		{"3101", "plus", "c", "default"}, {"3102", "", "a", "second acl"}, {"9999", "", "c", "default"}, {"3101", "", "none", ""},
	} {
		got, there := p.Qualifier(cloudapi.ProductID(s.product), s.feature, s.name)
		if got != s.want || there != (s.want != "") {
			t.Errorf("%s of %s %s: got %q, %v, want %q", s.name, s.product, s.feature, got, there, s.want)
		}
	}
	if got, ok := p.Minutes("3101", "", cloudapi.QualifierPolicyInterval); !ok || got != 4*time.Hour {
		t.Errorf("got %v, %v, want 4h", got, ok)
	}
	if got, ok := p.Minutes("3101", "", "a"); ok {
		t.Errorf("got %v of text", got)
	}
	if !p.True("3101", "", cloudapi.QualifierAllowOfflineUsage) || p.True("3101", "", "a") {
		t.Error("TRUE is read wrong")
	}
}

func TestAccessIsTheMostThatAnACLAllows(t *testing.T) {
	p := somePolicy()
	for _, s := range []struct {
		product, feature string
		want             cloudapi.AccessKind
		allows           bool
	}{
		{"3101", "", cloudapi.AccessAllowed, true}, {"3101", "plus", cloudapi.AccessDenied, false}, {"3102", "", cloudapi.AccessMaybe, true}, {"3103", "", cloudapi.AccessNone, false},
	} {
		if got := p.Access(cloudapi.ProductID(s.product), s.feature); got != s.want || got.Allows() != s.allows {
			t.Errorf("%s %s: got %d that allows: %v, want %d, %v", s.product, s.feature, got, got.Allows(), s.want, s.allows)
		}
	}
}

func TestQualifierTakesValuesThatAreNoText(t *testing.T) {
	var q []cloudapi.Qualifier
	err := json.Unmarshal([]byte(`[{"Name":"a","Value":true},{"Name":"b","Value":240},{"Name":"c","Value":null,"Prompt":null},{"Name":"d","Value":"TRUE"}]`), &q)
	if err != nil || q[0].Value != "true" || q[1].Value != "240" || q[2].Value != "" || q[3].Value != "TRUE" {
		t.Errorf("got %+v, %v", q, err)
	}
}

// signer signs policies as the vendor does, with a key of the test's own.
type signer struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

func newSigner(t *testing.T, bits int) signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "policies"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key, cert}
}

func (s signer) token(t *testing.T, head string, claims string) string {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString([]byte(head)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

const head = `{"typ":"JWT","alg":"RS256"}`

func claimsOf(t *testing.T, p cloudapi.Policy) string {
	t.Helper()
	doc, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	all, err := json.Marshal(map[string]any{"iss": cloudapi.PolicyIssuer, "nbf": 1_700_000_000, "exp": 1_700_604_800, cloudapi.ClaimPolicy: base64.StdEncoding.EncodeToString(doc)})
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

func TestSignedPolicyIsRead(t *testing.T) {
	s := newSigner(t, 2048)
	token := s.token(t, head, claimsOf(t, somePolicy()))
	body, err := json.Marshal(token)
	if err != nil {
		t.Fatal(err)
	}
	p, err := cloudapi.ReadPolicyAnswer(body)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(s.cert); err != nil {
		t.Errorf("its own certificate: %v", err)
	}
	if p.Token != token || p.Issuer != cloudapi.PolicyIssuer || p.Expires.Sub(p.NotBefore) != 7*24*time.Hour || p.Policy.Access("3101", "") != cloudapi.AccessAllowed {
		t.Errorf("got %+v", p)
	}
	if err := p.Verify(newSigner(t, 2048).cert); !errors.Is(err, cloudapi.ErrSignature) {
		t.Errorf("another certificate: got %v, want %v", err, cloudapi.ErrSignature)
	}
	denied := somePolicy()
	denied.ACLs[0].AccessKind = cloudapi.AccessDenied
	parts, other := strings.Split(token, "."), strings.Split(s.token(t, head, claimsOf(t, denied)), ".")
	forged, err := cloudapi.ReadPolicyToken(strings.Join([]string{other[0], parts[1], other[2]}, "."))
	if err != nil {
		t.Fatal(err)
	}
	if err := forged.Verify(s.cert); !errors.Is(err, cloudapi.ErrSignature) {
		t.Errorf("another policy's signature: got %v, want %v", err, cloudapi.ErrSignature)
	}
}

func TestWeakKeysAreNotBelieved(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	s := newSigner(t, 1024)
	p, err := cloudapi.ReadPolicyToken(s.token(t, head, claimsOf(t, somePolicy())))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(s.cert); !errors.Is(err, cloudapi.ErrSignature) {
		t.Errorf("got %v, want %v", err, cloudapi.ErrSignature)
	}
}

func TestTokensThatAreNone(t *testing.T) {
	s := newSigner(t, 2048)
	good := claimsOf(t, somePolicy())
	whole := s.token(t, head, good)
	for name, token := range map[string]string{
		"nothing":         "",
		"two parts":       whole[:strings.LastIndex(whole, ".")],
		"cut short":       whole[:len(whole)/2],
		"not signed":      s.token(t, `{"alg":"none"}`, good),
		"a shared secret": s.token(t, `{"alg":"HS256"}`, good),
		"two algorithms":  s.token(t, `{"alg":"RS256","ALG":"none"}`, good),
		"critical":        s.token(t, `{"alg":"RS256","crit":["b64"]}`, good),
		"no policy":       s.token(t, head, `{"exp":1}`),
		"two policies":    s.token(t, head, good[:len(good)-1]+`,"`+cloudapi.ClaimPolicy+`":"e30="}`),
		"no JSON":         s.token(t, head, `{"`+cloudapi.ClaimPolicy+`":"bm90aGluZw=="}`),
		"padded":          strings.Replace(whole, ".", "=.", 1),
	} {
		if p, err := cloudapi.ReadPolicyToken(token); err == nil {
			t.Errorf("%s: got %+v, want it refused", name, p)
		}
	}
}

func TestCheckoutFileIsReadAndWritten(t *testing.T) {
	s := newSigner(t, 2048)
	line2 := base64.StdEncoding.EncodeToString(s.cert.Raw)
	file := s.token(t, head, claimsOf(t, somePolicy())) + "\n" + line2
	for name, text := range map[string]string{"as it is": file, "of another system": strings.ReplaceAll(file, "\n", "\r\n") + "\r\n"} {
		f, err := cloudapi.ReadCheckoutFile([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := f.Policy.Verify(s.cert); err != nil || !f.Certificate.Equal(s.cert) || string(f.Bytes()) != file {
			t.Errorf("%s: got %v and\n%s, want\n%s", name, err, f.Bytes(), file)
		}
	}
	for name, text := range map[string]string{"nothing": "", "one line": strings.TrimSuffix(file, "\n"+line2), "three lines": file + "\n" + line2, "no certificate": file[:len(file)-20]} {
		if _, err := cloudapi.ReadCheckoutFile([]byte(text)); err == nil {
			t.Errorf("%s: want it refused", name)
		}
	}
	answer, err := json.Marshal(line2)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := cloudapi.ReadCertificateAnswer(answer); err != nil || !c.Equal(s.cert) {
		t.Errorf("the certificate's answer: got %v, %v", c, err)
	}
}

func TestEntitlements(t *testing.T) {
	r, err := cloudapi.ReadEntitlementRequest([]byte(`{"RequestedSecurables":[{"ProductId":"3101","FeatureString":""}],"MachineName":"WS-101","CreateTrial":"true"}`))
	if err != nil || r.RequestedSecurables[0].ProductID != "3101" || r.CreateTrial != "true" {
		t.Errorf("got %+v, %v", r, err)
	}
	a, err := cloudapi.ReadEntitlementAnswer([]byte(`{"result":{"Entitlements":[{"ProductId":3101,"FeatureString":"","LicenseStatus":"Allowed","PrincipalId":"u","ExpiresOn":"2026-12-01T00:00:00Z"}]}}`))
	if err != nil || len(a.Result.Entitlements) != 1 || !a.Result.Entitlements[0].LicenseStatus.Allows() {
		t.Errorf("got %+v, %v", a, err)
	}
	for _, no := range []cloudapi.EntitlementStatus{cloudapi.StatusNoLicense, cloudapi.StatusDenied, cloudapi.StatusDeniedTrial} {
		if no.Allows() {
			t.Errorf("%s allows", no)
		}
	}
	if _, err := cloudapi.ReadEntitlementRequest([]byte(`{"RequestedSecurables":[]}`)); err == nil {
		t.Error("no product: want it refused")
	}
}

func FuzzPolicyToken(f *testing.F) {
	f.Add("eyJhbGciOiJSUzI1NiJ9.e30.AA", []byte(`{"MachineName":"a","RequestedSecurables":[{"ProductId":1}]}`))
	f.Fuzz(func(t *testing.T, token string, body []byte) {
		cloudapi.ReadPolicyToken(token)
		cloudapi.ReadPolicyRequest(body)
		cloudapi.ReadCheckoutFile(body)
		cloudapi.ReadEntitlementAnswer(body)
	})
}
