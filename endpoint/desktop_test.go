package endpoint

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/emulator"
	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

func TestPolicyOfASecondMachineIsWithheld(t *testing.T) {
	d := newDesktopRig(t)
	ada := d.bearer(t, "ada")
	d.gives(t, ada, "WS-101", "1234")
	if got, want := d.sessions("ada"), []string{"1234 WS-101"}; !slices.Equal(got, want) {
		t.Fatalf("ada has %v, want %v", got, want)
	}
	var x license.Session
	d.node.View(func(s *license.State) { x = s.Active("ada").Sessions[0] })
	if !x.Relayed || !x.Holds || x.Provisional || x.TTL != 2*time.Hour {
		t.Errorf("the session is %+v; want it relayed, with a confirmed hold, for twice the hour between two postings", x)
	}

	d.withholds(t, d.policy(t, ada, "LAPTOP-7", "1234"), 409, "machine-active")
	if got, want := d.sessions("ada"), []string{"1234 WS-101"}; !slices.Equal(got, want) {
		t.Errorf("ada has %v, want %v", got, want)
	}
	switch got := d.attempts(); {
	case len(got) != 1:
		t.Errorf("%d attempts are journalled, want 1", len(got))
	case !got[0].Relayed || got[0].Offline || got[0].Machine.Name != "LAPTOP-7" || got[0].Denial.Machine.Name != "WS-101":
		t.Errorf("the attempt is %+v; want it from LAPTOP-7, for WS-101, relayed, and such as holds", got[0])
	}
	if line := d.line(t, "machine-active"); !strings.Contains(line, `"cannot_hold":false`) || !strings.Contains(line, `"other":"WS-101"`) || !strings.Contains(line, `"level":"WARN"`) {
		t.Errorf("the log says %s", line)
	}
	d.gives(t, d.bearer(t, "ben"), "LAPTOP-7", "1234") // another user's
}

// A renewal is a heartbeat: its line is for whoever looks closely, unlike the start's.
func TestRenewalsAreLoggedAtDebug(t *testing.T) {
	d := newDesktopRig(t)
	ada := d.bearer(t, "ada")
	d.gives(t, ada, "WS-101", "1234")
	d.gives(t, ada, "WS-101", "1234")
	var lines []string
	eventually(t, "a line about each", func() bool {
		lines = slices.DeleteFunc(strings.Split(d.log.String(), "\n"), func(l string) bool { return !strings.Contains(l, cloudapi.PathGetPolicy+`"`) })
		return len(lines) >= 2
	})
	all := strings.Join(lines, "\n")
	if len(lines) != 2 || strings.Count(all, `"level":"INFO"`) != 1 || strings.Count(all, `"level":"DEBUG"`) != 1 {
		t.Errorf("the log has %q, want the start at INFO and the renewal at DEBUG", lines)
	}
}

func TestRenewalsCostNoEntry(t *testing.T) {
	d := newDesktopRig(t)
	ada := d.bearer(t, "ada")
	d.gives(t, ada, "WS-101", "1234")
	before := d.head().Seq
	for range 3 {
		d.gives(t, ada, "ws-101.corp.example", "1234")
	}
	if after := d.head().Seq; after != before {
		t.Errorf("three renewals made %d events, want none", after-before)
	}
	if got := d.metric(t, "sitegate_relay_allowed_total", "as=renewed"); got != 3 {
		t.Errorf("%v renewals are counted, want 3", got)
	}
}

func TestEndedSessionIsBegunAnew(t *testing.T) {
	d := newDesktopRig(t)
	ada := d.bearer(t, "ada")
	d.gives(t, ada, "WS-101", "1234")
	var x license.Session
	d.node.View(func(s *license.State) { x = s.Active("ada").Sessions[0] })
	d.node.do(t, license.Expire{ID: x.ID, Generation: x.Generation})
	d.gives(t, ada, "LAPTOP-7", "1234")
	if got, want := d.sessions("ada"), []string{"1234 LAPTOP-7"}; !slices.Equal(got, want) {
		t.Errorf("ada has %v, want %v", got, want)
	}
}

