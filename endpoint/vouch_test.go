package endpoint

import (
	"path/filepath"
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"

	"sitegate/gateway"
	"sitegate/license"
)

// twoIssuers is a rig that a second issuer vouches at for users of plant.example, by the
// vendor's id in a claim; dan is one of them.
func twoIssuers(t *testing.T) (*rig, *realIssuer) {
	t.Helper()
	node := filled(t)
	node.do(t, license.Mirror{Cursor: "c2", From: "c1", Last: true, Changes: []license.Change{
		{User: &license.User{ID: "dan", Email: "Dan@Plant.Example", Country: "DE"}}, {User: &license.User{ID: "bare", Country: "DE"}}}})
	second := newRealIssuer(t)
	r := newRig(t, node, func(c *Config) {
		c.Issuers[0].Domains = []string{"example.org", "example.com"}
		c.Issuers = append(c.Issuers, Issuer{URL: second.URL, Audience: "site-gateway", UserClaim: "realm_access.vendor", Domains: []string{"plant.example"}, Client: second.Client()})
	})
	return r, second
}

// as is a token of an issuer that says in its claim whose it is to the vendor.
func as(t *testing.T, is *realIssuer, sub string, id any, email string) string {
	t.Helper()
	return is.token(t, sub, func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) {
		c.Realm, c.Email = map[string]any{"vendor": id}, email
	})
}

func bearing(token string) header { return header{"Authorization": "Bearer " + token} }

// No issuer speaks for another one's users, whatever it writes into its tokens: the vendor's
// list says whose they are.
func TestAnIssuerVouchesForItsOwnUsersOnly(t *testing.T) {
	r, second := twoIssuers(t)
	for name, test := range map[string]struct {
		token  string
		status int
		why    string
	}{
		"the first's user":                         {r.issuer.token(t, "ada"), 200, ""},
		"the second's user":                        {as(t, second, "x-1", "dan", "dan@plant.example"), 200, ""},
		"the second's, whatever the token's email": {as(t, second, "x-1", "dan", ""), 200, ""},
		"the first's user, of the second":          {as(t, second, "ada", "ada", "ada@plant.example"), 401, "domain"},
		"the second's user, of the first":          {r.issuer.token(t, "dan"), 401, "domain"},
		"a user without an e-mail":                 {as(t, second, "x-2", "bare", "x@plant.example"), 401, "domain"},
		"the first's user by the second's sub":     {second.token(t, "ada"), 401, "nobody"},
		"an id that is no text":                    {as(t, second, "x", 7, "x@plant.example"), 401, "nobody"},
		"two ids":                                  {as(t, second, "x", []string{"dan", "ada"}, "x@plant.example"), 401, "nobody"},
		"an empty id":                              {as(t, second, "x", "", "x@plant.example"), 401, "nobody"},
		"an id too long":                           {as(t, second, "x", strings.Repeat("d", 300), "x@plant.example"), 401, "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // also once the token is known
				a := r.want(t, test.status, "", "GET", "/v1/me", nil, bearing(test.token))
				if test.status != 401 {
					continue
				}
				p := a.problem(t)
				if challenge := a.Header.Get("WWW-Authenticate"); p.Code != "unauthorized" || !strings.Contains(challenge, `error_description="`+test.why+`"`) || len(p.Next) == 0 {
					t.Errorf("got %s, %+v; want %s, and what to do", challenge, p, test.why)
				}
			}
		})
	}
	t.Run("whom the account names", func(t *testing.T) { // by an e-mail of the other issuer's
		p := r.want(t, 403, "", "GET", "/v1/me", nil, bearing(as(t, second, "x", "nobody-here", "ida@example.org"))).problem(t)
		if p.Code != string(license.UnknownUser) {
			t.Errorf("got %s; want unknown-user", p.Code)
		}
	})
}

