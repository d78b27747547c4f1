package upstream_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sitegate/emulator"
	"sitegate/emulator/proxy"
	"sitegate/license"
	"sitegate/upstream"
	"sitegate/upstream/cloudapi"
	"sitegate/upstream/egress"
)

const blobHost = "logs7.blob.cloud.test"

// newVendorSite is a site whose usage goes one of the vendor's own ways. Everything,
// the place that files go to as well, is reached through the proxy alone.
func newVendorSite(t *testing.T, usage upstream.UsageConfig, around ...func(http.Handler) http.Handler) *site {
	t.Helper()
	s := &site{cloud: &emulator.Emulator{Issuer: "https://" + imsHost, Sites: map[string]string{"north": "made up: 100% & more"}, UploadHost: blobHost}}
	s.cloud.Seed(10)
	gate := emulator.NewOnlyFrom(listen(t))
	var h http.Handler = s.cloud
	for _, f := range around {
		h = f(h)
	}
	srv, err := emulator.Serve(gate, h, apiHost, imsHost, blobHost)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	s.proxy = proxy.Start(listen(t), proxy.Config{Opened: gate.Register, Closed: gate.Unregister,
		Hosts: map[string]string{apiHost + ":443": srv.Addr(), imsHost + ":443": srv.Addr(), blobHost + ":443": srv.Addr()}})
	t.Cleanup(func() { s.proxy.Close() })
	d, err := egress.New(egress.Config{Proxies: []egress.Proxy{{Address: s.proxy.Addr()}},
		ExtraCA: []egress.ExtraCA{{File: file(t, string(srv.CAPEM)), Hosts: []string{apiHost, imsHost, blobHost}}}})
	if err != nil {
		t.Fatal(err)
	}
	usage.UltimateID = "1004711"
	s.Client, err = upstream.New(upstream.Config{API: "https://" + apiHost, Issuer: "https://" + imsHost, SiteID: "north",
		SecretFile: file(t, "made up: 100% & more\n"), Dialer: d, Usage: usage})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

var (
	realtime = upstream.UsageConfig{Way: license.WayRealtime, Posting: "https://" + apiHost + cloudapi.PathPosting}
	asFile   = upstream.UsageConfig{Way: license.WayFile, Location: "https://" + apiHost + cloudapi.PathLocation, UploadHosts: []string{".blob.cloud.test"}}
)

// odd is a record whose texts a client has posted, with all that they may have in them.
func odd() license.Usage {
	at := license.TimeOf(time.Date(2026, 4, 1, 8, 3, 0, 0, time.UTC))
	return license.Usage{Seq: 4, Record: "r", ID: license.ID{15: 7}, User: "ada; \"Ü\", =1+1", Product: emulator.ProductCapped, License: "l-1", Machine: license.Machine{ID: "m", Name: `BÜRO\Wörk,"7".site.example`},
		Version: "23.00.01.25", Started: at, Ended: at.Add(25 * time.Minute), Country: "DE", LicenseType: license.TypePooled}
}

func TestRealtimeUsageIsPostedForEachIntervalOfItsUse(t *testing.T) {
	s := newVendorSite(t, realtime)
	out := odd()
	out.Kind, out.LicenseType, out.Ended = license.UsageCheckout, "", out.Started
	d, err := s.SendUsage(t.Context(), "k", []license.Usage{odd(), out})
	if err != nil || d.Done != 2 || d.Way != license.WayRealtime || len(d.SetAside) != 0 {
		t.Fatalf("got %+v, %v", d, err)
	}
	got := s.cloud.Postings()
	want := cloudapi.Posting{UltimateID: "1004711", PrincipalID: "l-1", IMSID: string(odd().User), Host: `Wörk,"7"`, UserID: string(odd().User), ProductID: emulator.ProductCapped,
		Version: 23000000010025, CorrelationID: odd().ID.String(), At: "2026-04-01T08:03:00.000Z", LogVersion: 1, Source: "RealTime", Country: "DE", UsageType: "Production"}
	var times []string
	for _, p := range got {
		times = append(times, p.At[11:16]+" "+p.Source)
	}
	if len(got) != 5 || got[0] != want || strings.Join(times, ", ") != "08:03 RealTime, 08:13 RealTime, 08:23 RealTime, 08:28 RealTime, 08:03 Checkout" || got[4].UsageType != "Practitioner" {
		t.Errorf("got %s, the first %+v; want %+v", strings.Join(times, ", "), got[0], want)
	}
}

// Only the word success acknowledges. What the vendor refuses is set aside; what was
// posted before a failure is not posted again.
func TestRealtimeUsageIsAcknowledgedByTheVendorsWordOnly(t *testing.T) {
	s := newVendorSite(t, realtime)
	for _, f := range []emulator.Fault{
		{Status: 200, Type: "application/json", Body: `{"status":"error","msg":"not now"}`},
		{Status: 200, Type: "application/json", Body: `{}`},
		{Status: 200, Body: "<html>signed in</html>"},
		{Status: 400, Body: "<html>blocked</html>"},
		{Status: 502}, {Cut: true}, {Lose: true},
	} {
		f.Prefix = cloudapi.PathPosting
		s.cloud.SetFault(f)
		if d, err := s.SendUsage(t.Context(), "k", []license.Usage{odd()}); err == nil {
			t.Errorf("%+v: got %+v, want an error", f, d)
		}
	}
	s.cloud.ClearFaults()
	usage := used(5)
	for i := range usage {
		usage[i].Ended = usage[i].Started
	}
	s.cloud.RefuseUsageOf("u-1")
	d, err := s.SendUsage(t.Context(), "k", usage)
	if err != nil || d.Done != 5 || len(d.SetAside) != 1 || d.SetAside[0].Usage.User != "u-1" || d.SetAside[0].Why != "imsID is not known" {
		t.Errorf("got %+v, %v; want u-1 set aside", d, err)
	}
	before := len(s.cloud.Postings())
	s.cloud.RefuseUsageOf()
	for i := range usage {
		usage[i].ID[0] = 1
	}
	s.cloud.SetFault(emulator.Fault{Prefix: cloudapi.PathPosting, Status: 502})
	if d, err := s.SendUsage(t.Context(), "k", usage); err == nil {
		t.Errorf("with the first refused for now: %+v", d)
	}
	s.cloud.ClearFaults()
	for sent := 0; sent < len(usage); {
		d, err := s.SendUsage(t.Context(), "k", usage[sent:])
		if err != nil {
			t.Fatal(err)
		}
		sent += d.Done
	}
	if n := len(s.cloud.Postings()) - before; n != 5 {
		t.Errorf("%d were posted, want each of 5 once", n)
	}
}

func TestUsageFilesGoWhereTheVendorSays(t *testing.T) {
	s := newVendorSite(t, asFile)
	other := odd()
	other.Product, other.Kind, other.LicenseType = "4711", license.UsageCheckout, license.TypeTrial
	d, err := s.SendUsage(t.Context(), "k", append(used(100), odd(), other))
	if err != nil || d.Done != 102 || d.Way != license.WayFile {
		t.Fatalf("got %+v, %v", d, err)
	}
	var mine []string
	rows := s.cloud.UsageRows()
	for _, row := range rows {
		if row[5] == string(odd().User) && row[2] == emulator.ProductCapped {
			mine = row
		}
		if len(row) != len(cloudapi.CSVColumns()) {
			t.Errorf("a row has %d columns: %q", len(row), row)
		}
	}
	want := []string{"1004711", "l-1", emulator.ProductCapped, "DE", "", string(odd().User), odd().Machine.Name, "", string(odd().User), "", "", "23000000010025", "", odd().ID.String(), "1",
		"Offline", "Production", "2026-04-01T08:03:00.000Z", "2026-04-01T08:28:00.000Z", "", "1"}
	if len(rows) != 102 || mine == nil {
		t.Fatalf("the vendor has %d rows, want 102, among them %q", len(rows), odd().User)
	}
	for i := range want {
		if want[i] != "" && mine[i] != want[i] || len(mine[7]) != 28 || mine[7] == mine[9] {
			t.Errorf("column %s is %q, want %q", cloudapi.CSVColumns()[i], mine[i], want[i])
		}
	}
}

// The vendor names the place, but the site says where its usage may go, and what is
// secret in the place is never told.
func TestUsageFilesGoNowhereElse(t *testing.T) {
	s := newVendorSite(t, asFile)
	const secret = "sv=1&sig=very-secret"
	place := func(uri string) string {
		return fmt.Sprintf(`{"status":"success","epUri":%q,"epInfo":{"SharedAccessSignature":%q},"reqID":"1"}`, uri, "?"+secret)
	}
	for uri, want := range map[string]error{
		"https://evil.test/x.csv":                       upstream.ErrUploadHost,
		"https://blob.cloud.test/x.csv":                 upstream.ErrUploadHost,
		"https://evilblob.cloud.test/x.csv":             upstream.ErrUploadHost,
		"https://logs7.blob.cloud.test.evil.test/x.csv": upstream.ErrUploadHost,
		"https://logs7.blob.cloud.test:8443/x.csv":      upstream.ErrUploadHost,
		"https://127.0.0.1/x.csv":                       upstream.ErrUploadHost,
		"http://logs7.blob.cloud.test/x.csv":            upstream.ErrGarbage,
		"https://a:b@logs7.blob.cloud.test/x.csv":       upstream.ErrGarbage,
		"https://logs7.blob.cloud.test/x.csv?a=b":       upstream.ErrGarbage,
		"":                                    upstream.ErrGarbage,
		"https://logs8.blob.cloud.test/x.csv": upstream.ErrUnreachable, // allowed, and not there
		"https://logs7.blob.cloud.test/usage-logs/no.csv": upstream.ErrUnreachable, // not signed for
	} {
		s.cloud.SetFault(emulator.Fault{Prefix: cloudapi.PathLocation, Status: http.StatusOK, Type: "application/json", Body: place(uri)})
		d, err := s.SendUsage(t.Context(), "k", used(3))
		if !errors.Is(err, want) || d.Done != 0 {
			t.Errorf("to %s: got %+v, %v; want %v", uri, d, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("to %s: the error tells what is secret: %v", uri, err)
		}
	}
	s.cloud.ClearFaults()
	for _, f := range []emulator.Fault{{Status: 500}, {Cut: true}, {Lose: true}, {Status: 403, Body: "AuthenticationFailed"}} {
		f.Prefix = "/usage-logs/"
		s.cloud.SetFault(f)
		d, err := s.SendUsage(t.Context(), "k", used(3))
		if !errors.Is(err, upstream.ErrUnreachable) || d.Done != 0 || strings.Contains(err.Error(), "sig=") {
			t.Errorf("%+v: got %+v, %v", f, d, err)
		}
	}
	if n := len(s.cloud.UsageRows()); n != 3 { // those whose answer was lost
		t.Errorf("the vendor has %d rows, want 3", n)
	}
}

func TestTheVendorsWaysHaveToBeSetUp(t *testing.T) {
	d, err := egress.New(egress.Config{Direct: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []upstream.UsageConfig{
		{Way: license.WayRealtime, UltimateID: "1"},
		{Way: license.WayRealtime, Posting: "http://x.test", UltimateID: "1"},
		{Way: license.WayRealtime, Posting: "https://x.test"},
		{Way: license.WayFile, Location: "https://x.test", UltimateID: "1"},
		{Way: license.WayFile, UploadHosts: []string{"x.test"}, UltimateID: "1"},
		{Way: license.WayCarried, UltimateID: "1"},
	} {
		c, err := upstream.New(upstream.Config{API: "https://x.test", Issuer: "https://x.test", SiteID: "s", SecretFile: file(t, "s"), Dialer: d, Usage: u})
		if err == nil || !strings.Contains(err.Error(), "sending usage") {
			t.Errorf("%+v: got %v", u, err)
		}
		if c != nil {
			c.Close()
		}
	}
}

// kept is usage of which some was posted by the vendor's own client.
func kept(seq uint64, user, body string, listed bool) license.Usage {
	return license.Usage{Seq: seq, Record: fmt.Sprint("k-", seq), Kind: license.UsagePosted, User: license.UserID(user), Machine: license.Machine{Name: "WS-101"}, Posted: []byte(body), Listed: listed}
}

func clientsPosting(user, run string) string {
	return `{"ultID":"a","imsID":"` + user + `",  "hID":"WS-101","prdid":"3101","corID":"` + run + `","evTimeZ":"2026-04-01T08:03:00.000Z","lVer":1,"new":[1]}`
}

// What clients have posted goes on as it came, whichever way the site's own usage goes.
func TestWhatClientsPostedGoesOnAsItCame(t *testing.T) {
	s := newVendorSite(t, upstream.UsageConfig{Posted: "https://" + apiHost + cloudapi.PathPosting})
	first, list := clientsPosting("u-1", "r-1"), "["+clientsPosting("u-1", "r-1")+"]"
	usage := append(used(2), kept(10, "u-1", first, false), kept(11, "u-1", list, true))
	usage = append(usage, used(1)...)
	var way []string
	for sent := 0; sent < len(usage); {
		d, err := s.SendUsage(t.Context(), "k", usage[sent:])
		if err != nil || d.Done == 0 {
			t.Fatalf("after %d: %+v, %v", sent, d, err)
		}
		sent += d.Done
		way = append(way, fmt.Sprint(d.Done, " ", d.Way))
	}
	if got, want := strings.Join(way, ", "), "2 site, 2 realtime, 1 site"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := s.cloud.PostedBodies(); len(got) != 2 || got[0] != first || got[1] != list {
		t.Errorf("got %q, want both byte for byte", got)
	}
}

// What the vendor refuses of it keeps nothing back, and what something in between refuses is kept.
func TestWhatClientsPostedIsSetAsideOrKept(t *testing.T) {
	s := newVendorSite(t, upstream.UsageConfig{Posted: "https://" + apiHost + cloudapi.PathPosting})
	s.cloud.RefuseUsageOf("u-2")
	usage := []license.Usage{kept(1, "u-1", clientsPosting("u-1", "r"), false), kept(2, "u-2", clientsPosting("u-2", "r"), false), kept(3, "u-3", "{}", false), kept(4, "u-4", clientsPosting("u-4", "r"), false)}
	d, err := s.SendUsage(t.Context(), "k", usage)
	if err != nil || d.Done != 4 || len(d.SetAside) != 2 || d.SetAside[0].Usage.User != "u-2" || d.SetAside[1].Usage.User != "u-3" || d.SetAside[0].Why != "imsID is not known" {
		t.Errorf("got %+v, %v; want two set aside", d, err)
	}
	for _, f := range []emulator.Fault{
		{Status: 200, Type: "application/json", Body: `{"status":"error"}`}, {Status: 403, Body: "<html>blocked</html>"}, {Status: 502}, {Cut: true},
	} {
		f.Prefix = cloudapi.PathPosting
		s.cloud.SetFault(f)
		if d, err := s.SendUsage(t.Context(), "k", usage[:1]); err == nil {
			t.Errorf("%+v: got %+v, want an error", f, d)
		}
	}
	s.cloud.SetFault(emulator.Fault{Prefix: cloudapi.PathPosting, Status: 401})
	if d, err := s.SendUsage(t.Context(), "k", usage[:1]); err != nil || len(d.SetAside) != 1 {
		t.Errorf("a service that takes nothing of this site: got %+v, %v, want it set aside", d, err)
	}
	s.cloud.ClearFaults()
	crowd := make([]license.Usage, 20)
	for i := range crowd {
		crowd[i] = kept(uint64(i+1), "u-2", clientsPosting("u-2", "r"), false)
	}
	if d, err := s.SendUsage(t.Context(), "k", crowd); err != nil || d.Done != len(d.SetAside) || d.Done >= 20 {
		t.Errorf("many that are refused: got %d of %d set aside, %v, want some at a time", len(d.SetAside), d.Done, err)
	}
	none := newVendorSite(t, upstream.UsageConfig{})
	if d, err := none.SendUsage(t.Context(), "k", usage[:1]); err == nil || !strings.Contains(err.Error(), "relay.posting_url") {
		t.Errorf("with no address: got %+v, %v", d, err)
	}
	line, err := upstream.UsageLine(usage[0])
	if err != nil || !strings.Contains(string(line), `"kind":"posting"`) || !strings.Contains(string(line), `corID`) {
		t.Errorf("carried: got %s, %v", line, err)
	}
}

// A header without end, or nearly so, is not read to its end; what it stood before is sent again, once.
func TestAnswersWithHugeHeaders(t *testing.T) {
	for what, tt := range map[string]struct {
		usage upstream.UsageConfig
		host  string
		path  string
	}{
		"discovery of the sign-in": {realtime, imsHost, "/.well-known/"},
		"token of the sign-in":     {realtime, imsHost, "/connect/token"},
		"posting":                  {realtime, apiHost, cloudapi.PathPosting},
		"location":                 {asFile, apiHost, cloudapi.PathLocation},
		"putting a file":           {asFile, blobHost, "/"},
	} {
		t.Run(what, func(t *testing.T) {
			var huge atomic.Bool
			huge.Store(true)
			s := newVendorSite(t, tt.usage, func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if huge.Load() && r.Host == tt.host && strings.HasPrefix(r.URL.Path, tt.path) {
						for i := range 64 {
							w.Header().Set(fmt.Sprintf("X-Filler-%d", i), strings.Repeat("x", 16<<10))
						}
						w.WriteHeader(http.StatusCreated)
						return
					}
					h.ServeHTTP(w, r)
				})
			})
			use := odd()
			use.Ended = use.Started
			if d, err := s.SendUsage(t.Context(), "k", []license.Usage{use}); !errors.Is(err, upstream.ErrUnreachable) || d.Done != 0 || len(err.Error()) > 1000 {
				t.Errorf("got %+v, %.300v; want ErrUnreachable, and nothing done", d, err)
			}
			huge.Store(false)
			if d, err := s.SendUsage(t.Context(), "k", []license.Usage{use}); err != nil || d.Done != 1 {
				t.Errorf("when the right one answers: got %+v, %v", d, err)
			}
		})
	}
}
