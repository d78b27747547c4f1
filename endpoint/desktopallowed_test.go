package endpoint

import (
	"slices"
	"testing"
	"time"

	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// What is held is what the vendor's policy allows, however it was asked for.
func TestWhatThePolicyAllowsIsHeld(t *testing.T) {
	deny := func(p *cloudapi.Policy) { p.ACLs[0].AccessKind = cloudapi.AccessDenied }
	another := func(p *cloudapi.Policy, product cloudapi.ProductID, feature string) {
		p.Securables = append(p.Securables, cloudapi.Securable{SecurableID: "another", ProductID: product, Feature: feature})
		p.ACLs = append(p.ACLs, cloudapi.ACL{PrincipalID: "ada", SecurableID: "another", AccessKind: cloudapi.AccessAllowed})
	}
	for name, c := range map[string]struct {
		asks  string
		shape func(*cloudapi.Policy)
	}{
		"filled up":                    {"01234", func(p *cloudapi.Policy) { p.Securables[0].ProductID = "1234" }},
		"with spaces":                  {" 1234 ", func(p *cloudapi.Policy) { p.Securables[0].ProductID = "1234" }},
		"another feature":              {"1234", func(p *cloudapi.Policy) { deny(p); another(p, "1234", "plus") }},
		"the same twice":               {"1234", func(p *cloudapi.Policy) { deny(p); another(p, "1234", "") }},
		"something that was not asked": {"2001", func(p *cloudapi.Policy) { another(p, "1234", "") }},
		"two features":                 {"1234", func(p *cloudapi.Policy) { another(p, "1234", "plus") }},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesktopRig(t)
			d.cloud.ShapePolicies(c.shape)
			ada := d.bearer(t, "ada")
			if a := d.policy(t, ada, "WS-101", c.asks); a.StatusCode != 200 {
				t.Fatalf("%d %s, want a policy", a.StatusCode, a.raw)
			}
			if got, want := d.sessions("ada"), []string{"1234 WS-101"}; !slices.Equal(got, want) {
				t.Errorf("ada has %v, want %v", got, want)
			}
			d.withholds(t, d.policy(t, ada, "LAPTOP-7", c.asks), 409, "machine-active")
		})
	}
}

// A product that cannot be told from another is not let through.
func TestAllowedProductWithoutANumberDoesNotLeave(t *testing.T) {
	d := newDesktopRig(t)
	d.cloud.ShapePolicies(func(p *cloudapi.Policy) { p.Securables[0].ProductID = "" })
	d.withholds(t, d.policy(t, d.bearer(t, "ada"), "WS-101", "1234"), 502, relayBadAnswer)
}

// A kept policy that allows a capped product which was not asked for is not served again:
// nothing would be held for it.
func TestPolicyThatAllowsMoreIsNotServedAgain(t *testing.T) {
	d := &signedAt(time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)).Policy // allows 3101, too
	single := func(id license.ProductID) bool { return id == "3101" }
	if err := noMore(d, policyFor("ada", "WS-1", "3101", "3201"), single); err != nil {
		t.Error(err)
	}
	if err := noMore(d, policyFor("ada", "WS-1", "3201"), single); err != spentMore {
		t.Errorf("%v, want %v", err, spentMore)
	}
}