// Nor does one speak for another's user to the relay by writing the id in another case, which
// the relay reads as the vendor's list has it.
func TestTheRelayKnowsWhoseUserItIsInAnyCase(t *testing.T) {
	second := newRealIssuer(t)
	d := newDesktopRig(t, func(c *Config) {
		c.Issuers[0].Domains = []string{"example.org"}
		c.Issuers = append(c.Issuers, Issuer{URL: second.URL, Audience: "site-gateway", UserClaim: "realm_access.vendor", Domains: []string{"plant.example"}, Client: second.Client()})
	})
	d.node.do(t, license.Mirror{From: "c1", Cursor: "c2", Last: true, Changes: []license.Change{
		{User: &license.User{ID: "DAN", Email: "dan@plant.example", Country: "DE"}}, {User: &license.User{ID: "eve", Email: "eve@example.org", Country: "DE"}}}})
	for name, test := range map[string]struct {
		id    string
		taken bool
	}{
		"its own user":                  {"DAN", true},
		"its own user, in another case": {"dan", true},
		"whom nobody knows":             {"nobody-here", true},
		"another's user":                {"eve", false},
		"another's, in upper case":      {"EVE", false},
	} {
		t.Run(name, func(t *testing.T) {
			before := d.asked.Load()
			a := d.policy(t, bearing(as(t, second, "x-1", test.id, "x@plant.example")), "WS-1", "2001")
			if asked := d.asked.Load() > before; asked != test.taken || !test.taken && a.StatusCode != 401 {
				t.Errorf("the vendor was asked: %v, and the answer is %d %s; want %v", asked, a.StatusCode, a.raw, test.taken)
			}
		})
	}
	d.gives(t, d.bearer(t, "ada"), "WS-1", "2001")
}

// Whose a user is is looked at with each request: who has moved to the other company is
// vouched for by its issuer alone.
func TestWhoVouchesForAUserChangesWithTheList(t *testing.T) {
	r, second := twoIssuers(t)
	old, now := r.issuer.token(t, "ben"), as(t, second, "x-9", "ben", "ben@plant.example")
	r.want(t, 200, "", "GET", "/v1/me", nil, bearing(old))
	r.want(t, 401, "", "GET", "/v1/me", nil, bearing(now))
	r.node.do(t, license.Mirror{From: "c2", Cursor: "c3", Last: true, Changes: []license.Change{{User: &license.User{ID: "ben", Email: "ben@plant.example", Country: "DE"}}}})
	r.want(t, 401, "", "GET", "/v1/me", nil, bearing(old))
	r.want(t, 200, "", "GET", "/v1/me", nil, bearing(now))
}

// The leader looks for itself at what another node passes on.
func TestTheLeaderKnowsWhoseUserItIs(t *testing.T) {
	r, second := twoIssuers(t)
	if who, err := r.e.Who(t.Context(), as(t, second, "x-1", "dan", "")); err != nil || who.User != "dan" {
		t.Errorf("got %+v, %v; want dan", who, err)
	}
	if who, err := r.e.Who(t.Context(), as(t, second, "x-1", "ada", "")); err == nil || who.User != "" {
		t.Errorf("got %+v, %v; want that nobody speaks", who, err)
	}
}

// Before the vendor's list was read nobody is anybody's user, and that is not the caller's
// fault.
func TestNobodyIsVouchedForBeforeTheListIsRead(t *testing.T) {
	is := newRealIssuer(t)
	r := newRig(t, newNode(t), func(c *Config) {
		c.KeysDir = filepath.Join(t.TempDir(), "k")
		c.Issuers = []Issuer{{URL: is.URL, Audience: "site-gateway", Domains: []string{"example.org"}, Client: is.Client()}}
	})
	if p := r.want(t, 503, "", "GET", "/v1/me", nil, bearing(is.token(t, "ada"))).problem(t); p.Code != "not-ready" {
		t.Errorf("got %s; want not-ready", p.Code)
	}
	if _, err := r.e.Who(t.Context(), is.token(t, "ada")); err != gateway.ErrNotReady {
		t.Errorf("the leader: %v; want that it is not ready", err)
	}
}