func TestWithheldPolicyThatAllowsOfflineUseCannotHold(t *testing.T) {
	d := newDesktopRig(t)
	d.cloud.SetPolicyTerms(emulator.PolicyTerms{Blind: true, OfflineCapped: true})
	ada := d.bearer(t, "ada")
	d.gives(t, ada, "WS-101", "1234")
	d.withholds(t, d.policy(t, ada, "LAPTOP-7", "1234"), 409, "machine-active")
	if got := d.attempts(); len(got) != 1 || !got[0].Offline {
		t.Errorf("attempts %+v, want one that says that its client may work on", got)
	}
	if line := d.line(t, "machine-active"); !strings.Contains(line, `"cannot_hold":true`) {
		t.Errorf("the log says %s", line)
	}
	if got := d.metric(t, "sitegate_relay_withheld_total", "offline=true"); got != 1 {
		t.Errorf("%v are counted, want 1", got)
	}
}

// The policy that is withheld does not allow it, but the one the client has does.
func TestLastPolicyThatAllowsOfflineUseCannotHold(t *testing.T) {
	d := newDesktopRig(t)
	ada := d.bearer(t, "ada")
	d.cloud.SetPolicyTerms(emulator.PolicyTerms{Blind: true, OfflineCapped: true})
	d.gives(t, ada, "LAPTOP-7", "1234")
	var x license.Session
	d.node.View(func(s *license.State) { x = s.Active("ada").Sessions[0] })
	d.node.do(t, license.Expire{ID: x.ID, Generation: x.Generation})
	d.cloud.SetPolicyTerms(emulator.PolicyTerms{Blind: true})
	d.gives(t, ada, "WS-101", "1234")
	d.withholds(t, d.policy(t, ada, "LAPTOP-7", "1234"), 409, "machine-active")
	if got := d.attempts(); len(got) != 1 || !got[0].Offline {
		t.Errorf("attempts %+v, want one that says that its client may work on", got)
	}
}

func TestVendorsOwnDenialIsPassedOn(t *testing.T) {
	d := newDesktopRig(t)
	d.cloud.SetPolicyTerms(emulator.PolicyTerms{})
	if err := d.cloud.HoldElsewhere("ada", "HOME-1"); err != nil {
		t.Fatal(err)
	}
	a := d.policy(t, d.bearer(t, "ada"), "WS-101", "1234")
	p, err := cloudapi.ReadPolicyAnswer(a.raw)
	if err == nil {
		err = p.Verify(d.cloud.PolicyCertificate())
	}
	if a.StatusCode != 200 || err != nil || p.Policy.Access("1234", "") != cloudapi.AccessDenied {
		t.Fatalf("%d %v, want the vendor's denial: %s", a.StatusCode, err, a.raw)
	}
	if got := d.sessions("ada"); len(got) != 0 {
		t.Errorf("ada has %v, want nothing", got)
	}
}

func TestUncappedIsNeverRefused(t *testing.T) {
	d := newDesktopRig(t)
	ada := d.bearer(t, "ada")
	for _, m := range []string{"WS-101", "LAPTOP-7", "WS-101"} {
		d.gives(t, ada, m, "2001")
	}
	if got := d.sessions("ada"); len(got) != 0 {
		t.Errorf("ada has %v, want no session", got)
	}
}

