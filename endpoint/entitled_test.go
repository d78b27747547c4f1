package endpoint

import (
	"slices"
	"strings"
	"testing"

	"sitegate/api"
	"sitegate/license"
)

// eve has nothing assigned. What a start is recorded as and what she should know
// of it comes with the grant, in her language, and stays with the session (R3, R21).
func TestAStartSaysTheLicenseTypeAndWhatItMeans(t *testing.T) {
	node := filled(t)
	r := newRig(t, node)
	start := func(n string) api.StartRequest {
		return api.StartRequest{ID: newUUID(t), Product: n, Machine: ws101}
	}
	r.want(t, 403, "eve", "POST", "/v1/sessions", start("road"))
	change := func(from, to string, changes ...license.Change) {
		node.do(t, license.Mirror{From: from, Cursor: to, Changes: changes})
	}
	change("c1", "c2", license.Change{License: &license.License{ID: "l-9", Product: "road", Kind: license.Commercial}})

	var s api.Session
	first := start("road")
	german := header{"Accept-Language": "de"}
	r.want(t, 201, "eve", "POST", "/v1/sessions", first, german).into(t, &s)
	if s.LicenseType != "Pooled" || s.License != "l-9" || len(s.Warnings) != 1 || s.Warnings[0].Code != "pooled-may-cost" ||
		!strings.HasPrefix(s.Warnings[0].Text, "Ihnen ist keine Lizenz von Road Designer zugewiesen") || !strings.Contains(s.Warnings[0].Text, "Ida Nord") {
		t.Errorf("granted %+v", s)
	}
	r.want(t, 200, "eve", "GET", "/v1/sessions/"+first.ID, nil).into(t, &s)
	if len(s.Warnings) != 1 || !strings.HasPrefix(s.Warnings[0].Text, "No license of Road Designer") {
		t.Errorf("later it shows %+v", s)
	}

	// A client too old is granted, and told which to install (R13).
	old := start("flow")
	old.Client = "10.00.17.1"
	r.want(t, 201, "ada", "POST", "/v1/sessions", old).into(t, &s)
	if s.LicenseType != "Pooled" || len(s.Warnings) != 1 || s.Warnings[0].Code != "client-outdated" || !strings.Contains(s.Warnings[0].Text, "10.00.18") {
		t.Errorf("an old client got %+v", s)
	}

	// The sign-in's e-mail is not the one the license is assigned to (R15): pooled
	// where the account covers the product, else refused; both say which it is.
	change("c2", "c3", license.Change{User: &license.User{ID: "ada", Email: "ada.lund@example.org", Country: "DE"}})
	r.want(t, 201, "ada", "POST", "/v1/sessions", start("road")).into(t, &s)
	if s.LicenseType != "Pooled" || s.License != "l-1" || len(s.Warnings) != 1 || s.Warnings[0].Code != "other-email" || !strings.Contains(s.Warnings[0].Text, "ada.lund@example.org") {
		t.Errorf("signed in with another e-mail: %+v", s)
	}
	p := r.want(t, 403, "ada", "POST", "/v1/sessions", start("flow")).problem(t)
	if p.Code != "not-assigned" || !strings.Contains(p.Detail, "ada.lund@example.org") {
		t.Errorf("refused with %+v", p)
	}
	var me api.Me
	r.want(t, 200, "ada", "GET", "/v1/me", nil).into(t, &me)
	if me.Email != "ada.lund@example.org" || me.SignedIn != "ada@example.org" {
		t.Errorf("assigned to %q, signed in as %q", me.Email, me.SignedIn)
	}
	var products []string
	for _, x := range me.Products {
		line := x.Product + " " + x.LicenseType + " " + x.Reason
		for _, w := range x.Warnings {
			line += w.Code
		}
		products = append(products, line)
	}
	if want := []string{"flow  not-assigned", "road Pooled other-email"}; !slices.Equal(products, want) {
		t.Errorf("may start %q, want %q", products, want)
	}
	if x := me.Products[0]; x.Text != p.Detail || !slices.Equal(x.Next, p.Next) {
		t.Errorf("of flow it says %q and %q; want what the start was refused with, %q and %q", x.Text, x.Next, p.Detail, p.Next)
	}
	if me.Country != "DE" {
		t.Errorf("the country is %q, want DE", me.Country)
	}

	// No country, a license for another one, no feature level (R2).
	change("c3", "c4", license.Change{User: &license.User{ID: "ben", Email: "ben@example.org"}})
	if p := r.want(t, 403, "ben", "POST", "/v1/sessions", start("road")).problem(t); p.Code != "no-country" {
		t.Errorf("without a country: %+v", p)
	}
	change("c4", "c5", license.Change{User: &license.User{ID: "ben", Email: "ben@example.org", Country: "FR"}},
		license.Change{License: &license.License{ID: "l-3", Product: "road", Assignee: "ben", Countries: []string{"DE"}}},
		license.Change{DeleteLicense: "l-9"})
	if p := r.want(t, 403, "ben", "POST", "/v1/sessions", start("road")).problem(t); p.Code != "country" || p.License != "l-3" {
		t.Errorf("with a license for another country: %+v", p)
	}
	change("c5", "c6", license.Change{User: &license.User{ID: "ben", Email: "ben@example.org", Country: "DE"}},
		license.Change{Product: &license.Product{ID: "road", Name: "Road Designer", Capped: license.CappedYes, NeedsFeature: true}})
	third := start("road")
	if p := r.want(t, 403, "ben", "POST", "/v1/sessions", third).problem(t); p.Code != "feature-level" {
		t.Errorf("without a feature level: %+v", p)
	}
	third.Feature = "standard"
	var whole api.Session
	r.want(t, 201, "ben", "POST", "/v1/sessions", third).into(t, &whole)
	if whole.LicenseType != "Practitioner" || whole.Warnings != nil {
		t.Errorf("with a feature level: %+v", whole)
	}
}

