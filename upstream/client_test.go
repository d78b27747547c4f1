package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/emulator"
	"sitegate/emulator/proxy"
	"sitegate/license"
	"sitegate/upstream"
	"sitegate/upstream/cloudapi"
	"sitegate/upstream/egress"
)

const (
	apiHost = "api.cloud.test"
	imsHost = "sign-in.cloud.test"
)

// site is a gateway's client, the proxy that is its only way out, and the cloud behind it.
type site struct {
	*upstream.Client
	cloud *emulator.Emulator
	proxy *proxy.Proxy
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func file(t *testing.T, content string) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(f, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// newSite puts everything together. front, if there is one, answers instead of the cloud's site API.
func newSite(t *testing.T, front http.HandlerFunc) *site {
	t.Helper()
	s := &site{cloud: &emulator.Emulator{Issuer: "https://" + imsHost, Sites: map[string]string{"north": "made up: 100% & more"}}}
	s.cloud.Seed(1200)
	gate := emulator.NewOnlyFrom(listen(t))
	srv, err := emulator.Serve(gate, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if front != nil && strings.HasPrefix(r.URL.Path, cloudapi.Base) {
			front(w, r)
			return
		}
		s.cloud.ServeHTTP(w, r)
	}), apiHost, imsHost)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	s.proxy = proxy.Start(listen(t), proxy.Config{Users: map[string]string{"svc": "pw"}, Opened: gate.Register, Closed: gate.Unregister,
		Hosts: map[string]string{apiHost + ":443": srv.Addr(), imsHost + ":443": srv.Addr()}})
	t.Cleanup(func() { s.proxy.Close() })
	d, err := egress.New(egress.Config{Proxies: []egress.Proxy{{Address: s.proxy.Addr(), Username: "svc", PasswordFile: file(t, "pw")}},
		ExtraCA: []egress.ExtraCA{{File: file(t, string(srv.CAPEM)), Hosts: []string{apiHost, imsHost}}}})
	if err != nil {
		t.Fatal(err)
	}
	s.Client, err = upstream.New(upstream.Config{API: "https://" + apiHost, Issuer: "https://" + imsHost, SiteID: "north",
		SecretFile: file(t, "made up: 100% & more\n"), Dialer: d})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func hold(user, machine string, n byte) license.CloudHold {
	return license.CloudHold{Key: user, Kind: license.HoldSession, Ref: license.ID{15: n}, User: license.UserID(user), Product: emulator.ProductCapped,
		License: license.LicenseID("l-" + user[2:] + "-1"), Machine: license.Machine{ID: "id-" + machine, Name: machine}}
}

func TestTheMirrorFillsThroughTheProxy(t *testing.T) {
	s := newSite(t, nil)
	s.cloud.Seed(2500) // more than fits a page
	users, licenses, products := map[license.UserID]license.User{}, map[license.LicenseID]license.License{}, map[license.ProductID]license.Product{}
	var account license.Account
	cursor := ""
	for more := true; more; {
		page, err := s.Changes(t.Context(), cursor, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Changes {
			switch {
			case c.User != nil:
				users[c.User.ID] = *c.User
			case c.License != nil:
				licenses[c.License.ID] = *c.License
			case c.Product != nil:
				products[c.Product.ID] = *c.Product
			case c.Account != nil:
				account = *c.Account
			}
		}
		cursor, more = page.Cursor, page.More
	}
	if len(users) != 2500 || len(licenses) != len(s.cloud.Licenses()) || len(products) != len(s.cloud.Products()) {
		t.Errorf("got %d users, %d licenses, %d products", len(users), len(licenses), len(products))
	}
	if account.AutonomyCapped != 72*time.Hour || account.CheckoutMax != 30*24*time.Hour || len(account.Administrators) != 1 ||
		account.FulfillmentContact.Email != "purchasing@harbour-works.example" {
		t.Errorf("got account %+v", account)
	}
	if p := products[emulator.ProductUnknown]; p.Capped != license.CappedUnknown {
		t.Errorf("got %v for a product the cloud does not say it of, want unknown", p.Capped)
	}
	if got := users[emulator.UserAdmin].Roles; got != license.RoleAdministrator|license.RoleLicenseAdministrator {
		t.Errorf("got roles %b of the administrator", got)
	}
	for _, want := range s.cloud.Licenses() {
		got := licenses[license.LicenseID(want.ID)]
		if string(got.Assignee) != want.AssignedTo || !got.Ends.Std().Equal(want.EndsAt) || (got.Kind == license.Virtuoso) != (want.Kind == cloudapi.LicenseVirtuoso) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}

	news := make(chan license.Page, 1)
	go func() {
		page, _ := s.Changes(t.Context(), cursor, 30*time.Second)
		news <- page
	}()
	s.cloud.DeleteUser(emulator.UserAdmin)
	page := <-news
	if len(page.Changes) != 1 || page.Changes[0].DeleteUser != emulator.UserAdmin || page.Reset {
		t.Errorf("after a deletion: got %+v", page)
	}
	s.cloud.LoseCursors()
	if page, err := s.Changes(t.Context(), page.Cursor, 30*time.Second); err != nil || !page.Reset || !page.More {
		t.Errorf("after lost cursors: got reset %v, more %v, %v; want a new fill", page.Reset, page.More, err)
	}
}

func TestHolds(t *testing.T) {
	s := newSite(t, nil)
	f := license.Fence{Epoch: 1, Term: 2}
	ask := func(h license.CloudHold) (*license.Denial, error) {
		t.Helper()
		f.Order++
		return s.Hold(t.Context(), f, h)
	}
	ws1, ws2 := hold(emulator.UserA, "WS-1", 1), hold(emulator.UserA, "WS-2", 2)
	for range 2 {
		if d, err := ask(ws1); d != nil || err != nil {
			t.Fatalf("first machine: got %+v, %v, want yes", d, err)
		}
	}
	d, err := ask(ws2)
	if err != nil || d == nil || d.Reason != license.MachineActive || d.Machine.Name != "WS-1" || d.Since == 0 || d.Holding != ws1.License ||
		d.License != ws2.License || d.By != license.HoldSession || !d.Elsewhere {
		t.Errorf("second machine: got %+v, %v, want machine-active with WS-1", d, err)
	}
	until := license.TimeOf(time.Now().Add(72 * time.Hour))
	out := hold(emulator.UserB, "LT-7", 3)
	out.Kind, out.Until, out.Key = license.HoldCheckout, until, emulator.UserB+"/"+string(out.License)
	if d, err := ask(out); d != nil || err != nil {
		t.Fatalf("checkout: got %+v, %v, want yes", d, err)
	}
	if d, err := ask(hold(emulator.UserB, "WS-2", 4)); err != nil || d == nil || d.Reason != license.MachineActive || d.By != license.HoldCheckout || d.Machine.Name != "LT-7" {
		t.Errorf("start while checked out: got %+v, %v, want machine-active by a checkout on LT-7", d, err)
	}
	if got, err := s.HeldCheckouts(t.Context()); err != nil || len(got) != 1 || got[0].ID != out.Ref || got[0].Machine != out.Machine ||
		got[0].User != out.User || got[0].License != out.License || got[0].Product != out.Product || got[0].Until != until {
		t.Errorf("held checkouts: got %v, %v, want that of LT-7 only", got, err)
	}
	long := out
	long.Until = license.TimeOf(time.Now().AddDate(0, 0, 40))
	if d, err := ask(long); err != nil || d == nil || d.Reason != license.CheckoutTooLong || d.Until == 0 {
		t.Errorf("40 days: got %+v, %v, want checkout-too-long", d, err)
	}
	theirs := ws1
	theirs.License = "l-00002-1"
	if d, err := ask(theirs); err != nil || d == nil || d.Reason != license.NotAssigned {
		t.Errorf("another user's license: got %+v, %v, want not-assigned", d, err)
	}

	// The full list: a machine without an id, one the cloud did not know of, one it does not agree to.
	if err := s.cloud.HoldElsewhere(emulator.UserAdmin, "HOME"); err != nil {
		t.Fatal(err)
	}
	l := license.LicenseID("")
	for _, x := range s.cloud.Licenses() {
		if x.AssignedTo == emulator.UserAdmin {
			l = license.LicenseID(x.ID)
			s.cloud.PutLicense(cloudapi.License{ID: x.ID, ProductID: emulator.ProductCapped, Kind: x.Kind, StartsAt: x.StartsAt, EndsAt: x.EndsAt, AssignedTo: x.AssignedTo})
			break
		}
	}
	alone := hold(emulator.UserAdmin, "WS-3", 5)
	alone.License, alone.Provisional, alone.Machine.ID = l, true, ""
	f.Order++
	conflicts, err := s.RenewHolds(t.Context(), f, []license.CloudHold{ws1, alone})
	if err != nil || len(conflicts) != 1 || conflicts[0].Key != emulator.UserAdmin || conflicts[0].Ref != alone.Ref || conflicts[0].Machine.Name != "HOME" || conflicts[0].Since == 0 {
		t.Errorf("renewal: got %+v, %v, want a conflict with HOME", conflicts, err)
	}
	if got := s.cloud.Holds("north"); len(got) != 1 || got[0].MachineName != "WS-1" {
		t.Errorf("after the renewal: got %+v, want WS-1 only: the checkout was not in the list", got)
	}
	s.cloud.ReleaseElsewhere(emulator.UserAdmin)
	if conflicts, err := s.RenewHolds(t.Context(), f, []license.CloudHold{ws1, alone}); err != nil || len(conflicts) != 0 {
		t.Errorf("renewal again: got %+v, %v, want no conflict", conflicts, err)
	}
	if err := s.Release(t.Context(), f, alone); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := s.Release(t.Context(), f, ws1); err != nil {
			t.Error(err)
		}
	}
	if got := s.cloud.Holds("north"); len(got) != 0 {
		t.Errorf("after the releases: got %+v, want none", got)
	}

	old := license.Fence{Epoch: 1, Term: 1, Order: 99}
	if d, err := s.Hold(t.Context(), old, ws1); !errors.Is(err, upstream.ErrStaleFence) || d != nil {
		t.Errorf("an older leader's hold: got %+v, %v, want ErrStaleFence", d, err)
	}
	if err := s.Release(t.Context(), old, ws1); !errors.Is(err, upstream.ErrStaleFence) {
		t.Errorf("an older leader's release: got %v, want ErrStaleFence", err)
	}
	if _, err := s.RenewHolds(t.Context(), old, nil); !errors.Is(err, upstream.ErrStaleFence) {
		t.Errorf("an older leader's list: got %v, want ErrStaleFence", err)
	}
}

func TestMoves(t *testing.T) {
	s := newSite(t, nil)
	now := time.Now()
	lic := func(id, assignee string, at time.Time) {
		s.cloud.PutLicense(cloudapi.License{ID: id, ProductID: emulator.ProductCapped, Kind: cloudapi.LicenseVirtuoso, StartsAt: now.AddDate(0, -6, 0),
			EndsAt: now.AddDate(0, 6, 0), AssignedTo: assignee, AssignedAt: &at})
	}
	lic("l/1?x", emulator.UserA, now.AddDate(0, 0, -40))
	lic("l-locked", emulator.UserA, now.AddDate(0, 0, -2))
	lic("l-lost", "u-gone", now.AddDate(0, 0, -40))
	s.cloud.PutUser(cloudapi.User{ID: "u-other", Country: "DE", OtherAccount: true})
	s.cloud.PutUser(cloudapi.User{ID: "u-nowhere"})
	s.cloud.PutUser(cloudapi.User{ID: "u-blocked", Country: "DE", Blocked: true})
	ended := s.cloud.Licenses()[0]
	ended.EndsAt = now.Add(-time.Hour)
	s.cloud.PutLicense(ended)
	opens := license.TimeOf(now.AddDate(0, 0, -2).Add(31 * 24 * time.Hour))
	for _, tt := range []struct {
		lic  license.LicenseID
		to   license.UserID
		want license.Denial
	}{
		{"l/1?x", "u-other", license.Denial{Reason: license.OtherAccount, Person: "u-other"}},
		{"l/1?x", "u-blocked", license.Denial{Reason: license.UserBlocked, Person: "u-blocked"}},
		{"l/1?x", "u-nowhere", license.Denial{Reason: license.NoCountry, Person: "u-nowhere"}},
		{"l/1?x", "u-none", license.Denial{Reason: license.UnknownUser, Person: "u-none"}},
		{"l-none", emulator.UserB, license.Denial{Reason: license.UnknownLicense}},
		{"l-locked", emulator.UserB, license.Denial{Reason: license.MoveLocked, Person: emulator.UserA, Until: opens}},
		{"l-lost", emulator.UserB, license.Denial{Reason: license.UserNotFound, Person: "u-gone"}},
		{license.LicenseID(ended.ID), emulator.UserB, license.Denial{Reason: license.LicenseEnded, Until: license.TimeOf(ended.EndsAt)}},
	} {
		tt.want.License = tt.lic
		got, err := s.Move(t.Context(), license.Move{License: tt.lic, To: tt.to, By: "it@x.example"})
		if err != nil || got == nil || *got != tt.want {
			t.Errorf("%s to %s: got %+v, %v, want %+v", tt.lic, tt.to, got, err, tt.want)
		}
	}
	for range 2 {
		if d, err := s.Move(t.Context(), license.Move{License: "l/1?x", To: emulator.UserB, By: "it@x.example", Note: "new project"}); d != nil || err != nil {
			t.Errorf("a move that may be: got %+v, %v", d, err)
		}
	}
	if got := s.cloud.Assignments(); len(got) != 1 || got[0].By != "it@x.example" || got[0].Note != "new project" || got[0].From != emulator.UserA || got[0].To != emulator.UserB {
		t.Errorf("the cloud's books: got %+v", got)
	}
	s.cloud.NoMoves = true
	if d, err := s.Move(t.Context(), license.Move{License: "l/1?x", To: emulator.UserA, By: "it"}); err != nil || d == nil || d.Reason != license.CloudCannot {
		t.Errorf("of a cloud that takes no moves: got %+v, %v, want cloud-cannot", d, err)
	}
}

func TestUsageCountsOnceHoweverOftenItIsSent(t *testing.T) {
	s := newSite(t, nil)
	var usage []license.Usage
	for i := range 1500 {
		at := license.TimeOf(time.Date(2026, 4, 1, 8, i, 0, 0, time.UTC))
		usage = append(usage, license.Usage{Record: fmt.Sprintf("r-%d", i), ID: license.ID{15: 1}, User: emulator.UserA, Product: emulator.ProductCapped,
			License: "l-00001-1", Machine: license.Machine{ID: "m", Name: "WS-1"}, Started: at, Ended: at.Add(time.Hour), Country: "DE", Kind: license.UsageKind(i % 2)})
	}
	// The answer is lost on the way back, once.
	s.cloud.SetFault(emulator.Fault{Prefix: cloudapi.PathUsage, Status: 502, Times: 1})
	if _, err := s.SendUsage(t.Context(), "k", usage); !errors.Is(err, upstream.ErrUnreachable) {
		t.Errorf("got %v, want ErrUnreachable", err)
	}
	for range 2 {
		if d, err := s.SendUsage(t.Context(), "k", usage); err != nil || d.Done != 1500 || len(d.SetAside) != 0 || d.Way != license.WaySite {
			t.Fatalf("got %+v, %v", d, err)
		}
	}
	usage[7].Country = "FR"
	if _, err := s.SendUsage(t.Context(), "k", usage[:10]); err != nil {
		t.Errorf("the same key for records that were filled in anew: %v", err)
	}
	got := s.cloud.Usage()
	if len(got) != 1500 || got[7].Country != "DE" || got[7].Kind != cloudapi.HoldCheckout || got[8].Kind != cloudapi.HoldSession ||
		got[8].LicenseType != license.Practitioner || !got[8].StartedAt.Equal(usage[8].Started.Std()) {
		t.Errorf("got %d records, the eighth %+v; want 1500, as first sent", len(got), got[min(7, len(got)-1)])
	}
}

func TestNoAnswer(t *testing.T) {
	s := newSite(t, nil)
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, f := range []emulator.Fault{{Status: 500}, {Status: 504}, {Status: 503}, {Cut: true}} {
		f.Prefix = cloudapi.Base
		s.cloud.SetFault(f)
		if d, err := s.Hold(t.Context(), license.Fence{}, hold(emulator.UserA, "WS-1", 1)); !errors.Is(err, upstream.ErrUnreachable) || d != nil {
			t.Errorf("%+v: got %+v, %v, want ErrUnreachable", f, d, err)
		}
	}
	s.cloud.SetFault(emulator.Fault{Prefix: cloudapi.Base, Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Ping(ctx); !errors.Is(err, upstream.ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hangs: got %v, want ErrUnreachable after the deadline", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if err := s.Ping(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, upstream.ErrUnreachable) {
		t.Errorf("cancelled: got %v, want context.Canceled", err)
	}
	s.cloud.ClearFaults()

	s.proxy.SetLink(proxy.Down)
	if err := s.Ping(t.Context()); !errors.Is(err, upstream.ErrUnreachable) { // on what is left of the old tunnel
		t.Errorf("link down: got %v, want ErrUnreachable", err)
	}
	err := s.Ping(t.Context())
	var e *egress.Error
	if !errors.Is(err, upstream.ErrUnreachable) || !errors.As(err, &e) || e.Code != egress.APIUnreachable {
		t.Errorf("link down: got %v, want ErrUnreachable because of %s", err, egress.APIUnreachable)
	}
	s.proxy.SetLink(proxy.Up)
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("link up again: %v", err)
	}
}

func TestAnswersThatAreNotTheCloudsDecideNothing(t *testing.T) {
	long := strings.Repeat(" ", 1<<20)
	tests := []struct {
		name   string
		status int
		typ    string
		body   string
	}{
		{"a portal's page", 200, "text/html", "<html>Please accept the terms of use</html>"},
		{"a page that says JSON", 200, "application/json", "<html></html>"},
		{"nothing", 200, "application/json", ""},
		{"null", 200, "application/json", "null"},
		{"an empty object", 200, "application/json", "{}"},
		{"an error with 200", 200, "application/json", `{"reason":"machine-active","machine_name":"WS-9"}`},
		{"half an answer", 200, "application/json", `{"lease_ms":180000,"cursor":"c","time":"2026-`},
		{"two answers", 200, "application/json", `{"lease_ms":1,"cursor":"c"}{}`},
		{"wrong types", 200, "application/json", `{"lease_ms":"long","cursor":7,"time":1,"accepted":"all"}`},
		{"too much", 200, "application/json", `{"lease_ms":180000,"cursor":"c"` + long + strings.Repeat(long, 17) + "}"},
		{"a redirect", 302, "text/html", ""},
		{"an unasked-for status", 206, "application/json", `{"lease_ms":180000,"cursor":"c","time":"2026-01-01T00:00:00Z"}`},
		{"a refusal without a reason", 409, "text/html", "no"},
		{"an empty refusal", 409, "application/json", "{}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
				if tt.status == 302 {
					w.Header().Set("Location", "https://"+imsHost+"/login")
				}
				w.Header().Set("Content-Type", tt.typ)
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			})
			for name, err := range calls(t, s.Client) {
				if !errors.Is(err, upstream.ErrGarbage) {
					t.Errorf("%s: got %v, want ErrGarbage", name, err)
				}
			}
		})
	}
}

