package emulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"sitegate/emulator"
	"sitegate/upstream/cloudapi"
)

// books is a small cloud: ann and bob in Germany, each with a Virtuoso license of "cap".
type books struct {
	*cloud
	token string
	order uint64
}

func newBooks(t *testing.T) *books {
	t.Helper()
	b := &books{cloud: newCloud(t, 0)}
	b.TokenTTL = 1000 * day
	b.SetAccount(cloudapi.Account{ID: "a", CheckoutMaxMS: cloudapi.MillisOf(60 * day), CountryPolicies: []cloudapi.CountryPolicy{
		{Country: "NO", NoCheckouts: true}, {Country: "FR", CheckoutMaxMS: cloudapi.MillisOf(7 * day)}, {Country: "NL", CheckoutMaxMS: cloudapi.MillisOf(90 * day)}}})
	for _, u := range []string{"ann", "bob"} {
		b.PutUser(cloudapi.User{ID: u, Email: u + "@x.example", Country: "DE"})
		b.PutLicense(cloudapi.License{ID: "virt-" + u, ProductID: "cap", Kind: cloudapi.LicenseVirtuoso, StartsAt: b.time.Add(-90 * day), EndsAt: b.time.Add(275 * day),
			AssignedTo: u, AssignedAt: at(b.time.Add(-90 * day))})
	}
	b.PutProduct(cloudapi.Product{ID: "cap", Capped: cloudapi.CappedYes})
	b.PutProduct(cloudapi.Product{ID: "old", Capped: cloudapi.CappedUnknown, V8i: true})
	b.token = b.cloud.token("north", "n-secret")
	return b
}

const day = 24 * time.Hour

func at(t time.Time) *time.Time { return &t }

// lic is a license of a year that is assigned to nobody.
func (b *books) lic(id, product, kind string) cloudapi.License {
	return cloudapi.License{ID: id, ProductID: product, Kind: kind, StartsAt: b.time.Add(-90 * day), EndsAt: b.time.Add(275 * day)}
}

func want(user, license, machine string) cloudapi.Hold {
	return cloudapi.Hold{Key: user, UserID: user, LicenseID: license, ProductID: "cap", MachineID: "id-" + machine, MachineName: machine,
		Kind: cloudapi.HoldSession, Ref: "s-" + machine}
}

func away(h cloudapi.Hold, until time.Time) cloudapi.Hold {
	h.Key, h.Kind, h.Ref, h.Until = h.UserID+"/"+h.LicenseID, cloudapi.HoldCheckout, "c-"+h.MachineName, &until
	return h
}

func (b *books) hold(h cloudapi.Hold) string {
	b.t.Helper()
	b.order++
	var got struct {
		cloudapi.HoldGrant
		cloudapi.Problem
	}
	resp := b.do("PUT", cloudapi.PathHolds, b.token, cloudapi.HoldRequest{Fence: cloudapi.Fence{Order: b.order}, Hold: h}, &got)
	if resp.StatusCode == http.StatusOK && got.LeaseMS > 0 {
		return "yes"
	}
	return strings.TrimSpace(got.Reason + " " + got.MachineName)
}

func (b *books) renew(holds ...cloudapi.Hold) string {
	b.t.Helper()
	b.order++
	var got cloudapi.RenewAnswer
	b.do("POST", cloudapi.PathHoldsRenew, b.token, cloudapi.RenewRequest{Fence: cloudapi.Fence{Order: b.order}, Holds: holds}, &got)
	words := []string{}
	for _, x := range got.Conflicts {
		words = append(words, strings.TrimSpace(x.Ref+" "+x.Reason+" "+x.MachineName))
	}
	return strings.Join(words, ", ")
}

func (b *books) release(h cloudapi.Hold) {
	b.t.Helper()
	b.order++
	b.do("POST", cloudapi.PathHoldsRelease, b.token, cloudapi.ReleaseRequest{Fence: cloudapi.Fence{Order: b.order}, Key: h.Key, MachineID: h.MachineID,
		MachineName: h.MachineName, Ref: h.Ref}, nil)
}

