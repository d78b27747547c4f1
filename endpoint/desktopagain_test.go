package endpoint

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sitegate/emulator"
	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// cuttable is a way to the vendor that can be cut.
type cuttable struct {
	http.RoundTripper
	cut atomic.Bool
}

func (c *cuttable) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.cut.Load() {
		return nil, errors.New("no route to host")
	}
	return c.RoundTripper.RoundTrip(r)
}

// keptRig relays by a link that can be cut, and keeps policies in a folder. Both ada and
// ben have 2001, which may be used on several machines, and 1234, which may not.
type keptRig struct {
	*desktopRig
	t    *testing.T
	dir  string
	link *cuttable
}

func newKeptRig(t *testing.T) *keptRig {
	t.Helper()
	s := &keptRig{t: t, dir: filepath.Join(t.TempDir(), "policies")}
	s.desktopRig = newDesktopRig(t, s.keeps)
	s.cloud.PutLicense(cloudapi.License{ID: "l-4", ProductID: "2001", Kind: cloudapi.LicenseVirtuoso, StartsAt: time.Now().AddDate(0, 0, -1),
		EndsAt: time.Now().AddDate(1, 0, 0), AssignedTo: "ben"})
	s.mirrors("c1", "c2", license.Change{License: &license.License{ID: "l-4", Product: "2001", Assignee: "ben"}})
	s.node.do(t, license.Link{Up: true, Contact: license.TimeOf(time.Now())})
	return s
}

func (s *keptRig) keeps(c *Config) {
	s.link = &cuttable{RoundTripper: c.Relay.Transport}
	c.Relay.Transport, c.Relay.KeptDir = s.link, s.dir
}

func (s *keptRig) mirrors(from, cursor string, c license.Change) {
	s.t.Helper()
	s.node.do(s.t, license.Mirror{From: from, Cursor: cursor, Changes: []license.Change{c}})
}

// again restarts the node, on what it has kept; its link stays as it was.
func (s *keptRig) again() {
	s.t.Helper()
	s.stop()
	cut := s.link.cut.Load()
	s.rig = secured(s.t, newRig(s.t, s.node, relayTo(s.vendor.URL, s.vendor.Client().Transport), func(c *Config) {
		c.Issuers = []Issuer{{URL: s.vendor.URL, Audience: emulator.UserAudience, Client: s.vendor.Client()}}
	}, s.keeps))
	s.link.cut.Store(cut)
}

func (s *keptRig) certificate() answer {
	s.t.Helper()
	return s.call(s.t, "", "GET", cloudapi.DefaultPolicyPath+cloudapi.PathSigningCertificate, nil)
}

// granted asks, and wants a policy. kept: one that the vendor gave before.
func (s *keptRig) granted(kept bool, user, machine string, products ...string) string {
	s.t.Helper()
	a := s.policy(s.t, s.bearer(s.t, user), machine, products...)
	s.isPolicy(a, kept)
	return string(a.raw)
}

func (s *keptRig) isPolicy(a answer, kept bool) {
	s.t.Helper()
	if a.StatusCode != http.StatusOK || (a.Header.Get(KeptHeader) != "") != kept {
		s.t.Fatalf("got %d, %s %q, %.200s; want a policy, kept: %v", a.StatusCode, KeptHeader, a.Header.Get(KeptHeader), a.raw, kept)
	}
	if _, err := cloudapi.ReadPolicyAnswer(a.raw); err != nil {
		s.t.Fatal(err)
	}
}

// refusedFor asks, and wants an error of that code without a policy.
func (s *keptRig) refusedFor(code, user, machine string, products ...string) answer {
	s.t.Helper()
	a := s.policy(s.t, s.bearer(s.t, user), machine, products...)
	if got := a.Header.Get("X-Sitegate-Error"); got != code || a.StatusCode/100 == 2 || a.Header.Get(KeptHeader) != "" {
		s.t.Errorf("%s on %s: got %d %q, %.200s; want the error %s", user, machine, a.StatusCode, got, a.raw, code)
	}
	return a
}

const cloudNeeded = string(license.CloudNeeded)