// What the mirror does not have is learned, and decides nothing.
func TestWhatTheVendorSignsForIsLearned(t *testing.T) {
	d := newDesktopRig(t)
	d.cloud.PutProduct(cloudapi.Product{ID: "1500", Name: "Unheard Of", Capped: cloudapi.CappedYes})
	d.cloud.PutLicense(cloudapi.License{ID: "l-15", ProductID: "1500", Kind: cloudapi.LicenseVirtuoso, StartsAt: time.Now().AddDate(0, 0, -1), EndsAt: time.Now().AddDate(1, 0, 0), AssignedTo: "ben"})
	ben := d.bearer(t, "ben")
	d.gives(t, ben, "WS-101", "1500")
	d.gives(t, ben, "LAPTOP-7", "1500")
	d.gives(t, d.bearer(t, "ada"), "WS-101", "2001") // which the mirror has
	var got []license.Learned
	d.node.View(func(s *license.State) { got = license.AllLearned(s) })
	if len(got) != 1 || got[0].User != "ben" || got[0].Product != "1500" || got[0].Name != "Unheard Of" || got[0].Country != "DE" || got[0].Email != "ben@example.org" {
		t.Errorf("learned: %+v, want ben's use of 1500", got)
	}
	var shown api.List[api.LearnedUse]
	d.look(t, 200, api.PathLearned, &shown)
	if len(shown.Items) != 1 || shown.Items[0].ProductName != "Unheard Of" || shown.Items[0].Email != "ben@example.org" || shown.Items[0].First == "" || shown.Next != "" {
		t.Errorf("shown: %+v, want ben's use", shown)
	}
	d.node.do(t, license.Learn{Seen: []license.Learned{{User: "ada", Product: "77"}}})
	for page, want := range map[string]string{"?limit=1": "ada 1", "?limit=1&after=1": "ben ", "?after=9": " "} {
		if d.look(t, 200, api.PathLearned+page, &shown); len(shown.Items) == 0 {
			shown.Items = make([]api.LearnedUse, 1)
		}
		if got := shown.Items[0].User + " " + shown.Next; got != want || len(shown.Items) != 1 {
			t.Errorf("%s shows %q and %d rows, want %q", page, got, len(shown.Items), want)
		}
	}
	d.look(t, 400, api.PathLearned+"?after=x", nil)
	a := d.call(t, "", "POST", "/v1/sessions", map[string]any{"id": newUUID(t), "product": "1500", "machine": ws101}, ben)
	if a.StatusCode != 404 {
		t.Errorf("this site's own API grants what was learned: %d %s", a.StatusCode, a.raw)
	}
}

// Of several products one is held by another machine: nothing of the answer leaves, and
// nothing is left of what was begun.
func TestNothingIsLeftOfAWithheldAnswer(t *testing.T) {
	d := newDesktopRig(t)
	d.cloud.PutProduct(cloudapi.Product{ID: "1300", Name: "Other", Capped: cloudapi.CappedYes})
	d.cloud.PutLicense(cloudapi.License{ID: "l-9", ProductID: "1300", Kind: cloudapi.LicenseVirtuoso, StartsAt: time.Now().AddDate(0, 0, -1), EndsAt: time.Now().AddDate(1, 0, 0), AssignedTo: "ben"})
	d.node.do(t, license.Mirror{From: "c1", Cursor: "c2", Changes: []license.Change{
		{Product: &license.Product{ID: "1300", Capped: license.CappedYes}},
		{License: &license.License{ID: "l-9", Product: "1300", Assignee: "ben"}},
	}})
	d.node.do(t, license.Configure{Settings: license.Settings{Relay: true, SessionScope: license.ScopeLicense}})
	ben := d.bearer(t, "ben")
	d.gives(t, ben, "WS-101", "1300")
	d.withholds(t, d.policy(t, ben, "LAPTOP-7", "1234", "1300"), 409, "machine-active")
	if got, want := d.sessions("ben"), []string{"1300 WS-101"}; !slices.Equal(got, want) {
		t.Errorf("ben has %v, want %v", got, want)
	}
}

