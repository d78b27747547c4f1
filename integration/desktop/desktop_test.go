package desktop

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// desk is a client with a clock that the test moves.
type desk struct {
	*Client
	t      *testing.T
	v      *vendor
	folder string
	clock  time.Time
}

func newDesk(t *testing.T, more ...func(*Config)) *desk {
	t.Helper()
	d := &desk{t: t, v: newVendor(t), folder: t.TempDir(), clock: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)}
	d.v.policy = policyOf("p-1", allowed, d.clock, "AllowOfflineUsage", "TRUE")
	d.again(more...)
	return d
}

// again restarts the client, on what it has kept.
func (d *desk) again(more ...func(*Config)) {
	d.t.Helper()
	cfg := Config{Folder: d.folder, Discovery: "https://discovery.example/discovery.asmx", HTTP: &http.Client{Transport: d.v}, Version: "23.0.1.25",
		Machine: "DESK-1", User: "user-1", Login: `CORP\ana`, Authorization: func() string { return "Bearer abc" }, Now: func() time.Time { return d.clock },
		Defaults: map[string]string{PolicyService: "https://built-in.example/api"}}
	for _, change := range more {
		change(&cfg)
	}
	var err error
	if d.Client, err = New(cfg); err != nil {
		d.t.Fatal(err)
	}
}

// pass lets time go by in minutes.
func (d *desk) pass(a *Application, minutes int) {
	for range minutes {
		d.clock = d.clock.Add(time.Minute)
		a.Tick(d.t.Context())
	}
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestWhatAPolicyMeans(t *testing.T) {
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		policy map[string]any
		change func(map[string]any)
		began  time.Time
		at     time.Duration
		want   Status
	}{
		"none":                    {want: NotEntitled},
		"allowed":                 {policy: policyOf("p", allowed, now), want: Ok},
		"maybe":                   {policy: policyOf("p", 2, now), want: Ok},
		"denied":                  {policy: policyOf("p", denied, now), want: AccessDenied},
		"trial over":              {policy: policyOf("p", trialExpired, now), want: Expired},
		"trial":                   {policy: policyOf("p", allowed, now, "UsageType", "Trial"), want: Trial},
		"of another product":      {policy: policyOf("p", allowed, now), change: func(p map[string]any) { p["SecurableData"] = []any{} }, want: NotEntitled},
		"after seven days":        {policy: policyOf("p", allowed, now), at: 7 * 24 * time.Hour, want: Expired},
		"of nobody":               {policy: policyOf("p", allowed, now), change: func(p map[string]any) { p["UserData"] = map[string]any{} }, want: DisabledByPolicy},
		"offline, and may not be": {policy: policyOf("p", allowed, now, "AllowOfflineUsage", "FALSE"), began: now, want: DisabledByPolicy},
		"offline, nothing said":   {policy: policyOf("p", allowed, now), began: now, want: DisabledByPolicy},
		"offline":                 {policy: policyOf("p", allowed, now, "AllowOfflineUsage", "TRUE"), began: now.Add(-6 * 24 * time.Hour), want: Offline},
		"offline for two days":    {policy: policyOf("p", allowed, now, "AllowOfflineUsage", "TRUE", "OfflineDuration", "2"), began: now.Add(-48 * time.Hour), want: Expired},
		"offline, and denied":     {policy: policyOf("p", denied, now, "AllowOfflineUsage", "TRUE"), began: now, want: AccessDenied},
		"ACL of someone else": {policy: policyOf("p", allowed, now), change: func(p map[string]any) {
			p["ACLs"] = append(p["ACLs"].([]map[string]any), map[string]any{"PrincipalId": "user-2", "SecurableId": "s-2", "AccessKind": 1})
		}, want: DisabledByPolicy},
	} {
		var p *Policy
		if c.policy != nil {
			if c.change != nil {
				c.change(c.policy)
			}
			b, err := json.Marshal(c.policy)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(b, &p); err != nil {
				t.Fatal(err)
			}
		}
		want(t, name, decide(p, drafting, c.began, now.Add(c.at)), c.want)
	}
}