// calls makes every call once. The hold must not be denied, as nobody has said no.
func calls(t *testing.T, c *upstream.Client) map[string]error {
	t.Helper()
	errs := map[string]error{}
	d, err := c.Hold(t.Context(), license.Fence{}, hold(emulator.UserA, "WS-1", 1))
	if d != nil {
		t.Errorf("got the denial %+v, want an error", d)
	}
	errs["hold"] = err
	_, errs["changes"] = c.Changes(t.Context(), "c", 0)
	_, errs["held checkouts"] = c.HeldCheckouts(t.Context())
	d, errs["move"] = c.Move(t.Context(), license.Move{License: "l", To: "u", By: "it"})
	if d != nil {
		t.Errorf("got the denial %+v of a move, want an error", d)
	}
	_, errs["renew"] = c.RenewHolds(t.Context(), license.Fence{}, nil)
	errs["release"] = c.Release(t.Context(), license.Fence{}, hold(emulator.UserA, "WS-1", 1))
	_, errs["usage"] = c.SendUsage(t.Context(), "k", []license.Usage{{Record: "r"}})
	errs["ping"] = c.Ping(t.Context())
	return errs
}

func TestRefusedRequests(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"reason":"invalid","detail":"that was wrong"}`)
	})
	for name, err := range calls(t, s.Client) {
		if name == "usage" { // it is set aside: TestOnlyWhatIsRefusedIsSetAside
			continue
		}
		var e *upstream.StatusError
		if !errors.As(err, &e) || e.Status != http.StatusBadRequest || e.Reason != cloudapi.ReasonInvalid || !strings.Contains(err.Error(), "that was wrong") {
			t.Errorf("%s: got %v, want the cloud's own words", name, err)
		}
	}
}

func TestKeysAndSecretsChange(t *testing.T) {
	s := newSite(t, nil)
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.cloud.RotateKeys()
	s.cloud.DropOldKeys()
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("after the cloud has dropped the token's key: got %v, want a new token and an answer", err)
	}
	if got := s.cloud.Requests("/connect/token"); got != 2 {
		t.Errorf("got %d requests for tokens, want 2", got)
	}
}

func TestConfig(t *testing.T) {
	d, err := egress.New(egress.Config{Direct: true})
	if err != nil {
		t.Fatal(err)
	}
	good := upstream.Config{API: "https://a.test", Issuer: "https://b.test/x", SiteID: "north", SecretFile: file(t, "s"), Dialer: d}
	c, err := upstream.New(good)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	for want, change := range map[string]func(*upstream.Config){
		"cloud's address":  func(c *upstream.Config) { c.API = "http://a.test" },
		"issuer's address": func(c *upstream.Config) { c.Issuer = "https://user:pw@b.test" },
		"id":               func(c *upstream.Config) { c.SiteID = "" },
		"secret":           func(c *upstream.Config) { c.SecretFile = filepath.Join(t.TempDir(), "none") },
		"way out":          func(c *upstream.Config) { c.Dialer = nil },
	} {
		cfg := good
		change(&cfg)
		if _, err := upstream.New(cfg); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "user:pw") {
			t.Errorf("got %v, want an error about the %s", err, want)
		}
	}
}