// move says what became of a move over the wire.
func (b *books) move(license, to string) string {
	b.t.Helper()
	var got struct {
		cloudapi.Moved
		cloudapi.Problem
	}
	resp := b.do("POST", cloudapi.PathMove(license), b.token, cloudapi.MoveRequest{ToUserID: to, By: "it@x.example", Note: "left the project"}, &got)
	switch {
	case resp.StatusCode == http.StatusOK:
		return "now " + got.License.AssignedTo
	case got.Until != nil:
		return strings.TrimSpace(fmt.Sprintf("%s until +%v of %s", got.Reason, got.Until.Sub(b.time), got.AssigneeID))
	}
	return strings.TrimSpace(got.Reason + " " + got.AssigneeID)
}

func expect(t *testing.T, step, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", step, got, want)
	}
}

func TestAHoldEndsWithItsLicense(t *testing.T) { // R1
	b := newBooks(t)
	end := b.time.Add(time.Hour)
	l := b.lic("short", "cap", cloudapi.LicenseVirtuoso)
	l.EndsAt, l.AssignedTo = end, "ann"
	b.PutLicense(l)
	ws1, lt7 := want("ann", "short", "WS-1"), want("bob", "virt-bob", "LT-7")
	expect(t, "in its term", b.hold(ws1), "yes")
	expect(t, "a checkout beyond it", b.hold(away(ws1, end.Add(time.Minute))), "checkout-too-long")
	b.time = end.Add(-time.Second)
	expect(t, "renewed in its last second", b.renew(ws1), "")
	b.time = end
	expect(t, "renewed at its end", b.renew(ws1), "s-WS-1 license-ended")
	expect(t, "another start", b.hold(ws1), "license-ended")
	expect(t, "who is active", strings.Join(b.Active("ann"), " "), "")

	// A checkout cannot be recalled: though its right is gone, it keeps other machines out until it is returned or ends.
	out := away(lt7, b.time.Add(10*day))
	expect(t, "a checkout", b.hold(out), "yes")
	if err := b.Assign("virt-bob", "ann"); err != nil {
		t.Fatal(err)
	}
	expect(t, "renewed after its license was moved", b.renew(out), "c-LT-7 not-assigned")
	if err := b.Assign("virt-bob", "bob"); err != nil {
		t.Fatal(err)
	}
	ws2 := want("bob", "virt-bob", "WS-2")
	expect(t, "another machine, when it is moved back", b.hold(ws2), "machine-active LT-7")
	b.release(out)
	expect(t, "after the return", b.hold(ws2), "yes")
	b.release(ws2)

	// One that is written off is not made anew once the vendor's service has checked it in.
	expect(t, "a checkout again", b.hold(out), "yes")
	out.WrittenOff = true
	expect(t, "written off", b.renew(out), "")
	expect(t, "another machine meanwhile", b.hold(ws2), "machine-active LT-7")
	if !b.CheckIn(out.Ref) || b.CheckIn(out.Ref) {
		t.Error("check-in: want it done once")
	}
	expect(t, "renewed when it is checked in", b.renew(out), "c-LT-7 checked-in")
	expect(t, "another machine then", b.hold(ws2), "yes")
}

func TestEntitlementCountry(t *testing.T) { // R2, KB0019240
	b := newBooks(t)
	ann := func(country string) { b.PutUser(cloudapi.User{ID: "ann", Country: country}) }
	ws1 := want("ann", "virt-ann", "WS-1")
	l := b.lic("virt-ann", "cap", cloudapi.LicenseVirtuoso)
	l.AssignedTo, l.Countries = "ann", []string{"DE", "FR"}
	b.PutLicense(l)
	expect(t, "in a country of the license", b.hold(ws1), "yes")
	ann("fr")
	expect(t, "in another, in whatever case", b.renew(ws1), "")
	ann("SE")
	expect(t, "in none of them, at renewal", b.renew(ws1), "s-WS-1 country")
	expect(t, "in none of them", b.hold(ws1), "country")
	ann("")
	expect(t, "without one", b.hold(ws1), "no-country")
	expect(t, "without one, at renewal", b.renew(ws1), "s-WS-1 no-country")
	l.Countries = nil
	b.PutLicense(l)
	expect(t, "without one, of a license for everywhere", b.hold(ws1), "no-country")
	ann("SE")
	expect(t, "of a license for everywhere", b.hold(ws1), "yes")
}