// In trial mode: a license is assigned, refresh, and the license type is another
// (R18, R21). No restart of anything, no waiting.
func TestRefreshLeadsOutOfTrialMode(t *testing.T) {
	node := filled(t)
	r := newRig(t, node)
	node.do(t, license.Mirror{From: "c1", Cursor: "c2", Changes: []license.Change{
		{License: &license.License{ID: "t-1", Product: "road", Assignee: "eve", Kind: license.Trial}}}})
	typ := func(me api.Me) string {
		if len(me.Products) != 1 {
			t.Fatalf("eve may start %+v, want one product", me.Products)
		}
		return me.Products[0].LicenseType
	}
	var me api.Me
	r.want(t, 200, "eve", "GET", "/v1/me", nil).into(t, &me)
	if got := typ(me); got != "Trial" || len(me.Products[0].Warnings) != 1 || me.Products[0].Warnings[0].Code != "trial" ||
		!strings.Contains(me.Products[0].Warnings[0].Text, "Refresh") {
		t.Errorf("before: %+v; want Trial, and the way out", me.Products)
	}
	p := r.want(t, 503, "eve", "POST", "/v1/me/refresh", nil).problem(t)
	if p.Code != api.CodeCloud || p.RetryAfterMS == 0 || len(p.Next) == 0 {
		t.Errorf("without the cloud: %+v", p)
	}
	node.set(func() {
		node.news = license.Mirror{From: "c2", Cursor: "c3", Changes: []license.Change{
			{License: &license.License{ID: "l-8", Product: "road", Assignee: "eve"}}}}
	})
	var after api.Me
	r.want(t, 200, "eve", "POST", "/v1/me/refresh", nil).into(t, &after)
	if got := typ(after); got != "Practitioner" || after.SignedIn != "eve@example.org" || after.Email != "eve@example.org" {
		t.Errorf("after: %s, signed in as %q, assigned to %q", got, after.SignedIn, after.Email)
	}
}
