package upstream

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/emulator"
	"sitegate/license"
	"sitegate/upstream/cloudapi"
	"sitegate/upstream/egress"
)

// inside is a transport that calls a handler, so that time can be a bubble's own.
type inside struct{ http.Handler }

func (h inside) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec.Result(), r.Context().Err()
}

// newInside is a client of an emulated cloud without sockets.
func newInside(t *testing.T, secret string) (*Client, *emulator.Emulator, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := egress.New(egress.Config{Direct: true})
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{API: "https://cloud.test", Issuer: "https://cloud.test", SiteID: "north", SecretFile: file, Dialer: d, Rate: 10})
	if err != nil {
		t.Fatal(err)
	}
	cloud := &emulator.Emulator{Sites: map[string]string{"north": "right"}}
	c.http.Transport = inside{cloud}
	return c, cloud, file
}

func TestTokensAreAskedForOnceAndRenewedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, cloud, _ := newInside(t, "right")
		defer c.Close()
		asked := func(want int, when string) {
			t.Helper()
			synctest.Wait()
			if got := cloud.Requests("/connect/token"); got != want {
				t.Errorf("%s: got %d requests for a token, want %d", when, got, want)
			}
		}
		ping := func(when string) {
			t.Helper()
			if err := c.Ping(t.Context()); err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
		cloud.SetFault(emulator.Fault{Prefix: "/connect/token", Delay: time.Second, Times: 1})
		var wg sync.WaitGroup
		for range 15 {
			wg.Go(func() { ping("many at once") })
		}
		wg.Wait()
		asked(1, "many at once")
		time.Sleep(58*time.Minute + 50*time.Second)
		ping("before the last minute")
		asked(1, "before the last minute")

		// In the last minute the old token serves while the sign-in does not answer, which is asked every few seconds only.
		cloud.SetFault(emulator.Fault{Prefix: "/connect/token", Status: 502})
		time.Sleep(20 * time.Second)
		for range 10 {
			ping("in the last minute, without sign-in")
		}
		asked(2, "in the last minute, without sign-in")
		cloud.ClearFaults()
		time.Sleep(6 * time.Second)
		ping("in the last minute, with sign-in")
		asked(3, "in the last minute, with sign-in")
		time.Sleep(50 * time.Minute)
		ping("with the new token")
		asked(3, "with the new token")
	})
}

func TestARejectedSecretIsNotSentAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, cloud, file := newInside(t, "wrong")
		defer c.Close()
		ask := func(when string, want error, requests int) {
			t.Helper()
			if err := c.Ping(t.Context()); !errors.Is(err, want) || err != nil && strings.Contains(err.Error(), "wrong ") {
				t.Errorf("%s: got %v, want %v", when, err, want)
			}
			if got := cloud.Requests("/connect/token"); got != requests {
				t.Errorf("%s: got %d requests for a token, want %d", when, got, requests)
			}
		}
		ask("first", ErrUnauthorized, 1)
		ask("at once", ErrUnauthorized, 1)
		time.Sleep(31 * time.Second)
		ask("later", ErrUnauthorized, 2)
		if err := os.WriteFile(file, []byte("right"), 0o600); err != nil {
			t.Fatal(err)
		}
		ask("corrected", nil, 3)
	})
}

func TestTheCloudIsLeftAloneWhenItAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, cloud, _ := newInside(t, "right")
		defer c.Close()
		cloud.SetFault(emulator.Fault{Prefix: cloudapi.PathPing, Status: 429, RetryAfter: 20 * time.Second, Times: 1})
		if err := c.Ping(t.Context()); !errors.Is(err, ErrBusy) {
			t.Errorf("got %v, want ErrBusy", err)
		}
		start := time.Now()
		if _, err := c.RenewHolds(t.Context(), license.Fence{}, nil); err != nil || time.Since(start) > time.Second {
			t.Errorf("another call: got %v after %v, want it done at once", err, time.Since(start))
		}
		if err := c.Ping(t.Context()); err != nil || time.Since(start) < 19*time.Second {
			t.Errorf("got %v after %v, want an answer after the 20 s it asked for", err, time.Since(start))
		}

		cloud.SetFault(emulator.Fault{Prefix: cloudapi.PathPing, Status: 503, RetryAfter: 24 * time.Hour, Times: 1})
		if err := c.Ping(t.Context()); !errors.Is(err, ErrBusy) {
			t.Errorf("got %v, want ErrBusy", err)
		}
		start = time.Now()
		if err := c.Ping(t.Context()); !errors.Is(err, ErrBusy) || time.Since(start) > 0 {
			t.Errorf("got %v after %v, want ErrBusy at once: a call does not wait longer than it may take", err, time.Since(start))
		}
		time.Sleep(maxRetryAfter)
		if err := c.Ping(t.Context()); err != nil {
			t.Errorf("after the longest time it may ask for: %v", err)
		}

		// Its own rate: ten a second, twenty at once.
		time.Sleep(time.Minute)
		start = time.Now()
		for range 40 {
			if err := c.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d < 1900*time.Millisecond || d > 2100*time.Millisecond {
			t.Errorf("40 calls took %v, want 2 s", d)
		}
	})
}