func TestCheckoutsByCountry(t *testing.T) { // KB0019243
	b := newBooks(t)
	lt7 := want("ann", "virt-ann", "LT-7")
	out := func(country string, days int) string {
		t.Helper()
		b.PutUser(cloudapi.User{ID: "ann", Country: country})
		return b.hold(away(lt7, b.time.Add(time.Duration(days)*day)))
	}
	expect(t, "where they are off", out("NO", 1), "checkout-off")
	expect(t, "longer than the country's longest", out("FR", 8), "checkout-too-long")
	expect(t, "longer than the account's, in a country with more", out("NL", 61), "checkout-too-long")
	expect(t, "where nothing is said of the country", out("DE", 60), "yes")
	expect(t, "renewed in the cloud's books where they are off now", b.renew(away(lt7, b.time.Add(60*day))), "")
	expect(t, "shortened where they are off now", out("NO", 30), "yes")
	expect(t, "made longer where they are off now", out("NO", 31), "checkout-off")
	expect(t, "shortened to more than the country's longest", out("FR", 20), "yes")
	expect(t, "made longer than that", out("FR", 21), "checkout-too-long")
	l := b.lic("virt-ann", "cap", cloudapi.LicenseVirtuoso)
	l.AssignedTo, l.EndsAt = "ann", b.time.Add(10*day)
	b.PutLicense(l)
	expect(t, "shortened to more than the license's new end", out("DE", 12), "yes")
	expect(t, "made longer than that", out("DE", 13), "checkout-too-long")
}

func TestOnlyVirtuosoHoldsExclude(t *testing.T) { // R3, R4, R17
	b := newBooks(t)
	b.PutLicense(b.lic("pool", "cap", cloudapi.LicenseCommercial))
	b.PutLicense(b.lic("try", "cap", cloudapi.LicenseTrial))
	b.PutLicense(b.lic("spare", "cap", cloudapi.LicenseVirtuoso))
	mine := b.lic("perpetual", "cap", cloudapi.LicenseCommercial)
	mine.AssignedTo = "bob"
	b.PutLicense(mine)
	b.PutUser(cloudapi.User{ID: "eve", Country: "DE"}) // has nothing of her own

	for _, l := range []string{"pool", "try"} {
		for _, m := range []string{"WS-1", "WS-2"} {
			expect(t, "who has no Virtuoso license, on "+m+" under "+l, b.hold(want("eve", l, m)), "yes")
		}
	}
	expect(t, "another's perpetual license", b.hold(want("eve", "perpetual", "WS-1")), "not-assigned")
	expect(t, "an unassigned Virtuoso license", b.hold(want("eve", "spare", "WS-1")), "not-assigned")

	expect(t, "under Virtuoso", b.hold(want("ann", "virt-ann", "WS-1")), "yes")
	for _, l := range []string{"pool", "try"} {
		expect(t, "a second machine under "+l+" instead", b.hold(want("ann", l, "WS-2")), "machine-active WS-1")
	}
	expect(t, "pooled, where the user has Virtuoso", b.hold(want("bob", "pool", "WS-1")), "yes")
	expect(t, "Virtuoso on a second machine then", b.hold(want("bob", "virt-bob", "WS-2")), "machine-active WS-1")

	barred := b.lic("virt-bob", "cap", cloudapi.LicenseVirtuoso)
	barred.AssignedTo, barred.Countries = "bob", []string{"SE"}
	b.PutLicense(barred)
	for _, m := range []string{"WS-2", "WS-3"} {
		expect(t, "pooled on "+m+", where the user's own is for another country", b.hold(want("bob", "pool", m)), "yes")
	}

	// Of the older generation: never Virtuoso, and on as many machines as one likes.
	for _, kind := range []string{cloudapi.LicenseVirtuoso, cloudapi.LicenseCommercial} {
		l := b.lic("v8i-"+kind, "old", kind)
		l.AssignedTo = "ann"
		b.PutLicense(l)
	}
	for _, m := range []string{"WS-3", "WS-4"} {
		v8i := want("ann", "v8i-commercial", m)
		v8i.ProductID = "old"
		expect(t, "V8i on "+m, b.hold(v8i), "yes")
		v8i.LicenseID = "v8i-virtuoso"
		expect(t, "V8i under Virtuoso on "+m, b.hold(v8i), "not-assigned")
	}
}

