package endpoint

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"

	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// posting is what ada's client posts of a run of 1234; change what is otherwise.
func posting(t *testing.T, change ...func(*cloudapi.Posting)) string {
	t.Helper()
	p := cloudapi.Posting{UltimateID: "a-1", IMSID: "ada", Host: "WS-101", ProductID: "1234", CorrelationID: "r-1", At: "2026-04-01T08:03:00.000Z",
		LogVersion: 1, Source: cloudapi.SourceRealtime, EndedAt: "0001-01-01T00:00:00Z"}
	for _, f := range change {
		f(&p)
	}
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return "  " + string(b) // so that it would be seen if it were written anew
}

func ends(p *cloudapi.Posting) { p.EndedAt = p.At }

// running is ada's session; nil: there is none.
func (d *desktopRig) running() (x *license.Session) {
	d.node.View(func(s *license.State) {
		if a := s.Active("ada"); a != nil && len(a.Sessions) > 0 {
			copied := a.Sessions[0]
			x = &copied
		}
	})
	return x
}

func (d *desktopRig) posts(t *testing.T, who header, below, body string) answer {
	t.Helper()
	return d.call(t, "", "POST", cloudapi.PathPosting+below, body, who)
}

// postsFrom is posts from another address of this machine.
func (d *desktopRig) postsFrom(t *testing.T, address string, who header, body string) *http.Response {
	t.Helper()
	from := &http.Transport{TLSClientConfig: d.Client().Transport.(*http.Transport).TLSClientConfig,
		DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).DialContext}
	defer from.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.URL+cloudapi.PathPosting, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", who["Authorization"])
	resp, err := (&http.Client{Transport: from}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

func TestPostingsReachTheVendorAsTheyCame(t *testing.T) {
	d := newDesktopRig(t)
	ada := d.bearer(t, "ada")
	one, list := posting(t), "[ "+posting(t)+" ]\n"
	for body, below := range map[string]string{one: "", list: cloudapi.PostingFeatureLog} {
		if a := d.posts(t, ada, below, body); a.StatusCode != 200 || !strings.Contains(string(a.raw), `"status":"success"`) {
			t.Errorf("%q: %d %s, want the vendor's answer", body, a.StatusCode, a.raw)
		}
	}
	got := strings.Join(d.cloud.PostedBodies(), "|")
	if got != one+"|"+list && got != list+"|"+one {
		t.Errorf("the vendor has %q, want %q and %q", got, one, list)
	}
	for _, body := range []string{`{"imsID":"ada","IMSID":"ben"}`, list, one[:30]} { // a field twice, no object, cut short
		d.withholds(t, d.posts(t, ada, "", body), 400, "malformed")
	}
	d.withholds(t, d.posts(t, nil, "", one), 401, "unauthorized")
	if got := len(d.cloud.PostedBodies()); got != 2 {
		t.Errorf("the vendor has %d postings, want 2", got)
	}
}

// Only what a session's own user posts from its own machine keeps it, and ends it.
func TestPostingsKeepAndEndTheirSession(t *testing.T) {
	d := newDesktopRig(t)
	ada, ben := d.bearer(t, "ada"), d.bearer(t, "ben")
	d.gives(t, ada, "ws-101.corp.example", "1234")
	x := d.running()
	for _, s := range []struct {
		what   string
		who    header
		below  string
		body   string
		runs   string
		renews bool
		over   bool
	}{
		{"a run", ada, "", posting(t), "r-1", true, false},
		{"the same", ada, "", posting(t), "r-1", true, false},
		{"one of before, in a file's words", ada, "", posting(t, func(p *cloudapi.Posting) { p.Source, p.CorrelationID = cloudapi.SourceOffline, "r-0" }), "r-1", false, false},
		{"another product", ada, "", posting(t, func(p *cloudapi.Posting) { p.ProductID = "2001" }), "r-1", false, false},
		{"another machine", ada, "", posting(t, func(p *cloudapi.Posting) { p.Host = "WS-202" }), "r-1", false, false},
		{"the end on another machine", ada, "", posting(t, ends, func(p *cloudapi.Posting) { p.Host = "WS-202" }), "r-1", false, false},
		{"the end by another user", ben, "", posting(t, ends), "r-1", false, false},
		{"the end of a run nobody knows", ada, "", posting(t, ends, func(p *cloudapi.Posting) { p.CorrelationID = "r-9" }), "r-1", false, false},
		{"the end of a feature", ada, cloudapi.PostingFeatureLog, "[" + posting(t, ends, func(p *cloudapi.Posting) { p.FeatureID = "print" }) + "]", "r-1", true, false},
		{"a second run, by a filled up number", ada, "", posting(t, func(p *cloudapi.Posting) { p.CorrelationID, p.ProductID = "r-2", "01234" }), "r-1 r-2", true, false},
		{"its end, and the first one's", ada, cloudapi.PostingFeatureLog,
			"[" + posting(t, ends, func(p *cloudapi.Posting) { p.CorrelationID = "r-2" }) + "," + posting(t, ends, func(p *cloudapi.Posting) { p.FeatureID = "1234" }) + "]", "", false, true},
	} {
		before := d.node.renewed()
		if a := d.posts(t, s.who, s.below, s.body); a.StatusCode != 200 {
			t.Fatalf("%s: %d %s", s.what, a.StatusCode, a.raw)
		}
		now := d.running()
		switch {
		case s.over != (now == nil):
			t.Fatalf("%s: the session is %+v, want it over: %v", s.what, now, s.over)
		case now != nil && (now.ID != x.ID || strings.Join(now.Runs, " ") != s.runs):
			t.Errorf("%s: the session %s is kept by %v, want %q", s.what, now.ID, now.Runs, s.runs)
		}
		if got := d.node.renewed() > before; got != s.renews {
			t.Errorf("%s: renewed is %v, want %v", s.what, got, s.renews)
		}
	}
	d.gives(t, ada, "WS-202", "1234") // it is free at once
}

// A run that is made up elsewhere, with the user's own token, ends nothing before the machine's
// own client is heard of.
func TestARunFromElsewhereEndsNothing(t *testing.T) {
	d := newDesktopRig(t)
	ada := d.bearer(t, "ada")
	d.gives(t, ada, "WS-101", "1234")
	madeUp := func(p *cloudapi.Posting) { p.CorrelationID = "made-up" }
	for _, body := range []string{posting(t, madeUp), posting(t, madeUp, ends)} {
		if resp := d.postsFrom(t, "127.0.0.2", ada, body); resp.StatusCode != http.StatusOK {
			t.Fatalf("got %s, want the vendor's answer", resp.Status)
		}
	}
	d.withholds(t, d.policy(t, ada, "WS-202", "1234"), 409, "machine-active")
	if x := d.running(); x == nil || x.From != "127.0.0.1" || x.KeptBy("r-7") == false {
		t.Errorf("the session is %+v, want it there, and to end by its lease only", x)
	}
}

// A posting that the vendor refuses is no heartbeat.
func TestOnlyWhatTheVendorTakesRenews(t *testing.T) {
	d := newDesktopRig(t)
	ada := d.bearer(t, "ada")
	d.gives(t, ada, "WS-101", "1234")
	before := d.node.renewed()
	d.cloud.RefuseUsageOf("ada")
	if a := d.posts(t, ada, "", posting(t)); a.StatusCode != 400 || !strings.Contains(string(a.raw), "imsID is not known") {
		t.Errorf("%d %s, want the vendor's refusal", a.StatusCode, a.raw)
	}
	if x := d.running(); len(x.Runs) > 0 || d.node.renewed() != before {
		t.Errorf("it was renewed, and is kept by %v", x.Runs)
	}
}

// One user does not fill the site's room while the link is down; others have theirs.
func TestWhatIsTakenOverOfAUserIsBounded(t *testing.T) {
	d := newDesktopRig(t)
	ada, ben := d.bearer(t, "ada"), d.bearer(t, "ben")
	d.gives(t, ada, "WS-101", "1234")
	d.e.relay.takenOver = newLimits[license.UserID](Rate{PerSecond: 0.001, Burst: 2})
	d.node.do(t, license.Link{Up: true})
	d.node.do(t, license.Link{})
	d.breaks(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true })
	for i, want := range []int{200, 200, 502} {
		if a := d.posts(t, ada, "", posting(t)); a.StatusCode != want {
			t.Errorf("posting %d: %d %s, want %d", i+1, a.StatusCode, a.raw, want)
		}
	}
	if a := d.posts(t, ben, "", posting(t, func(p *cloudapi.Posting) { p.IMSID = "ben" })); a.StatusCode != 200 {
		t.Errorf("another user's: %d %s, want it taken over", a.StatusCode, a.raw)
	}
	if n := len(d.kept()); n != 3 {
		t.Errorf("%d are kept, want 3", n)
	}
}

