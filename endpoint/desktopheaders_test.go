package endpoint

import (
	"net/http"
	"strings"
	"testing"

	"sitegate/upstream/cloudapi"
)

// What a client says beside what the vendor's services are for does not leave, and what the
// vendor says to browsers does not come back.
func TestHeadersThatDoNotLeave(t *testing.T) {
	d := newDesktopRig(t)
	var heard http.Header
	d.breaks(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != getPolicy {
			return false
		}
		heard = r.Header.Clone()
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusNotFound)
		w.Write([]byte("<script>"))
		return true
	})
	h := header{"X-Original-URL": "/admin", "X-Rewrite-URL": "/admin", "X-HTTP-Method-Override": "DELETE", "Range": "bytes=0-1", "Cookie": "a=b", "X-Forwarded-Host": "x",
		"Authorization": d.bearer(t, "ada")["Authorization"], "Accept-Language": "de", "X-Ms-Blob-Type": "BlockBlob", "SOAPAction": "x"}
	a := d.policy(t, h, "WS-101", "1234")
	for name := range h {
		_, there := heard[http.CanonicalHeaderKey(name)]
		if want := strings.HasPrefix(name, "A") || name == "SOAPAction"; there != want {
			t.Errorf("the vendor hears of %s: %v, want %v", name, there, want)
		}
	}
	if got := a.Header.Values("Set-Cookie"); a.StatusCode != 404 || len(got) > 0 {
		t.Errorf("%d with the vendor's cookies %v, want 404 and none", a.StatusCode, got)
	}
	if got := a.Header.Values("Content-Security-Policy"); len(got) != 1 || got[0] != "sandbox" {
		t.Errorf("Content-Security-Policy %q, want sandbox", got)
	}
}

// A service that is relayed is named by its own address here, also where the vendor's
// discovery names that of another one.
func TestServiceIsNamedByItsOwnAddress(t *testing.T) {
	d := newDesktopRig(t)
	rl := d.e.relay
	ask := cloudapi.GetURL{Name: cloudapi.ServicePolicy, Region: rl.cfg.Region}
	policy, posting := rl.services[0], rl.services[1]
	for named, want := range map[string]string{
		policy.to.String():                rl.cfg.URL + policy.path,
		policy.to.String() + "/v9":        rl.cfg.URL + policy.path + "/v9",
		posting.to.String():               rl.cfg.URL + policy.path,
		"https://elsewhere.example/other": rl.cfg.URL + policy.path,
	} {
		if got := rl.own(ask, named); got != want {
			t.Errorf("named %s: %s, want %s", named, got, want)
		}
	}
	if got, want := rl.own(cloudapi.GetURL{Name: "Another"}, posting.to.String()), rl.cfg.URL+posting.path; got != want {
		t.Errorf("another service at the address of one that is relayed: %s, want %s", got, want)
	}
}

// An access key gets no policy of a user's, and no token goes along with it.
func TestServerPolicyOfAUserDoesNotLeave(t *testing.T) {
	d := newDesktopRig(t)
	d.cloud.AddAccessKey("k-1")
	d.breaks(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "" {
			t.Error("the vendor hears of a token")
		}
		return false
	})
	body := strings.Replace(asking(t, "WS-101", "1234"), "{", `{"MachineSID":"x","AccessKey":"k-1",`, 1)
	const path = cloudapi.DefaultPolicyPath + cloudapi.PathGetPolicyWithAccessKey
	if a := d.call(t, "", "POST", path, body, d.bearer(t, "ada")); a.StatusCode != 200 {
		t.Errorf("%d %s, want the server's policy", a.StatusCode, a.raw)
	}
	d.cloud.ShapePolicies(func(p *cloudapi.Policy) { p.AppliesToUserID = "ADA" })
	d.withholds(t, d.call(t, "", "POST", path, body), 502, relayNotSigned)
}

// What is relayed without a token has a budget of its own, and what is answered from here
// costs nothing of it; bad tokens are counted apart.
func TestBudgetOfWhatIsNotSigned(t *testing.T) {
	d := newDesktopRig(t)
	d.e.relay.unsigned = newLimits[string](Rate{PerSecond: 0.001, Burst: 1})
	d.e.strays = newStrangers(Rate{PerSecond: 0.001, Burst: 2}, anyPace)
	const certificate = cloudapi.DefaultPolicyPath + cloudapi.PathSigningCertificate
	for i, want := range []int{200, 429, 429, 429} {
		if a := d.call(t, "", "GET", certificate, nil); a.StatusCode != want {
			t.Errorf("certificate %d: %d, want %d", i, a.StatusCode, want)
		}
	}
	for i := range 3 {
		want := 401
		if i == 2 {
			want = 429
		}
		if a := d.policy(t, header{"Authorization": "Bearer x"}, "WS-101", "1234"); a.StatusCode != want {
			t.Errorf("bad token %d: %d, want %d", i, a.StatusCode, want)
		}
	}
}