func TestWhenNobodyAnswersThePolicyThatIsKeptDecides(t *testing.T) {
	d := newDesk(t)
	a := d.Start(t.Context(), drafting)
	want(t, "on the first day", a.Status(), Ok)
	d.v.set(func() { d.v.down = true })
	d.pass(a, 241)
	want(t, "once the refresh has failed", a.Status(), Offline)
	began := d.offlineSince()
	d.again()
	d.clock = d.clock.Add(48 * time.Hour)
	want(t, "started anew on the third day", d.Start(t.Context(), drafting).Status(), Offline)
	want(t, "the days are counted from", d.offlineSince(), began)
	d.clock = d.clock.Add(6 * 24 * time.Hour)
	want(t, "in the second week", d.Start(t.Context(), drafting).Status(), Expired)
	d.v.set(func() { d.v.down = false; d.v.policy = policyOf("p-2", allowed, d.clock) })
	want(t, "with an answer", d.Start(t.Context(), drafting).Status(), Ok)
	want(t, "the days are over", d.offlineSince().IsZero(), true)
	want(t, "policies kept", len(d.kept.Policies), 1)
}

// What is no good answer is as no answer at all, whatever it says; a policy that denies stays.
func TestOnlyASignedPolicyRefuses(t *testing.T) {
	d := newDesk(t)
	want(t, "at first", d.Start(t.Context(), drafting).Status(), Ok)
	other := newVendorWithKey(t, 1)
	for name, answer := range map[string]http.HandlerFunc{
		"403":               func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"409":               func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusConflict) },
		"503":               func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"a page":            func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>sign in to this network</html>")) },
		"of another's key":  func(w http.ResponseWriter, r *http.Request) { forged(d.v, other, w, r) },
		"an empty document": func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode("") },
	} {
		d.v.set(func() { d.v.answer = answer })
		want(t, name, d.Start(t.Context(), drafting).Status(), Offline)
	}
	d.v.set(func() { d.v.answer, d.v.policy = nil, policyOf("p-9", denied, d.clock, "AllowOfflineUsage", "TRUE") })
	a := d.Start(t.Context(), drafting)
	want(t, "denied", a.Status(), AccessDenied)
	d.v.set(func() { d.v.down = true })
	want(t, "denied, and then offline", d.Start(t.Context(), drafting).Status(), AccessDenied)
}

func forged(v, other *vendor, w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		json.NewEncoder(w).Encode(v.cert)
		return
	}
	json.NewEncoder(w).Encode(other.sign(v.policy))
}

func TestDiscoveryIsRememberedForADay(t *testing.T) {
	d := newDesk(t)
	d.v.set(func() { d.v.down = true })
	d.Start(t.Context(), drafting)
	want(t, "what the client was built with is asked", d.v.count("/api/GetPolicy"), 1)
	d.v.set(func() { d.v.down = false })
	for range 3 {
		d.Start(t.Context(), drafting)
	}
	// The certificate and the policy are asked for at once, so both may have looked first.
	asked := d.v.count("/discovery.asmx")
	if asked > 4 {
		t.Errorf("discovery was asked %d times, want 2 in vain and 2 at most later", asked)
	}
	d.clock = d.clock.Add(25 * time.Hour)
	d.Start(t.Context(), drafting)
	if now := d.v.count("/discovery.asmx"); now == asked {
		t.Errorf("after a day discovery was still asked %d times", now)
	}
}