// While the link is down a posting is the site's to deliver, and is in the journal before its
// client hears so.
func TestPostingsAreTakenOverWhileTheLinkIsDown(t *testing.T) {
	d := newDesktopRig(t)
	ada, saml := d.bearer(t, "ada"), d.saml(t, "ada")
	d.gives(t, ada, "WS-101", "1234")
	d.node.do(t, license.Link{Up: true})
	for what, broken := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"cut":         func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) },
		"unavailable": func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true },
	} {
		d.breaks(broken)
		if a := d.posts(t, ada, "", posting(t)); a.StatusCode != 502 {
			t.Errorf("%s, with a link: %d %s, want 502 so that the client keeps it", what, a.StatusCode, a.raw)
		}
		d.node.do(t, license.Link{})
		body, before := posting(t), d.kept()
		a := d.posts(t, ada, "", body)
		var got cloudapi.VendorAnswer
		if err := json.Unmarshal(a.raw, &got); err != nil || a.StatusCode != 200 || got.Status != "success" || got.RequestID == "" || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s, without a link: %d %s, want the answer that the vendor gives", what, a.StatusCode, a.raw)
		}
		kept := d.kept()
		if len(kept) != len(before)+1 {
			t.Fatalf("%s: %d postings are kept, want one more than %d", what, len(kept), len(before))
		}
		if k := kept[len(kept)-1]; string(k.Body) != body || k.User != "ada" || k.Listed || k.Machine.Name != "WS-101" {
			t.Errorf("%s: kept is %+v", what, k)
		}
		if x := d.running(); strings.Join(x.Runs, " ") != "r-1" {
			t.Errorf("%s: the session is kept by %v, want r-1", what, x.Runs)
		}
		before = d.kept()
		d.posts(t, saml, "", body) // whose token nobody here can judge
		d.posts(t, ada, cloudapi.PostingFeatureLog, "[]")
		d.posts(t, ada, "", posting(t, func(p *cloudapi.Posting) { p.UserID = strings.Repeat("a", license.MaxPosted) }))
		d.posts(t, ada, "", posting(t, func(p *cloudapi.Posting) { p.Host = "" }))
		d.posts(t, ada, "", posting(t, func(p *cloudapi.Posting) { p.IMSID = "ben" }))
		d.posts(t, ada, cloudapi.PostingFeatureLog, "["+body+","+posting(t, func(p *cloudapi.Posting) { p.IMSID = "ben" })+"]")
		d.breaks(encoded) // it has it, and says so in a way that is not understood
		d.posts(t, ada, "", body)
		d.breaks(broken)
		if n := len(d.kept()) - len(before); n != 0 {
			t.Errorf("%s: %d more are kept of those that the client is to keep", what, n)
		}
		if a := d.posts(t, ada, cloudapi.PostingFeatureLog, "["+body+"]"); a.StatusCode != 200 || !d.kept()[len(d.kept())-1].Listed {
			t.Errorf("%s, of features: %d %s", what, a.StatusCode, a.raw)
		}
		d.node.do(t, license.Link{Up: true})
	}
}

// kept are the postings that were taken over.
func (d *desktopRig) kept() (list []license.PostingKept) {
	d.node.set(func() {
		for _, f := range d.node.facts {
			if k, ok := f.(license.PostingKept); ok {
				list = append(list, k)
			}
		}
	})
	return list
}

func TestAccessKeysAreTheVendorsToJudge(t *testing.T) {
	d := newDesktopRig(t)
	d.cloud.AddAccessKey("k-1")
	for key, want := range map[string]string{"k-1": `"Success"`, "k-2": `"Error"`} {
		if a := d.call(t, "", "POST", pathAccessKey+"/info", `{"accesskey":"`+key+`","cSID":"abc="}`); a.StatusCode != 200 || !strings.Contains(string(a.raw), want) {
			t.Errorf("%s: %d %s, want %s", key, a.StatusCode, a.raw, want)
		}
	}
	if log := d.log.String(); strings.Contains(log, "k-1") || strings.Contains(log, "k-2") {
		t.Errorf("a key is in the log: %s", log)
	}
}