// A vendor that takes 01234 for 1234 signs for 1234: that is what is held.
func TestWhatTheVendorSignedIsHeldHoweverItWasAskedFor(t *testing.T) {
	d := newDesktopRig(t)
	d.breaks(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != getPolicy {
			return false
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		body = bytes.ReplaceAll(body, []byte(`"01234"`), []byte(`1234`))
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		d.cloud.ServeHTTP(w, r)
		return true
	})
	ada := d.bearer(t, "ada")
	d.gives(t, ada, "WS-101", "1234")
	d.withholds(t, d.policy(t, ada, "LAPTOP-7", "01234"), 409, "machine-active")
	if got, want := d.sessions("ada"), []string{"1234 WS-101"}; !slices.Equal(got, want) {
		t.Errorf("ada has %v, want %v", got, want)
	}
}

func TestObserveOnlyNotes(t *testing.T) {
	d := newDesktopRig(t)
	d.node.do(t, license.Configure{Settings: license.Settings{Relay: true, Modes: []license.Mode{{Product: "1234", Network: "127.0.0.0/8", Observe: true}}}})
	d.node.do(t, license.Start{ID: license.ID{1}, User: "ada", Product: "1234", Machine: license.Machine{ID: "m-1", Name: "DESK-1"}, Agreed: true})
	d.gives(t, d.bearer(t, "ada"), "LAPTOP-7", "1234")
	if got, want := d.sessions("ada"), []string{"1234 DESK-1"}; !slices.Equal(got, want) {
		t.Errorf("ada has %v, want %v: nothing is held for what is observed", got, want)
	}
	var would []license.WouldHaveRefused
	d.node.set(func() {
		for _, f := range d.node.facts {
			if w, ok := f.(license.WouldHaveRefused); ok {
				would = append(would, w)
			}
		}
	})
	if len(would) != 1 || would[0].Denial.Reason != license.MachineActive || would[0].Address != "127.0.0.1" {
		t.Errorf("journalled: %+v, want one refusal that was spared, from 127.0.0.1", would)
	}
	d.gives(t, d.bearer(t, "ben"), "LAPTOP-7", "1234")
	for _, body := range []string{posting(t, bens), posting(t, bens, ends)} {
		d.posts(t, d.bearer(t, "ben"), "", body)
	}
	var seen []string
	d.node.set(func() {
		for _, x := range d.node.seen {
			seen = append(seen, fmt.Sprintf("%s %s %s %s %s %v", x.Start.User, x.Start.Machine.Name, x.Start.Product, x.Address, x.Run, x.Ends))
		}
	})
	want := []string{"ben LAPTOP-7 1234 127.0.0.1  false", "ben LAPTOP-7 1234 127.0.0.1 r-1 false", "ben LAPTOP-7 1234 127.0.0.1 r-1 true"}
	if !slices.Equal(seen, want) {
		t.Errorf("the leader is told of %q, want %q", seen, want)
	}
}

func bens(p *cloudapi.Posting) { p.IMSID, p.Host = "ben", "LAPTOP-7" }

func TestSAMLIsProvenByTheCloud(t *testing.T) {
	d := newDesktopRig(t)
	d.gives(t, d.saml(t, "ada"), "WS-101", "1234")
	d.withholds(t, d.policy(t, d.saml(t, "ada"), "LAPTOP-7", "1234"), 409, "machine-active")
	a := d.policy(t, header{"Authorization": "SAML bm90aGluZw=="}, "LAPTOP-8", "1234")
	if a.StatusCode != 401 {
		t.Errorf("a token that the cloud does not know: %d %s, want the cloud's 401", a.StatusCode, a.raw)
	}
	if got, want := d.sessions("ada"), []string{"1234 WS-101"}; !slices.Equal(got, want) {
		t.Errorf("ada has %v, want %v", got, want)
	}
}