func TestTheLastPolicyIsServedAgainWhileTheLinkIsDown(t *testing.T) {
	t.Parallel()
	s := newKeptRig(t)
	cert := s.certificate()
	s.granted(false, "ada", "WS-1", "2001")
	last := s.granted(false, "ada", "WS-1", "2001")
	s.link.cut.Store(true)
	if got := s.granted(true, "ada", "ws-1", "2001"); got != last {
		t.Errorf("it is not the same to the byte:\n%s\nwant\n%s", got, last)
	}
	again := s.certificate()
	if string(again.raw) != string(cert.raw) || again.Header.Get(KeptHeader) == "" {
		t.Errorf("the certificate: %d %s, want the one from before, marked as such", again.StatusCode, again.raw)
	}
	a := s.refusedFor(cloudNeeded, "ada", "WS-2", "2001")
	if !strings.Contains(string(a.raw), "out beforehand") {
		t.Errorf("the refusal does not say what would have helped: %s", a.raw)
	}
	s.refusedFor(cloudNeeded, "ben", "WS-1", "2001")
	s.refusedFor(cloudNeeded, "ada", "WS-1", "2002")
	s.refusedFor(cloudNeeded, "ada", "WS-1", "1234", "2001")
	forged := header{"Authorization": s.bearer(t, "ada")["Authorization"] + "x"}
	if a := s.policy(t, forged, "WS-1", "2001"); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("a token that was tampered with: %d, want 401", a.StatusCode)
	}
	for _, x := range []struct {
		name, label string
		want        float64
	}{
		{"sitegate_relay_instead_total", "route=POST " + cloudapi.DefaultPolicyPath + cloudapi.PathGetPolicy, 1},
		{"sitegate_relay_instead_total", "route=GET " + cloudapi.DefaultPolicyPath + cloudapi.PathSigningCertificate, 1},
		{"sitegate_relay_failed_total", "code=" + cloudNeeded, 4},
		{"sitegate_relay_failed_total", "code=unauthorized", 1},
	} {
		if got := s.metric(t, x.name, x.label); got != x.want {
			t.Errorf("%s{%s} is %v, want %v", x.name, x.label, got, x.want)
		}
	}

	s.again()
	s.granted(true, "ada", "WS-1", "2001")
	s.link.cut.Store(false)
	s.granted(false, "ada", "WS-1", "2001")
	s.cloud.SetFault(emulator.Fault{Status: http.StatusServiceUnavailable})
	s.granted(true, "ada", "WS-1", "2001") // the vendor's own trouble is as good as a cut
}

func TestNoPolicyIsServedAgainAfterARevocation(t *testing.T) {
	t.Parallel()
	s := newKeptRig(t)
	s.granted(false, "ada", "WS-1", "2001")
	s.granted(false, "ben", "WS-2", "2001")
	s.link.cut.Store(true)
	block := license.Block{User: "ada", By: "ida", Note: "left"}
	s.node.do(t, block)
	s.refusedFor(string(license.UserBlockedHere), "ada", "WS-1", "2001")
	s.node.do(t, license.Unblock{User: "ada", By: "ida"})
	s.granted(true, "ada", "WS-1", "2001")
	s.node.do(t, license.Block{Machine: license.Machine{Name: "WS-1"}, By: "ida", Note: "stolen"})
	s.refusedFor(string(license.MachineBlocked), "ada", "WS-1", "2001")
	s.mirrors("c2", "c3", license.Change{License: &license.License{ID: "l-4", Product: "2001"}})
	s.refusedFor(string(license.NotAssigned), "ben", "WS-2", "2001")
}

func TestWhatTheVendorTakesBackIsNotServedAgain(t *testing.T) {
	t.Parallel()
	s := newKeptRig(t)
	s.granted(false, "ada", "WS-1", "2001")
	s.cloud.DeleteLicense("l-3")
	s.granted(false, "ada", "WS-1", "2001") // a policy that denies
	s.granted(false, "ben", "WS-2", "2001")
	s.cloud.SetPolicyTerms(emulator.PolicyTerms{NoOffline: true})
	s.granted(false, "ben", "WS-2", "2001")
	s.cloud.SetPolicyTerms(emulator.PolicyTerms{})
	s.granted(false, "ben", "WS-3", "2001")
	s.link.cut.Store(true)
	s.refusedFor(cloudNeeded, "ada", "WS-1", "2001")
	s.refusedFor(cloudNeeded, "ben", "WS-2", "2001")
	s.granted(true, "ben", "WS-3", "2001")
	s.link.cut.Store(false)
	s.cloud.SetFault(emulator.Fault{Prefix: cloudapi.DefaultPolicyPath + cloudapi.PathGetPolicy, Status: http.StatusUnauthorized, Times: 1})
	if a := s.policy(t, s.bearer(t, "ben"), "WS-4", "2001"); a.StatusCode != http.StatusUnauthorized {
		t.Fatalf("got %d, want the vendor's 401", a.StatusCode)
	}
	s.link.cut.Store(true)
	s.refusedFor(cloudNeeded, "ben", "WS-3", "2001")
}