func TestMachinesByNameAndById(t *testing.T) {
	b := newBooks(t)
	named, known := want("ann", "virt-ann", "WS-1"), want("ann", "virt-ann", "WS-1")
	named.MachineID, named.MachineName, named.Ref = "", `CORP/ws-1.corp.example`, "s-named"
	expect(t, "by its name", b.hold(named), "yes")
	expect(t, "the same one by its id", b.hold(known), "yes")
	expect(t, "both renewed", b.renew(known, named), "")
	b.release(known)
	expect(t, "who is active when one of its two sessions has ended", strings.Join(b.Active("ann"), " "), `CORP/ws-1.corp.example`)
	named.MachineID = "id-WS-1"
	expect(t, "renewed with the id it has given since", b.renew(named), "")
	named.MachineID = ""
	b.release(named)
	expect(t, "who is active when both have", strings.Join(b.Active("ann"), " "), "")

	// What a site frees while it cannot tell is not in its next list, though the machine has another session: it keeps nobody out any more.
	b.PutProduct(cloudapi.Product{ID: "cap2", Capped: cloudapi.CappedYes})
	second := b.lic("second", "cap2", cloudapi.LicenseVirtuoso)
	second.AssignedTo = "ann"
	b.PutLicense(second)
	other := want("ann", "second", "WS-1")
	other.ProductID, other.Ref = "cap2", "s-other"
	expect(t, "a session", b.hold(known), "yes")
	expect(t, "one of another product on the same machine", b.hold(other), "yes")
	out := away(want("ann", "virt-ann", "LT-7"), b.time.Add(day))
	expect(t, "a checkout elsewhere", b.hold(out), "machine-active WS-1")
	expect(t, "a list without the first", b.renew(other), "")
	expect(t, "a checkout elsewhere then", b.hold(out), "yes")
	b.release(other)
	b.release(out)

	address := want("ann", "virt-ann", "10.0.0.5")
	address.MachineID = ""
	expect(t, "by its address", b.hold(address), "yes")
	address.MachineName = "10.0.0.6"
	expect(t, "another address", b.hold(address), "machine-active 10.0.0.5")
}

