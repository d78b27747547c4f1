package endpoint

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sitegate/emulator"
	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// desktopRig is a node that relays to the vendor's stand-in, with TLS on both sides: ada
// and ben have the capped product 1234 and ada the uncapped 2001. The node's mirror says
// the same as the cloud, unless it is changed.
type desktopRig struct {
	*rig
	cloud  *emulator.Emulator
	vendor *httptest.Server
	asked  atomic.Int64             // requests to the vendor
	broken atomic.Pointer[breakage] // answers instead of the cloud; nil: it answers itself
}

// breakage answers a request in the cloud's place and says so, or leaves it to the cloud.
type breakage = func(http.ResponseWriter, *http.Request) bool

// breaks has broken answer from now on, and the cloud itself if it is nil. The node asks
// the cloud at any time, not only when a test has it ask.
func (d *desktopRig) breaks(broken breakage) {
	if broken == nil {
		d.broken.Store(nil)
		return
	}
	d.broken.Store(&broken)
}

func newDesktopRig(t testing.TB, change ...func(*Config)) *desktopRig {
	t.Helper()
	d := &desktopRig{cloud: &emulator.Emulator{}}
	d.vendor = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/Bentley.") {
			d.asked.Add(1)
		}
		if broken := d.broken.Load(); broken != nil && (*broken)(w, r) {
			return
		}
		d.cloud.ServeHTTP(w, r)
	}))
	t.Cleanup(d.vendor.Close)
	d.cloud.Issuer = d.vendor.URL
	d.cloud.SetAccount(cloudapi.Account{ID: "a-1", Name: "Acme"})
	year := time.Now().AddDate(1, 0, 0)
	node := newNode(t)
	fill := license.Mirror{Full: true, Last: true, Cursor: "c1", Changes: []license.Change{{Account: &license.Account{ID: "a-1"}}}}
	for _, u := range []string{"ada", "ben"} {
		d.cloud.PutUser(cloudapi.User{ID: u, Email: u + "@example.org", Name: u, Country: "DE"})
		fill.Changes = append(fill.Changes, license.Change{User: &license.User{ID: license.UserID(u), Email: u + "@example.org", Country: "DE"}})
	}
	for id, capped := range map[string]license.Capped{"1234": license.CappedYes, "2001": license.CappedNo} {
		d.cloud.PutProduct(cloudapi.Product{ID: id, Name: "Product " + id, Capped: cloudapi.Capped(capped.String())})
		fill.Changes = append(fill.Changes, license.Change{Product: &license.Product{ID: license.ProductID(id), Capped: capped}})
	}
	for _, l := range [][3]string{{"l-1", "1234", "ada"}, {"l-2", "1234", "ben"}, {"l-3", "2001", "ada"}} {
		d.cloud.PutLicense(cloudapi.License{ID: l[0], ProductID: l[1], Kind: cloudapi.LicenseVirtuoso, StartsAt: time.Now().AddDate(0, 0, -1), EndsAt: year, AssignedTo: l[2]})
		fill.Changes = append(fill.Changes, license.Change{License: &license.License{ID: license.LicenseID(l[0]), Product: license.ProductID(l[1]), Assignee: license.UserID(l[2])}})
	}
	node.do(t, fill)
	node.do(t, license.Configure{Settings: license.Settings{Relay: true}})
	configure := func(c *Config) {
		relayTo(d.vendor.URL, d.vendor.Client().Transport)(c)
		c.Issuers = []Issuer{{URL: d.vendor.URL, Audience: emulator.UserAudience, Client: d.vendor.Client()}}
	}
	d.rig = secured(t, newRig(t, node, append([]func(*Config){configure}, change...)...))
	d.cloud.SetPolicyTerms(emulator.PolicyTerms{Blind: true}) // the site is to find out by itself
	return d
}