// A no that one node has heard is known to the others, which keep policies of their own.
func TestWhatOneNodeHearsIsServedAgainByNone(t *testing.T) {
	t.Parallel()
	s := newKeptRig(t)
	other := &keptRig{t: t, desktopRig: &desktopRig{cloud: s.cloud, vendor: s.vendor}, dir: filepath.Join(t.TempDir(), "policies")}
	other.rig = secured(t, newRig(t, s.node, relayTo(s.vendor.URL, s.vendor.Client().Transport), func(c *Config) {
		c.Issuers = []Issuer{{URL: s.vendor.URL, Audience: emulator.UserAudience, Client: s.vendor.Client()}}
	}, other.keeps))
	other.granted(false, "ada", "WS-1", "2001")
	other.granted(false, "ben", "WS-2", "2001")
	other.granted(false, "ben", "WS-3", "1234")
	s.cloud.DeleteLicense("l-3")
	s.granted(false, "ada", "WS-1", "2001") // a policy that denies
	other.link.cut.Store(true)
	other.refusedFor(cloudNeeded, "ada", "WS-1", "2001")
	other.granted(true, "ben", "WS-2", "2001")
	s.cloud.SetFault(emulator.Fault{Prefix: cloudapi.DefaultPolicyPath + cloudapi.PathGetPolicy, Status: http.StatusForbidden, Times: 1})
	if a := s.policy(t, s.bearer(t, "ben"), "WS-9", "2001"); a.StatusCode != http.StatusForbidden {
		t.Fatalf("got %d, want the vendor's 403", a.StatusCode)
	}
	other.refusedFor(cloudNeeded, "ben", "WS-2", "2001")
}

// A denial may be of what is in other policies of that user, on whatever machine.
func TestADenialTakesAllOfAUsersPolicies(t *testing.T) {
	t.Parallel()
	s := newKeptRig(t)
	s.granted(false, "ada", "WS-1", "2001")
	s.granted(false, "ada", "WS-9", "2001")
	s.granted(false, "ben", "WS-2", "2001")
	s.cloud.DeleteLicense("l-3")
	s.granted(false, "ada", "WS-1", "2001") // a policy that denies
	s.link.cut.Store(true)
	s.refusedFor(cloudNeeded, "ada", "WS-9", "2001")
	s.granted(true, "ben", "WS-2", "2001")
}

// While a silent vendor keeps all that is under way waiting, what is kept is still served.
func TestWhatIsKeptIsServedWhereThereIsNoRoomToAsk(t *testing.T) {
	t.Parallel()
	s := newKeptRig(t)
	s.granted(false, "ada", "WS-1", "2001")
	for i := range relayRoom {
		s.e.relay.room.enter(strconv.Itoa(i), 1)
	}
	s.refusedFor(relayBusy, "ada", "WS-1", "2001") // the vendor may be there, and say no
	s.linkIs(false)
	s.granted(true, "ada", "WS-1", "2001")
	s.withholds(t, s.call(t, "", "POST", pathAccessKey+"/info", `{"accesskey":"k-1"}`), http.StatusServiceUnavailable, relayBusy)
}

// A vendor who has answered was heard, if not understood: what it said may be a no.
func TestNothingIsServedAgainAfterAnAnswer(t *testing.T) {
	t.Parallel()
	s := newKeptRig(t)
	s.granted(false, "ada", "WS-1", "2001")
	for status, kept := range map[int]bool{http.StatusOK: false, http.StatusForbidden: false, http.StatusBadGateway: true} {
		s.breaks(func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, cloudapi.PathGetPolicy) {
				return false
			}
			w.Header().Set("Content-Encoding", "br")
			w.WriteHeader(status)
			w.Write([]byte("no"))
			return true
		})
		if kept {
			s.granted(true, "ada", "WS-1", "2001")
		} else {
			s.refusedFor(relayBadAnswer, "ada", "WS-1", "2001")
		}
	}
}