func TestOnlyWhoIsSignedInIsRelayed(t *testing.T) {
	d := newDesktopRig(t)
	stranger := newRealIssuer(t)
	for name, h := range map[string]header{
		"no token":         {},
		"another issuer's": {"Authorization": "Bearer " + stranger.token(t, "ada")},
		"no SAML":          {"Authorization": "SAML "},
		"a password":       {"Authorization": "Basic YWRhOmFkYQ=="},
	} {
		before := d.asked.Load()
		if a := d.policy(t, h, "WS-101", "1234"); a.StatusCode != 401 || a.Header.Get("X-Sitegate-Error") != "unauthorized" || a.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %q, want 401 unauthorized", name, a.StatusCode, a.Header.Get("X-Sitegate-Error"))
		}
		if d.asked.Load() != before {
			t.Errorf("%s: the vendor was asked", name)
		}
	}
}

func TestAudienceOfDesktopsIsForTheRelayOnly(t *testing.T) {
	d := newDesktopRig(t, func(c *Config) {
		c.Issuers[0].Audience = "another"
		c.Relay.Audiences = []string{emulator.UserAudience}
	})
	ada := d.bearer(t, "ada")
	d.gives(t, ada, "WS-101", "1234")
	if a := d.call(t, "", "GET", "/v1/me", nil, ada); a.StatusCode != 401 {
		t.Errorf("the API answers %d to a token for the relay, want 401", a.StatusCode)
	}
}

func TestServerPolicyOpensNoHold(t *testing.T) {
	d := newDesktopRig(t)
	d.cloud.AddAccessKey("k-1")
	body := strings.Replace(asking(t, "SERVER-1", "1234"), "{", `{"MachineSID":"x","AccessKey":"k-1",`, 1)
	a := d.call(t, "", "POST", cloudapi.DefaultPolicyPath+cloudapi.PathGetPolicyWithAccessKey, body)
	if _, err := cloudapi.ReadPolicyAnswer(a.raw); a.StatusCode != 200 || err != nil {
		t.Fatalf("%d %v: %s", a.StatusCode, err, a.raw)
	}
	if n := d.node.sessionCount(); n != 0 {
		t.Errorf("there are %d sessions, want none", n)
	}
	if strings.Contains(d.log.String(), "k-1") {
		t.Error("the access key is in the log")
	}
	ask := func() answer {
		return d.call(t, "", "POST", cloudapi.DefaultPolicyPath+cloudapi.PathGetPolicyWithAccessKey, body)
	}
	d.node.do(t, license.Block{Machine: license.Machine{Name: "server-1"}, By: "ida", Note: "stolen"})
	d.withholds(t, ask(), 403, string(license.MachineBlocked))
	d.node.do(t, license.Unblock{Machine: license.Machine{Name: "server-1"}, By: "ida"})
	if a := ask(); a.StatusCode != 200 {
		t.Errorf("once IT lets it in again: %d %s, want a policy", a.StatusCode, a.raw)
	}
}

func TestEntitlementsAreHeld(t *testing.T) {
	d := newDesktopRig(t)
	const path = "/Bentley.Entitlement.PolicyService/PolicySvcWebApi" + cloudapi.PathWebEntitlement
	ask := func(user, machine string) answer {
		return d.call(t, "", "POST", path, `{"RequestedSecurables":[{"ProductId":1234,"FeatureString":""}],"MachineName":"`+machine+`","CreateTrial":"true"}`, d.bearer(t, user))
	}
	a := ask("ada", "WS-101")
	if got, err := cloudapi.ReadEntitlementAnswer(a.raw); err != nil || len(got.Result.Entitlements) != 1 || !got.Result.Entitlements[0].LicenseStatus.Allows() {
		t.Fatalf("%d %v: %s", a.StatusCode, err, a.raw)
	}
	if x := d.running(); x == nil || x.TTL != license.MaxRelayedLease {
		t.Errorf("running %+v, want a lease that is longer than the client's four hours", x)
	}
	d.withholds(t, ask("ada", "LAPTOP-7"), 409, "machine-active")
	if got, want := d.sessions("ada"), []string{"1234 WS-101"}; !slices.Equal(got, want) {
		t.Errorf("ada has %v, want %v", got, want)
	}
	if a := ask("ada", ""); a.StatusCode != 200 { // a web application on the machine that she works on
		t.Errorf("without a machine, where one is known: %d %s", a.StatusCode, a.raw)
	}
	if got, want := d.sessions("ada"), []string{"1234 WS-101"}; !slices.Equal(got, want) {
		t.Errorf("ada has %v, want %v", got, want)
	}
	if a := ask("ben", ""); a.StatusCode != 200 { // as of a web application
		t.Errorf("without a machine: %d %s", a.StatusCode, a.raw)
	}
	if got, want := d.sessions("ben"), []string{"1234 127.0.0.1"}; !slices.Equal(got, want) {
		t.Errorf("ben has %v, want %v", got, want)
	}
}