func (d *desktopRig) bearer(t testing.TB, user string) header {
	t.Helper()
	token, err := d.cloud.UserToken(d.cloud.Issuer, user, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return header{"Authorization": "Bearer " + token}
}

func (d *desktopRig) saml(t *testing.T, user string) header {
	t.Helper()
	token, err := d.cloud.SAMLToken(user, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return header{"Authorization": "SAML " + token}
}

// asking is the body of a request for a policy.
func asking(t testing.TB, machine string, products ...string) string {
	t.Helper()
	r := cloudapi.PolicyRequest{MachineName: machine, Locale: "en", AppliesTo: cloudapi.AppliesTo, ClientDateTime: "2026-05-04T08:00:00Z"}
	for _, p := range products {
		r.RequestedSecurables = append(r.RequestedSecurables, cloudapi.SecurableWanted{ProductID: cloudapi.ProductID(p), Version: "10.2.3.4"})
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const getPolicy = cloudapi.DefaultPolicyPath + cloudapi.PathGetPolicy

func (d *desktopRig) policy(t testing.TB, who header, machine string, products ...string) answer {
	t.Helper()
	return d.call(t, "", "POST", getPolicy, asking(t, machine, products...), who)
}

// gives expects a policy that allows the first product, as the vendor signed it.
func (d *desktopRig) gives(t *testing.T, who header, machine string, products ...string) {
	t.Helper()
	a := d.policy(t, who, machine, products...)
	if a.StatusCode != 200 {
		t.Fatalf("%d %s, want a policy", a.StatusCode, a.raw)
	}
	p, err := cloudapi.ReadPolicyAnswer(a.raw)
	if err == nil {
		err = p.Verify(d.cloud.PolicyCertificate())
	}
	if err != nil || !p.Policy.Access(cloudapi.ProductID(products[0]), "").Allows() {
		t.Fatalf("%v, want a policy that allows %s: %s", err, products[0], a.raw)
	}
}

// withholds expects an error without a policy.
func (d *desktopRig) withholds(t *testing.T, a answer, status int, code string) {
	t.Helper()
	if got := a.Header.Get("X-Sitegate-Error"); a.StatusCode != status || got != code {
		t.Errorf("%d %q, want %d %q: %s", a.StatusCode, got, status, code, a.raw)
	}
	if strings.Contains(string(a.raw), "eyJ") {
		t.Errorf("something of the vendor's answer is in it: %s", a.raw)
	}
}

// sessions are those of a user, as "product machine".
func (d *desktopRig) sessions(user license.UserID) (list []string) {
	d.node.View(func(s *license.State) {
		if a := s.Active(user); a != nil {
			for _, x := range a.Sessions {
				list = append(list, string(x.Product)+" "+x.Machine.Name)
			}
		}
	})
	return list
}

func (d *desktopRig) attempts() (list []license.Attempted) {
	d.node.set(func() {
		for _, f := range d.node.facts {
			if a, ok := f.(license.Attempted); ok {
				list = append(list, a)
			}
		}
	})
	return list
}

func (d *desktopRig) head() (h license.Head) {
	d.node.View(func(s *license.State) { h = s.Head() })
	return h
}

// line is the one line of the log that gives a reason.
func (d *desktopRig) line(t *testing.T, reason string) string {
	t.Helper()
	lines := d.lines(t, reason, 1)
	return lines[0]
}

// lines are those of the log that give a reason, of which there are n; they are written
// after the answer.
func (d *desktopRig) lines(t *testing.T, reason string, n int) (found []string) {
	t.Helper()
	eventually(t, "a line about it", func() bool {
		found = slices.DeleteFunc(strings.Split(d.log.String(), "\n"), func(l string) bool { return !strings.Contains(l, `"reason":"`+reason) })
		return len(found) >= n
	})
	if len(found) != n {
		t.Fatalf("%d lines give %s as the reason, want %d: %q", len(found), reason, n, found)
	}
	return found
}

func (n *oneNode) sessionCount() (count int) {
	n.View(func(s *license.State) { count = s.Counts().Sessions })
	return count
}

func cutShort(w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("Content-Length", "1000")
	w.Write([]byte(`"eyJ`))
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func hangUp(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }

func tooLarge(w http.ResponseWriter, _ *http.Request) bool {
	w.Write([]byte(`"` + strings.Repeat("e", cloudapi.MaxPolicy) + `"`))
	return true
}

func encoded(w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("Content-Encoding", "gzip")
	w.Write([]byte{0x1f, 0x8b})
	return true
}

func switching(w http.ResponseWriter, _ *http.Request) bool {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer c.Close()
	rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
	rw.Flush()
	return true
}

func redirectTo(to string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, to, http.StatusTemporaryRedirect)
		return true
	}
}