func TestACappedProductIsServedAgainByTheAccountsTermsOnly(t *testing.T) {
	t.Parallel()
	s := newKeptRig(t)
	session := func(machine string) license.ID {
		var id license.ID
		s.node.View(func(st *license.State) {
			if x := license.RelayedSession(st, "ada", license.Machine{Name: machine}, "1234"); x != nil {
				id = x.ID
			}
		})
		return id
	}
	s.granted(false, "ada", "WS-2", "1234")
	s.node.do(t, license.Stop{ID: session("WS-2"), User: "ada", Machine: license.Machine{Name: "WS-2"}})
	s.granted(false, "ada", "WS-1", "1234")
	s.node.do(t, license.Stop{ID: session("WS-1"), User: "ada", Machine: license.Machine{Name: "WS-1"}})
	s.link.cut.Store(true)
	s.refusedFor(cloudNeeded, "ada", "WS-1", "1234")

	s.mirrors("c2", "c3", license.Change{Account: &license.Account{ID: "a-1", AutonomyCapped: 72 * time.Hour}})
	s.granted(true, "ada", "WS-1", "1234")
	if id := session("WS-1"); id.IsZero() {
		t.Error("it was served without being held")
	}
	s.granted(true, "ada", "WS-1", "1234")
	s.refusedFor(string(license.MachineActive), "ada", "WS-2", "1234")
	if got := s.attempts(); len(got) == 0 || !got[len(got)-1].Relayed || got[len(got)-1].Machine.Name != "WS-2" || got[len(got)-1].Denial.Machine.Name != "WS-1" {
		t.Errorf("attempts: %+v, want the last one from WS-2, so that WS-1 is told", got)
	}
	if got := s.metric(t, "sitegate_relay_withheld_total", "reason="+string(license.MachineActive)); got != 1 {
		t.Errorf("%v are counted, want 1", got)
	}
	s.node.do(t, license.Stop{ID: session("WS-1"), User: "ada", Machine: license.Machine{Name: "WS-1"}})
	s.granted(true, "ada", "WS-2", "1234")
	if id := session("WS-2"); id.IsZero() {
		t.Error("it was served without being held")
	}
}

// What is only observed is served, and noted: as far as the account's terms go, since the
// vendor was not asked.
func TestAnObservedProductIsServedAgainAndNoted(t *testing.T) {
	t.Parallel()
	s := newKeptRig(t)
	modes := []license.Mode{{Product: "1234", Observe: true}}
	s.node.do(t, license.Configure{Settings: license.Settings{Relay: true, Modes: modes}})
	s.granted(false, "ada", "WS-1", "1234")
	s.node.do(t, license.Start{ID: license.ID{1}, User: "ada", Product: "1234", Machine: license.Machine{ID: "m-1", Name: "DESK-1"}, Agreed: true})
	s.link.cut.Store(true)
	s.refusedFor(cloudNeeded, "ada", "WS-1", "1234")
	s.mirrors("c2", "c3", license.Change{Account: &license.Account{ID: "a-1", AutonomyCapped: 72 * time.Hour}})
	s.granted(true, "ada", "WS-1", "1234")
	if got := s.sessions("ada"); len(got) != 1 {
		t.Errorf("ada has %v, want DESK-1's session alone", got)
	}
	var would []license.WouldHaveRefused
	s.node.set(func() {
		for _, f := range s.node.facts {
			if w, ok := f.(license.WouldHaveRefused); ok {
				would = append(would, w)
			}
		}
	})
	if len(would) != 1 || would[0].Denial.Reason != license.MachineActive || would[0].Machine.Name != "WS-1" {
		t.Errorf("journalled: %+v, want one refusal of WS-1 that was spared", would)
	}
}