// A client may go by a status that is not known here, so that it is held; an answer that has
// no list is none.
func TestEntitlementsThatAreNotKnownAreHeld(t *testing.T) {
	d := newDesktopRig(t)
	var says string
	const path = "/Bentley.Entitlement.PolicyService/PolicySvcWebApi" + cloudapi.PathWebEntitlement
	d.breaks(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, cloudapi.PathWebEntitlement) {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(says))
		return true
	})
	ask := func() answer {
		return d.call(t, "", "POST", path, `{"RequestedSecurables":[{"ProductId":1234,"FeatureString":""}],"MachineName":"WS-101"}`, d.bearer(t, "ada"))
	}
	for _, no := range []string{"denied", "-1", "0", "NoLicense"} {
		says = `{"result":{"Entitlements":[{"ProductId":1234,"FeatureString":"","LicenseStatus":"` + no + `"}]}}`
		if a := ask(); a.StatusCode != 200 || d.running() != nil {
			t.Errorf("%s: %d, running %+v; want nothing held", no, a.StatusCode, d.running())
		}
	}
	for _, none := range []string{`{}`, `{"result":{}}`, `{"Entitlements":[]}`} {
		says = none
		d.withholds(t, ask(), 502, relayBadAnswer)
	}
	says = `{"result":{"Entitlements":[{"ProductId":1234,"FeatureString":"","LicenseStatus":"1"}]}}`
	if a := ask(); a.StatusCode != 200 || d.running() == nil {
		t.Errorf("%d, running %+v; want it held", a.StatusCode, d.running())
	}
}

// Whom IT keeps out gets nothing of what is not kept to one machine, either.
func TestUncappedIsWithheldFromThoseWhoAreBlocked(t *testing.T) {
	d := newDesktopRig(t)
	ada := d.bearer(t, "ada")
	d.gives(t, ada, "WS-101", "2001")
	d.node.do(t, license.Block{User: "ada", By: "ida", Note: "left"})
	d.withholds(t, d.policy(t, ada, "WS-101", "2001"), 403, string(license.UserBlockedHere))
	d.withholds(t, d.policy(t, d.saml(t, "ada"), "WS-101", "2001"), 403, string(license.UserBlockedHere))
	if got := d.attempts(); len(got) != 2 || !got[0].Relayed || !got[0].Offline || got[0].Denial.Reason != license.UserBlockedHere || got[0].Machine.Name != "WS-101" {
		t.Errorf("attempts %+v, want one for each, which say that their client may work on", got)
	}
	d.node.do(t, license.Configure{Settings: license.Settings{Relay: true, Modes: []license.Mode{{Product: "2001", Network: "127.0.0.0/8", Observe: true}}}})
	d.gives(t, ada, "WS-101", "2001")
	d.node.do(t, license.Configure{Settings: license.Settings{Relay: true}})
	d.node.do(t, license.Unblock{User: "ada", By: "ida"})
	d.node.do(t, license.Block{Machine: license.Machine{Name: "WS-101"}, By: "ida", Note: "stolen"})
	d.withholds(t, d.policy(t, ada, "WS-101", "2001"), 403, string(license.MachineBlocked))
	d.gives(t, ada, "LAPTOP-7", "2001")
}