func TestMoves(t *testing.T) { // R10, R11, R19
	b := newBooks(t)
	b.PutUser(cloudapi.User{ID: "eve", Country: ""})
	b.PutUser(cloudapi.User{ID: "kim", Country: "DE", OtherAccount: true})
	b.PutLicense(b.lic("spare", "cap", cloudapi.LicenseVirtuoso))
	start := b.time
	after := func(d time.Duration) { b.time = start.Add(d) }

	expect(t, "to someone without a country", b.move("virt-ann", "eve"), "no-country")
	expect(t, "to someone of another account", b.move("virt-ann", "kim"), "other-account")
	expect(t, "to nobody known", b.move("virt-ann", "ron"), "unknown")
	ended := b.lic("ended", "cap", cloudapi.LicenseVirtuoso)
	ended.AssignedTo, ended.EndsAt = "ann", b.time
	b.PutLicense(ended)
	expect(t, "what has ended", b.move("ended", "bob"), "license-ended until +0s of")
	expect(t, "of no license known", b.move("virt/1?x=y", "bob"), "unknown")
	expect(t, "what was nobody's", b.move("spare", "ann"), "now ann")
	expect(t, "after more than 31 days", b.move("virt-ann", "bob"), "now bob")
	after(day - time.Second)
	expect(t, "in the first 24 h", b.move("virt-ann", "ann"), "now ann")
	after(2*day - time.Second)
	expect(t, "24 h after that", b.move("virt-ann", "bob"), "move-locked until +720h0m0s of ann")
	expect(t, "to the one who has it", b.move("virt-ann", "ann"), "now ann")
	after(32*day - 2*time.Second)
	expect(t, "in the last second of the lock", b.move("virt-ann", "bob"), "move-locked until +1s of ann")
	after(32*day - time.Second)
	expect(t, "after it", b.move("virt-ann", "bob"), "now bob")
	after(33 * day)
	expect(t, "locked anew", b.move("virt-ann", "ann"), "move-locked until +719h59m59s of bob")

	// Another address is the same user. A user who is deleted is not.
	if err := b.ChangeEmail("bob", "ann@x.example"); err == nil {
		t.Error("an address that another user has: got no error")
	}
	expect(t, "bob's session", b.hold(want("bob", "virt-bob", "WS-1")), "yes")
	if err := b.ChangeEmail("bob", "robert@x.example"); err != nil {
		t.Fatal(err)
	}
	expect(t, "bob's session under another address", b.renew(want("bob", "virt-bob", "WS-1")), "")
	b.DeleteUser("bob")
	expect(t, "a deleted user's session", b.renew(want("bob", "virt-bob", "WS-1")), "s-WS-1 unknown")
	expect(t, "a deleted user's license", b.move("virt-ann", "ann"), "user-not-found bob")
	expect(t, "however long ago", func() string { after(200 * day); return b.move("virt-ann", "ann") }(), "user-not-found bob")
	for name, err := range map[string]error{
		"Assign to another": b.Assign("virt-ann", "ann"), "Assign to nobody": b.Assign("virt-ann", ""),
	} {
		if got := emulator.Reason(err); got != cloudapi.ReasonUserNotFound {
			t.Errorf("%s: got %v, want user-not-found", name, err)
		}
	}
	if err := b.RepairAssignment("virt-ann", "ann", ""); err == nil {
		t.Error("a repair without a service request: got no error")
	}
	if err := b.RepairAssignment("virt-ann", "kim", "SR-1"); emulator.Reason(err) != cloudapi.ReasonOtherAccount {
		t.Errorf("a repair for someone of another account: got %v, want other-account", err)
	}
	if err := b.RepairAssignment("virt-ann", "ann", "SR-1"); err != nil {
		t.Error(err)
	}
	if err := b.RepairAssignment("virt-ann", "ann", "SR-2"); err == nil {
		t.Error("a repair of what is whole: got no error")
	}
	got := b.Assignments()
	if n := len(got); n != 5 || got[1].From != "ann" || got[1].To != "bob" || got[1].By != "it@x.example" || got[1].Note != "left the project" ||
		got[n-1].ServiceRequest != "SR-1" || got[n-1].From != "bob" || got[n-1].To != "ann" {
		t.Errorf("the books: got %+v", got)
	}
	for _, bad := range []cloudapi.MoveRequest{{By: "it"}, {ToUserID: "ann"}, {ToUserID: "ann", By: " "}, {ToUserID: "ann", By: "it", Note: strings.Repeat("x", 1025)}} {
		if resp := b.do("POST", cloudapi.PathMove("virt-ann"), b.token, bad, nil); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%.60v: got %s, want 400", bad, resp.Status)
		}
	}
}

func TestAFeatureLevelIsChosenWhereThereAreSome(t *testing.T) { // KB0019240
	b := newBooks(t)
	b.PutProduct(cloudapi.Product{ID: "cap", Capped: cloudapi.CappedYes, NeedsFeature: true})
	none, chosen, checkout := want("ann", "virt-ann", "WS-1"), want("ann", "virt-ann", "WS-1"), away(want("bob", "virt-bob", "LT-7"), b.time.Add(day))
	chosen.Feature = "Advanced"
	expect(t, "none chosen", b.hold(none), "feature-level")
	expect(t, "chosen", b.hold(chosen), "yes")
	expect(t, "renewed by a site that does not know it any more", b.renew(none), "")
	expect(t, "a checkout is of the product and a version", b.hold(checkout), "yes")
	checkout.Feature = "Advanced"
	expect(t, "a checkout of a feature level", b.hold(checkout), "invalid")
}
