package endpoint

import (
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"sitegate/api"
	"sitegate/license"
	"sitegate/notice"
)

// R22: whom the account names by e-mail, without a role in it, is told what their role
// is told: here Ida, its administrator, who is none of its users, and Ben, its
// fulfillment contact, who is one.
func TestWhomTheAccountNamesIsToldAsSuch(t *testing.T) {
	r := newRig(t, filled(t))
	account := license.Account{ID: "a-1", Administrators: []license.Administrator{{Name: "Ida Nord", Email: "Ida@example.org"}},
		FulfillmentContact: license.Administrator{Email: "ben@example.org"}}
	r.node.do(t, license.Mirror{From: "c1", Cursor: "c2", Changes: []license.Change{{Account: &account}}})
	ida, _, me := r.join(t, "ida", nil)
	if me.SignedIn != "ida@example.org" || len(me.Administrators) != 1 || len(me.Products) != 0 {
		t.Errorf("Ida is told that she is %+v", me)
	}
	ben, _, _ := r.join(t, "ben", nil)
	r.want(t, 200, "ida", "GET", "/v1/me", nil)
	refused := r.want(t, 403, "ida", "POST", "/v1/sessions", api.StartRequest{ID: newID(), Product: "road", Machine: api.Machine{ID: "m-9"}})
	if p := refused.problem(t); p.Code != "unknown-user" || len(p.Contacts) != 1 || p.Contacts[0].Name != "Ida Nord" {
		t.Errorf("the start of who is no user: %+v; want unknown-user, and whom to ask", p)
	}

	r.node.do(t, license.Mirror{From: "c2", Cursor: "c3", Changes: []license.Change{
		{License: &license.License{ID: "l-9", Product: "road"}}, {DeleteUser: "eve"}, {User: &license.User{ID: "ida", Email: "ida@example.org", Country: "DE"}},
		{License: &license.License{ID: "l-1", Product: "road"}}}})
	for name, d := range map[string]*desktop{"Ida": ida, "Ben": ben} {
		if n := d.notice(); n.Kind != string(notice.LicenseChanged) || n.License != "l-9" || n.Reason != notice.ReasonNew {
			t.Errorf("%s is told %+v; want that l-9 is new", name, n)
		}
	}
	// She is a user now, and is told as that one when she connects again.
	go func() {
		for range slots {
			r.e.sockets.turn()
		}
	}()
	ida.closed(api.CloseResume)
	ida, _, _ = r.join(t, "ida", map[string]string{"instance": "i-2"})
	r.node.do(t, license.Mirror{From: "c3", Cursor: "c4", Changes: []license.Change{{DeleteUser: "ben"}}})
	if n := ida.notice(); n.Kind != string(notice.UserNotFound) || n.About != "ben" {
		t.Errorf("Ida is told %+v; want that ben is gone with a license", n)
	}
}

// An e-mail that may be somebody else's makes nobody an administrator.
func TestAnUnverifiedEmailIsNobodys(t *testing.T) {
	r := newRig(t, filled(t))
	for _, verified := range []any{false, "false", nil, "yes", 1, "True", []bool{true}} {
		token := r.issuer.token(t, "x-1", func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) {
			c.Email, c.Verified = "ida@example.org", verified
		})
		r.want(t, 403, "", "GET", "/v1/me", nil, header{"Authorization": "Bearer " + token})
	}
	for _, verified := range []any{true, "true"} {
		token := r.issuer.token(t, "x-1", func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) {
			c.Email, c.Verified = "ida@example.org", verified
		})
		r.want(t, 200, "", "GET", "/v1/me", nil, header{"Authorization": "Bearer " + token})
	}
}

// Where the site knows of an issuer that its e-mails are those of its users, one counts whose
// token says nothing of that; one that says otherwise still does not.
func TestAnIssuersEMailsAreVerifiedWhereItsEntrySaysSo(t *testing.T) {
	for _, c := range []struct {
		said any
		site bool
		want bool
	}{{nil, false, false}, {nil, true, true}, {false, true, false}, {"false", true, false}, {"", true, false}, {true, false, true}, {"true", true, true}} {
		claims := personClaims{Email: "ida@example.org", EmailVerified: c.said}
		claims.Expiry = jwt.NewNumericDate(time.Now())
		who := claims.caller(&Issuer{EmailsVerified: c.site}, nil, nil)
		if who.Unverified == c.want {
			t.Errorf("email_verified %#v, emails_verified %v: taken for verified is %v, want %v", c.said, c.site, !who.Unverified, c.want)
		}
		if name := map[bool]string{true: "ida@example.org"}[c.want]; who.named() != name {
			t.Errorf("email_verified %#v, emails_verified %v: known as %q, want %q", c.said, c.site, who.named(), name)
		}
	}
}