func TestACheckoutNeedsNobody(t *testing.T) {
	d := newDesk(t)
	file := func(v *vendor, p map[string]any) []byte { return []byte(v.sign(p) + "\r\n" + v.cert + "\r\n") }
	lower := policyOf("c-1", allowed, d.clock, "IsCheckedOut", "true")
	lower["RequestData"] = map[string]any{"UserId": "user-1", "MachineName": "desk-1"}
	elsewhere := policyOf("c-2", allowed, d.clock)
	elsewhere["RequestData"] = map[string]any{"UserId": "user-1", "MachineName": "DESK-2"}
	want(t, "another machine's", d.ImportCheckout(file(d.v, elsewhere)), WrongMachine)
	want(t, "no checkout", d.ImportCheckout([]byte("checkout")), ImportFailed)
	want(t, "another's signature", d.ImportCheckout([]byte(newVendorWithKey(t, 1).sign(lower)+"\n"+d.v.cert)), ImportFailed)
	want(t, "this machine's", d.ImportCheckout(file(d.v, lower)), Imported)
	d.v.set(func() { d.v.down = true })
	d.again()
	a := d.Start(t.Context(), drafting)
	want(t, "without a link", a.Status(), Ok)
	d.pass(a, 24*60)
	want(t, "a day later", a.Status(), Ok)
	want(t, "policies asked for", d.v.count("/entitlementpolicyservice/api/GetPolicy"), 0)
	d.clock = d.clock.Add(7 * 24 * time.Hour)
	want(t, "after its end", a.Status(), Expired)
	want(t, "started after its end", d.Start(t.Context(), drafting).Status(), NotEntitled)
	if err := d.DeleteCheckouts(); err != nil || len(d.kept.Checkouts) != 0 {
		t.Errorf("removing them: %v, %d are left", err, len(d.kept.Checkouts))
	}
}

// The three loops, in the bubble's time.
func TestUseIsPostedAsItHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.v.policy = policyOf("p-1", allowed, time.Now())
		d.again(func(c *Config) { c.RealTime, c.Now = true, nil })
		ctx, cancel := context.WithCancel(t.Context())
		a := d.Start(ctx, drafting)
		done := make(chan struct{})
		go func() { a.Run(ctx); close(done) }()
		time.Sleep(8*time.Hour + 30*time.Minute)
		cancel()
		<-done
		want(t, "policies asked for", d.v.count("/entitlementpolicyservice/api/GetPolicy"), 3)
		want(t, "everything is taken at the end", a.Stop(t.Context()), true)
		want(t, "postings", len(d.v.posted), 10) // the beginning, each hour, the end
		first, last := d.v.posted[0], d.v.posted[9]
		for k, v := range map[string]any{"ultID": "4711", "imsID": "user-1", "hID": "DESK-1", "prdid": "9100", "ver": 10_0002_0003_0004.0, "lVer": 1.0,
			"lSrc": "RealTime", "uType": "Practitioner", "country": "NL", "polID": "p-1", "corID": a.Correlation()} {
			want(t, k, first[k], v)
			want(t, "the last "+k, last[k], v)
		}
		want(t, "features", len(d.v.features), 1)
		if from, to := d.v.features[0]["sDateZ"], d.v.features[0]["eDateZ"]; to == open || from == to {
			t.Errorf("the session is posted from %v to %v", from, to)
		}
	})
}

func TestAFileThatIsNotTakenIsTriedAgain(t *testing.T) {
	d := newDesk(t)
	a := d.Start(t.Context(), drafting)
	d.pass(a, 59)
	d.v.set(func() { d.v.down = true })
	d.pass(a, 90)
	files, _ := filepath.Glob(filepath.Join(d.folder, "LicUsageLog.*.csv"))
	want(t, "files that wait", len(files), 2)
	want(t, "stopped offline", a.Stop(t.Context()), false)
	d.v.set(func() { d.v.down = false })
	d.again()
	b := d.Start(t.Context(), drafting)
	want(t, "stopped with a link", b.Stop(t.Context()), true)
	want(t, "files put", len(d.v.files), 4)
	all := strings.Join(d.v.files, "")
	want(t, "rows of the first session", strings.Count(all, a.Correlation()), 3)
	want(t, "rows of the second", strings.Count(all, b.Correlation()), 1)
	columns, _, _ := strings.Cut(d.v.files[0], "\n")
	want(t, "columns", strings.Count(columns, ","), 20)
	left, _ := filepath.Glob(filepath.Join(d.folder, "LicUsageLog.*.csv"))
	want(t, "files that are left", len(left), 0)
}

func TestEntitlementsAreGoneByForFourHours(t *testing.T) {
	d := newDesk(t)
	d.v.statuses = []string{"DeniedTrial", "AllowedTrial", "Allowed", "NoLicense"}
	for range 2 {
		got, err := d.Entitled(t.Context(), drafting)
		if err != nil || got != "Allowed" {
			t.Errorf("got %s (%v), want Allowed", got, err)
		}
		d.v.set(func() { d.v.statuses = []string{"Denied"} })
		d.clock = d.clock.Add(3 * time.Hour)
	}
	if got, err := d.Entitled(t.Context(), drafting); err != nil || got != "Denied" {
		t.Errorf("after six hours: got %s (%v), want Denied", got, err)
	}
	want(t, "questions", d.v.count("/entitlementpolicyservice/v4.0/api/WebEntitlement"), 2)
}

