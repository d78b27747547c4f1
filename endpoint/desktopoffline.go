package endpoint

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// offlineDays is how long the vendor's client works on without asking where its policy
// says nothing else (OfflineDuration).
const offlineDays = 7

// spent is why a policy that was kept is good no more; a word for the log.
type spent string

func (s spent) Error() string { return "the policy that is kept is not served again: " + string(s) }

// The words of spent.
const (
	spentUser     spent = "another-user"
	spentMachine  spent = "another-machine"
	spentDates    spent = "expired"
	spentProduct  spent = "product-not-allowed"
	spentOffline  spent = "no-offline-use"
	spentDays     spent = "offline-days-over"
	spentCheckout spent = "a-checkout"
	spentMore     spent = "more-than-asked-for"
)

// stillGood says whether a policy that the vendor has signed may be served again to who
// asks, at a moment at which the vendor cannot be asked: nil, or why not. What its
// signature is worth and what the site's rules say is asked elsewhere.
//
// A product that is not kept to one machine needs a policy that lets its client work
// without asking, and gets no more days by it than that client would have taken itself.
// For one that is, no policy does that (R6), and the rules have to know of terms that do.
func stillGood(p *cloudapi.SignedPolicy, of askedFor, single func(license.ProductID) bool, now time.Time) error {
	d := &p.Policy
	for _, user := range usersOf(d) {
		if user != "" && !strings.EqualFold(user, string(of.user)) || of.user == "" {
			return spentUser
		}
	}
	if d.UserData.UserID == "" && d.AppliesToUserID == "" {
		return spentUser
	}
	if !strings.EqualFold(d.RequestData.MachineName, of.machine) || of.machine == "" {
		return spentMachine
	}
	if now.Before(p.NotBefore.Add(-leeway)) || !now.Before(p.Expires) || !now.Before(d.ExpiresOn.Time) {
		return spentDates
	}
	for _, want := range of.products {
		if err := stillAllows(p, want, single(want.product), now); err != nil {
			return err
		}
	}
	return nil
}

// noMore makes sure that a policy allows nothing that is kept to one machine but what was
// asked for: nothing would be held for it.
func noMore(d *cloudapi.Policy, of askedFor, single func(license.ProductID) bool) error {
	for _, s := range d.Securables {
		product := license.ProductID(s.ProductID)
		if d.AccessTo(s).Allows() && single(product) && !slices.ContainsFunc(of.products, func(w wanted) bool { return w.product == product }) {
			return spentMore
		}
	}
	return nil
}

func stillAllows(p *cloudapi.SignedPolicy, want wanted, single bool, now time.Time) error {
	d, product := &p.Policy, cloudapi.ProductID(want.product)
	if !d.Access(product, want.feature).Allows() {
		return spentProduct
	}
	of := func(a cloudapi.ACL) bool {
		return slices.ContainsFunc(d.Securables, func(s cloudapi.Securable) bool {
			return s.SecurableID == a.SecurableID && s.ProductID == product && s.Feature == want.feature
		})
	}
	for _, a := range d.ACLs {
		if of(a) && (!a.AccessKind.Allows() || !a.ExpiresOn.IsZero() && !now.Before(a.ExpiresOn.Time)) {
			return spentProduct
		}
	}
	if d.True(product, want.feature, cloudapi.QualifierIsCheckedOut) {
		return spentCheckout
	}
	if single {
		return nil
	}
	if !d.True(product, want.feature, cloudapi.QualifierAllowOfflineUsage) {
		return spentOffline
	}
	days := offlineDays
	if v, ok := d.Qualifier(product, want.feature, cloudapi.QualifierOfflineDuration); ok {
		n, err := strconv.Atoi(strings.TrimSpace(v))
		if err != nil || n < 0 || n > 366 {
			n = 0
		}
		days = n
	}
	from := p.NotBefore
	if c := d.CreatedOn.Time; !c.IsZero() && c.Before(from) {
		from = c
	}
	if !now.Before(from.AddDate(0, 0, days)) {
		return spentDays
	}
	return nil
}
