package endpoint

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sitegate/emulator"
	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

func TestWhatTheMirrorMissesIsReadAnew(t *testing.T) {
	d := newDesktopRig(t)
	d.node.do(t, license.Mirror{From: "c1", Cursor: "c2", Changes: []license.Change{{License: &license.License{ID: "l-1", Product: "1234"}}}})
	d.withholds(t, d.policy(t, d.bearer(t, "ada"), "WS-101", "1234"), 403, "not-assigned")
	d.node.set(func() {
		d.node.news = license.Mirror{From: "c2", Cursor: "c3", Changes: []license.Change{{License: &license.License{ID: "l-1", Product: "1234", Assignee: "ada"}}}}
	})
	d.gives(t, d.bearer(t, "ada"), "WS-101", "1234")
}

func TestAnswersThatDoNotLeave(t *testing.T) {
	d, lines := newDesktopRig(t), map[string]int{}
	for name, c := range map[string]struct {
		terms  emulator.PolicyTerms
		broken func(http.ResponseWriter, *http.Request) bool
		code   string
	}{
		"another key":        {terms: emulator.PolicyTerms{WrongKey: true}, code: relayNotSigned},
		"altered":            {terms: emulator.PolicyTerms{Altered: true}, code: relayNotSigned},
		"half a token":       {terms: emulator.PolicyTerms{Short: true}, code: relayNotSigned},
		"it has ended":       {terms: emulator.PolicyTerms{Life: -time.Hour}, code: relayNotSigned},
		"cut short":          {broken: cutShort, code: relayCutShort},
		"too large":          {broken: tooLarge, code: relayBadAnswer},
		"a redirect":         {broken: redirectTo("https://elsewhere.example/api/GetPolicy"), code: relayRedirected},
		"an encoded one":     {broken: encoded, code: relayBadAnswer},
		"protocols switched": {broken: switching, code: relayBadAnswer},
		"no answer":          {broken: hangUp, code: relayUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			c.terms.Blind = true
			d.cloud.SetPolicyTerms(c.terms)
			d.breaks(func(w http.ResponseWriter, r *http.Request) bool {
				return c.broken != nil && r.URL.Path == getPolicy && c.broken(w, r)
			})
			d.withholds(t, d.policy(t, d.bearer(t, "ada"), "WS-101", "1234"), http.StatusBadGateway, c.code)
			if n := d.node.sessionCount(); n != 0 {
				t.Errorf("there are %d sessions, want none", n)
			}
			lines[c.code]++
			d.lines(t, c.code, lines[c.code])
		})
	}
}

func TestRedirectWithinTheVendorStaysHere(t *testing.T) {
	d := newDesktopRig(t)
	d.breaks(func(w http.ResponseWriter, r *http.Request) bool {
		return r.URL.Path == getPolicy && redirectTo(cloudapi.DefaultPolicyPath+"/v2/GetPolicy")(w, r)
	})
	q, err := http.NewRequest("POST", d.URL+getPolicy, strings.NewReader(asking(t, "WS-101", "1234")))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Authorization", d.bearer(t, "ada")["Authorization"])
	resp, err := d.Client().Transport.RoundTrip(q)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	const want = "https://licenses.example:8443" + cloudapi.DefaultPolicyPath + "/v2/GetPolicy"
	if got := resp.Header.Get("Location"); resp.StatusCode != 307 || got != want {
		t.Errorf("%d to %q, want 307 to %q", resp.StatusCode, got, want)
	}
}

func TestAnswerIsThatOfTheVendorByteForByte(t *testing.T) {
	d := newDesktopRig(t)
	var sent []byte
	d.breaks(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != getPolicy {
			return false
		}
		for _, h := range []string{"X-Forwarded-For", "Forwarded", "Upgrade", "Te", "Expect", "X-Secret-Hop"} {
			if v := r.Header.Get(h); v != "" {
				t.Errorf("the vendor is told %s: %s", h, v)
			}
		}
		if got := r.Header.Get("User-Agent"); got != "CONNECTION Client/23.0" {
			t.Errorf("the vendor hears of the client as %q", got)
		}
		rec := httptest.NewRecorder()
		d.cloud.ServeHTTP(rec, r)
		sent = append([]byte(" "), append(rec.Body.Bytes(), '\n')...)
		w.Header().Set("Content-Type", "application/json; odata=verbose")
		w.Header().Set("Strict-Transport-Security", "max-age=1")
		w.WriteHeader(http.StatusOK)
		w.Write(sent)
		return true
	})
	h := d.bearer(t, "ada")
	for k, v := range (header{"X-Forwarded-For": "10.1.1.1", "Forwarded": "for=10.1.1.1", "Connection": "Upgrade, X-Secret-Hop", "Upgrade": "h2c", "Expect": "100-continue",
		"X-Secret-Hop": "1", "User-Agent": "CONNECTION Client/23.0", "Te": "trailers"}) {
		h[k] = v
	}
	a := d.policy(t, h, "WS-101", "1234")
	if a.StatusCode != 200 || string(a.raw) != string(sent) {
		t.Errorf("%d %q, want %q", a.StatusCode, a.raw, sent)
	}
	if got := a.Header.Get("Content-Type"); got != "application/json; odata=verbose" {
		t.Errorf("Content-Type %q is not the vendor's", got)
	}
	if got := a.Header.Get("Strict-Transport-Security"); got != "" {
		t.Errorf("what is true of the vendor's host is said of this one: %q", got)
	}
}