func TestSecretsGoToTheIssuerOnly(t *testing.T) {
	for _, doc := range []string{
		`{"issuer":"https://cloud.test","token_endpoint":"https://elsewhere.test/token"}`,
		`{"issuer":"https://cloud.test","token_endpoint":"http://cloud.test/token"}`,
		`{"issuer":"https://other.test","token_endpoint":"https://cloud.test/token"}`,
		`{}`,
	} {
		c, _, _ := newInside(t, "right")
		c.http.Transport = inside{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				t.Errorf("%s: the secret went to %s", doc, r.URL)
			}
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte(doc))
		})}
		if err := c.Ping(t.Context()); !errors.Is(err, ErrGarbage) {
			t.Errorf("%s: got %v, want ErrGarbage", doc, err)
		}
		c.Close()
	}
}

func TestAChangeThatCannotBeUnderstoodOnlyNarrows(t *testing.T) {
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	lic := func(f func(*cloudapi.License)) cloudapi.Change {
		l := &cloudapi.License{ID: "l", ProductID: "p", Kind: cloudapi.LicenseVirtuoso, StartsAt: day, EndsAt: day.AddDate(1, 0, 0), AssignedTo: "u"}
		f(l)
		return cloudapi.Change{Op: cloudapi.OpPut, Kind: cloudapi.KindLicense, ID: "l", License: l}
	}
	long := strings.Repeat("é", 300)
	gone := func(why string) license.Change { return license.Change{DeleteLicense: "l", Malformed: why} }
	for _, tt := range []struct {
		name  string
		in    cloudapi.Change
		want  license.Change
		known bool
	}{
		{"no end", lic(func(l *cloudapi.License) { l.EndsAt = time.Time{} }), gone(`it does not end after its start`), true},
		{"end before start", lic(func(l *cloudapi.License) { l.EndsAt = day.AddDate(-1, 0, 0) }), gone(`it does not end after its start`), true},
		{"another id inside", lic(func(l *cloudapi.License) { l.ID = "m" }), gone(`another id is in it`), true},
		{"no product", lic(func(l *cloudapi.License) { l.ProductID = "" }), gone(`it has no product`), true},
		{"a kind that is new here", lic(func(l *cloudapi.License) { l.Kind = "term" }), gone(`kind "term" is not known here`), true},
		{"a country without a name", lic(func(l *cloudapi.License) { l.Countries = []string{""} }), gone(`its countries have no names, too long ones, or are too many`), true},
		{"too many countries", lic(func(l *cloudapi.License) { l.Countries = make([]string, 301) }), gone(`its countries have no names, too long ones, or are too many`), true},
		{"nothing inside", cloudapi.Change{Op: cloudapi.OpPut, Kind: cloudapi.KindLicense, ID: "l"}, gone(`nothing is in it`), true},
		{"unknown op", cloudapi.Change{Op: "merge", Kind: cloudapi.KindUser, ID: "u", User: &cloudapi.User{ID: "u"}}, license.Change{DeleteUser: "u", Malformed: `op "merge" is neither put nor delete`}, true},
		{"deleted", cloudapi.Change{Op: cloudapi.OpDelete, Kind: cloudapi.KindProduct, ID: "p"}, license.Change{DeleteProduct: "p"}, true},
		{"unknown kind", cloudapi.Change{Op: cloudapi.OpPut, Kind: "contract", ID: "c"}, license.Change{}, false},
		{"no id", cloudapi.Change{Op: cloudapi.OpDelete, Kind: cloudapi.KindUser}, license.Change{}, false},
	} {
		got, known := toChange(tt.in, "")
		if !reflect.DeepEqual(got, tt.want) || known != tt.known {
			t.Errorf("%s: got %+v, %v, want %+v, %v", tt.name, got, known, tt.want, tt.known)
		}
	}
	got, _ := toChange(cloudapi.Change{Op: cloudapi.OpPut, Kind: cloudapi.KindProduct, ID: "p", Product: &cloudapi.Product{ID: "p", Name: long, Capped: "NO"}}, "")
	if got.Product == nil || got.Product.Capped != license.CappedUnknown || len(got.Product.Name) > license.MaxName || !strings.HasPrefix(long, got.Product.Name) {
		t.Errorf("a capped value that is new here, and a long name: got %+v", got.Product)
	}
	got, _ = toChange(cloudapi.Change{Op: cloudapi.OpPut, Kind: cloudapi.KindAccount, ID: "a", Account: &cloudapi.Account{ID: "a", Autonomy: cloudapi.Autonomy{CappedMS: 1, UncappedMS: -1}}}, "")
	if got.Account == nil || got.Account.AutonomyCapped != 0 || got.Account.AutonomyUncapped != 0 {
		t.Errorf("terms that make no sense: got %+v, want none", got.Account)
	}
	got, _ = toChange(cloudapi.Change{Op: cloudapi.OpPut, Kind: cloudapi.KindAccount, ID: "a", Account: &cloudapi.Account{ID: "a",
		CountryPolicies: []cloudapi.CountryPolicy{{Country: "fr", CheckoutMaxMS: 9}, {Country: "NO", CheckoutMaxMS: -1}, {}, {Country: "FR", CheckoutMaxMS: 7}, {Country: "Fr"}}}}, "")
	want := []license.CountryPolicy{{Country: "FR", CheckoutMax: 7 * time.Millisecond}, {Country: "NO", NoCheckouts: true}}
	if got.Account == nil || !slices.Equal(got.Account.CountryPolicies, want) {
		t.Errorf("policies for one country twice, and without sense: got %+v, want %+v", got.Account, want)
	}
}