// What the account's terms say of products that are not capped counts beside the policy's
// own days. The node is an hour ahead here.
func TestTheAccountsTermsEndUncappedUse(t *testing.T) {
	t.Parallel()
	s := newKeptRig(t)
	s.granted(false, "ada", "WS-1", "2001")
	s.link.cut.Store(true)
	s.mirrors("c2", "c3", license.Change{Account: &license.Account{ID: "a-1", AutonomyUncapped: time.Minute}})
	s.refusedFor(cloudNeeded, "ada", "WS-1", "2001")

	s.mirrors("c3", "c4", license.Change{Account: &license.Account{ID: "a-1", AutonomyUncapped: 3 * time.Hour}})
	s.granted(true, "ada", "WS-1", "2001")
}

func TestTheSiteMayServeLess(t *testing.T) {
	t.Parallel()
	s := newKeptRig(t)
	s.granted(false, "ada", "WS-1", "2001")
	s.link.cut.Store(true)
	s.node.do(t, license.Configure{Settings: license.Settings{Relay: true, AutonomyUncapped: new(time.Duration)}})
	s.refusedFor(cloudNeeded, "ada", "WS-1", "2001")
}

func TestWhatIsKeptIsVerifiedBeforeItIsServed(t *testing.T) {
	t.Parallel()
	s := newKeptRig(t)
	s.granted(false, "ada", "WS-1", "2001")
	s.granted(false, "ben", "WS-2", "2001")
	s.stop() // what waits is written
	files, err := filepath.Glob(filepath.Join(s.dir, "*-*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("got the files %v, %v; want 2", files, err)
	}
	bens, err := os.ReadFile(s.e.relay.kept.path(policyFor("ben", "WS-2", "2001").key(), s.until("ben", "WS-2")))
	if err != nil {
		t.Fatal(err)
	}
	adas := s.e.relay.kept.path(policyFor("ada", "WS-1", "2001").key(), s.until("ada", "WS-1"))
	whole, err := os.ReadFile(adas)
	if err != nil {
		t.Fatal(err)
	}
	s.link.cut.Store(true)
	for name, content := range map[string]string{"cut short": string(whole[:len(whole)/2]), "nothing": "", "noise": "\x00\xff", "another's": string(bens),
		"changed": strings.Replace(string(whole), ".", ".e", 1)} {
		if err := os.WriteFile(adas, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		s.again()
		if a := s.refusedFor(cloudNeeded, "ada", "WS-1", "2001"); strings.Contains(string(a.raw), "eyJ") {
			t.Errorf("%s: the refusal has a token in it: %s", name, a.raw)
		}
		s.granted(true, "ben", "WS-2", "2001")
	}

	s.link.cut.Store(false) // the vendor signs with another key from now on
	s.cloud.RotatePolicyKey()
	s.certificate()
	s.link.cut.Store(true)
	s.granted(true, "ben", "WS-2", "2001") // and has signed this one with the key before
	s.e.relay.kept.mu.Lock()
	s.e.relay.kept.older = nil // long since
	s.e.relay.kept.mu.Unlock()
	s.refusedFor(cloudNeeded, "ben", "WS-2", "2001")
}

func (s *keptRig) until(user, machine string) int64 {
	k := s.e.relay.kept
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.files[policyFor(user, machine, "2001").key()].until
}

func TestASAMLTokenIsKnownAgainWhileTheLinkIsDown(t *testing.T) {
	t.Parallel()
	s := newKeptRig(t)
	token, other := s.saml(t, "ada"), s.saml(t, "ada")
	s.isPolicy(s.policy(t, token, "WS-1", "2001"), false)
	s.link.cut.Store(true)
	s.isPolicy(s.policy(t, token, "WS-1", "2001"), true)
	if a := s.policy(t, other, "WS-1", "2001"); a.StatusCode/100 == 2 {
		t.Errorf("a token that nobody has seen: %d %.100s, want no policy", a.StatusCode, a.raw)
	}
	s.link.cut.Store(false)
	s.cloud.SetFault(emulator.Fault{Prefix: cloudapi.DefaultPolicyPath + cloudapi.PathGetPolicy, Status: http.StatusUnauthorized, Times: 1})
	s.policy(t, token, "WS-1", "2001")
	s.link.cut.Store(true)
	if a := s.policy(t, token, "WS-1", "2001"); a.StatusCode/100 == 2 {
		t.Errorf("a token that the vendor takes no more: %d %.100s, want no policy", a.StatusCode, a.raw)
	}
}