func TestRequestsForPoliciesThatAreNotSound(t *testing.T) {
	d := newDesktopRig(t)
	sound := asking(t, "WS-101", "1234")
	for name, c := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"a field twice":                 {strings.Replace(sound, "{", `{"MachineName":"LAPTOP-7",`, 1), 400, "malformed"},
		"twice in another case":         {strings.Replace(sound, "{", `{"machinename":"LAPTOP-7",`, 1), 400, "malformed"},
		"no machine":                    {asking(t, " ", "1234"), 400, "malformed"},
		"a machine of dots":             {asking(t, `CORP\`, "1234"), 400, "malformed"},
		"a machine with a line in it":   {asking(t, "WS\n101", "1234"), 400, "malformed"},
		"no product":                    {asking(t, "WS-101"), 400, "malformed"},
		"half":                          {sound[:len(sound)/2], 400, "malformed"},
		"two":                           {sound + sound, 400, "malformed"},
		"larger than any":               {sound + strings.Repeat(" ", cloudapi.MaxPolicyRequest), 413, relayTooLarge},
		"a machine with a name so long": {asking(t, strings.Repeat("W", 300), "1234"), 400, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			before := d.asked.Load()
			d.withholds(t, d.call(t, "", "POST", getPolicy, c.body, d.bearer(t, "ada")), c.status, c.code)
			if d.asked.Load() != before {
				t.Error("the vendor was asked")
			}
		})
	}
}

// A client that never sends what it has announced is told so and let go.
func TestARelayedRequestThatNeverComesIsLetGo(t *testing.T) {
	t.Parallel()
	d := newDesktopRig(t)
	c, err := tls.Dial("tcp", d.Listener.Addr().String(), &tls.Config{RootCAs: d.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(bodyTimeout + 20*time.Second))
	if _, err := c.Write([]byte("POST " + getPolicy + " HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: " + d.bearer(t, "ada")["Authorization"] +
		"\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n{")); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 4096)
	n, err := c.Read(head)
	if err != nil || !strings.HasPrefix(string(head[:n]), "HTTP/1.1 408 ") || !strings.Contains(string(head[:n]), relayTooSlow) {
		t.Errorf("%v %q, want 408 %s", err, head[:n], relayTooSlow)
	}
	if d.asked.Load() != 0 {
		t.Error("the vendor was asked")
	}
}

func TestKeyOfTheVendorIsReadAnew(t *testing.T) {
	d := newDesktopRig(t)
	ada := d.bearer(t, "ada")
	d.gives(t, ada, "WS-101", "1234")
	d.cloud.RotatePolicyKey()
	d.e.relay.signers.mu.Lock()
	d.e.relay.signers.tried = time.Now().Add(-signersAtMost)
	d.e.relay.signers.mu.Unlock()
	d.gives(t, ada, "WS-101", "1234")
}

func TestCertificateIsPassedOn(t *testing.T) {
	d := newDesktopRig(t)
	a := d.call(t, "", "GET", cloudapi.DefaultPolicyPath+cloudapi.PathSigningCertificate, nil)
	got, err := cloudapi.ReadCertificateAnswer(a.raw)
	if err != nil || !got.Equal(d.cloud.PolicyCertificate()) {
		t.Fatalf("%d %v: %s", a.StatusCode, err, a.raw)
	}
	before := d.asked.Load()
	d.gives(t, d.bearer(t, "ada"), "WS-101", "1234")
	if n := d.asked.Load() - before; n != 1 {
		t.Errorf("a policy took %d requests to the vendor, want 1: the certificate has come by", n)
	}
}

func TestLimitsOfTheRelay(t *testing.T) {
	d := newDesktopRig(t, func(c *Config) { c.Rate = Rate{PerSecond: 0.001, Burst: 2} })
	ada := d.bearer(t, "ada")
	d.gives(t, ada, "WS-101", "2001")
	d.gives(t, ada, "WS-101", "2001")
	before := d.asked.Load()
	a := d.policy(t, ada, "WS-101", "2001")
	if a.StatusCode != 429 || a.Header.Get("Retry-After") == "" || d.asked.Load() != before {
		t.Errorf("the third request: %d, Retry-After %q, %d requests to the vendor; want 429 and none", a.StatusCode, a.Header.Get("Retry-After"), d.asked.Load()-before)
	}
	d.gives(t, d.bearer(t, "ben"), "WS-101", "1234") // another's
}