func TestAServersKeyGoesWithoutAUser(t *testing.T) {
	d := newDesk(t, func(c *Config) { c.AccessKey, c.User = "key-1", "" })
	d.v.policy["RequestData"] = map[string]any{"AccessKey": "key-1", "MachineName": "DESK-1"}
	want(t, "with a key", d.Start(t.Context(), drafting).Status(), Ok)
	for _, r := range d.v.requests {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("%s goes with a user's authorization", r.URL.Path)
		}
	}
	want(t, "asked", d.v.count("/entitlementpolicyservice/api/GetPolicyWithAccessKey"), 1)
}

func TestWhatIsDamagedIsThrownAway(t *testing.T) {
	d := newDesk(t)
	d.Start(t.Context(), drafting)
	d.v.set(func() { d.v.down = true })
	if err := os.WriteFile(d.kept.file, []byte(`{"Policies":{"p`), 0o600); err != nil {
		t.Fatal(err)
	}
	d.again()
	want(t, "without what was kept", d.Start(t.Context(), drafting).Status(), NotEntitled)
}

func TestPoliciesThatHaveExpiredAreCleanedUp(t *testing.T) {
	d := newDesk(t)
	d.Start(t.Context(), drafting)
	d.v.set(func() { d.v.down = true })
	d.clock = d.clock.Add(10 * 24 * time.Hour)
	want(t, "expired", d.Start(t.Context(), drafting).Status(), Expired)
	d.clock = d.clock.Add(5 * 24 * time.Hour)
	d.Start(t.Context(), drafting)
	want(t, "policies kept", strings.Join(slices.Collect(maps.Keys(d.kept.Policies)), " "), "")
	want(t, "cleaned up", d.Start(t.Context(), drafting).Status(), NotEntitled)
}

func TestNamesAreHashedAsTheVendorDoes(t *testing.T) {
	want(t, "a name of the public tests", SID("TestDeviceId"), "IXravQ3f71wUupkp+tLBK+vGmCc=")
	want(t, "in another case", SID("TESTDEVICEID"), SID("testdeviceid"))
	want(t, "this machine", SID("::1"), SID("localhost"))
	want(t, "a login with its domain", userSID(`CORP\Ana`, "DESK-1"), SID("ana"))
	want(t, "a login that all machines have", userSID("Administrator", "DESK-1"), SID(`desk-1\administrator`))
	want(t, "a version", versionNumber("9.10.2.113"), 9_0010_0002_0113)
}

// From 23.0.1.25 on a client tells which machine is in the way (R7).
func TestOnlyNewClientsNameTheMachineInTheWay(t *testing.T) {
	const sentence = `It seems your Virtuoso license is active on another machine. Please close the application on "DESK-2" and try again.`
	for version, says := range map[string]string{"10.00.18.2": "Access Denied", "23.0.1.24": "Access Denied", "23.00.01.25": sentence, "25.0.0.1": sentence} {
		d := newDesk(t, func(c *Config) { c.Version = version })
		d.v.policy = policyOf("p-1", denied, d.clock)
		d.v.policy["ACLs"].([]map[string]any)[0]["QualifierOverrides"] = []any{map[string]any{"Name": "MachineLimitExceeded", "Value": "true", "Prompt": sentence}}
		a := d.Start(t.Context(), drafting)
		want(t, version, a.Message(), says)
		want(t, version, a.Status(), AccessDenied)
	}
	d := newDesk(t)
	want(t, "allowed", d.Start(t.Context(), drafting).Message(), "License Type: Practitioner")
	d.v.set(func() { d.v.down = true })
	want(t, "offline", d.Start(t.Context(), drafting).Message(), "Offline")
	want(t, "another product", d.Start(t.Context(), Product{ID: "9200"}).Message(), "No Entitlement")
}
