package endpoint

import (
	"slices"
	"testing"
	"time"

	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// A policy that is a checkout is entered as one, until its end: its client asks nobody
// before that.
func TestCheckoutThatIsRelayedIsEntered(t *testing.T) {
	d := newDesktopRig(t)
	d.withSecond(t)
	end := time.Now().Add(5 * 24 * time.Hour).Truncate(time.Second)
	d.cloud.ShapePolicies(func(p *cloudapi.Policy) {
		p.ExpiresOn, p.PolicyID = cloudapi.Date{Time: end}, "p-"+p.RequestData.MachineName
		for i := range p.Defaults {
			if p.Defaults[i].Name == cloudapi.QualifierIsCheckedOut {
				p.Defaults[i].Value = "true"
			}
		}
	})
	ada := d.bearer(t, "ada")
	d.gives(t, ada, "LAPTOP-7", "1234")
	d.gives(t, ada, "LAPTOP-7", "1234") // the same again
	var got license.Checkout
	d.node.View(func(s *license.State) { got = s.Active("ada").Checkouts[0] })
	if lent := d.checkedOut(); !slices.Equal(lent, []string{"1234 LAPTOP-7"}) || !got.Until.Std().Equal(end) {
		t.Errorf("checked out: %v until %s, want 1234 until %s", lent, got.Until.Std(), end)
	}
	if got := d.sessions("ada"); len(got) != 0 {
		t.Errorf("ada has the sessions %v, want none", got)
	}
	d.withholds(t, d.policy(t, ada, "WS-101", "1234"), 409, "machine-active")

	// One of which a part is refused is given back.
	d.cloud.ShapePolicies(func(p *cloudapi.Policy) {
		for i, s := range p.Securables {
			value := "false"
			if s.ProductID == "1300" {
				value = "true"
			}
			p.Securables[i].Overrides = append(p.Securables[i].Overrides, cloudapi.Qualifier{Name: cloudapi.QualifierIsCheckedOut, Value: value})
		}
	})
	d.node.do(t, license.Configure{Settings: license.Settings{Relay: true, SessionScope: license.ScopeLicense}})
	d.withholds(t, d.policy(t, ada, "WS-101", "1300", "1234"), 409, "machine-active")
	if got := d.checkedOut(); !slices.Equal(got, []string{"1234 LAPTOP-7"}) {
		t.Errorf("checked out: %v, want what was before", got)
	}
}
