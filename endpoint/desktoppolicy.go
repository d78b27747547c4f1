package endpoint

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// askPolicy reads what a request for a policy is for.
func (rl *relay) askPolicy(x *exchange) (done bool, err error) {
	r, err := cloudapi.ReadPolicyRequest(x.body)
	if err != nil {
		return false, malformed(err.Error())
	}
	return false, x.asksFor(r.MachineName, r.RequestedSecurables)
}

func (rl *relay) askEntitlement(x *exchange) (done bool, err error) {
	r, err := cloudapi.ReadEntitlementRequest(x.body)
	if err != nil {
		return false, malformed(err.Error())
	}
	if strings.TrimSpace(r.MachineName) == "" { // as of a web application: where it is asked from stands for it
		r.MachineName = rl.machineThere(x)
	}
	return false, x.asksFor(r.MachineName, r.RequestedSecurables)
}

// machineThere is the machine on which the user works at the address that is asked from, as far
// as the vendor's own clients told; else the address itself.
func (rl *relay) machineThere(x *exchange) string {
	from, name := addressOf(x).String(), host(x.r.RemoteAddr)
	rl.e.gw.View(func(s *license.State) {
		a := s.Active(x.desk.user)
		if x.desk.user == "" || a == nil {
			return
		}
		if i := slices.IndexFunc(a.Sessions, func(y license.Session) bool { return y.From == from && y.Machine.Name != "" }); i >= 0 {
			name = a.Sessions[i].Machine.Name
		}
	})
	return name
}

func (x *exchange) asksFor(machine string, products []cloudapi.SecurableWanted) error {
	x.machine = license.Machine{Name: strings.TrimSpace(machine)}
	if x.machine.Name == "" || !x.machine.Is(x.machine) || !plain(machine) {
		return malformed("MachineName names no machine")
	}
	for _, p := range products {
		if p.ProductID == "" || !plain(string(p.ProductID)) || !plain(p.Feature) || !plain(p.Version) {
			return malformed("a product's number, feature or version is missing, longer than 256 bytes or has control characters")
		}
		x.want = append(x.want, wanted{license.ProductID(p.ProductID), p.Feature, p.Version})
	}
	x.w.more = append(x.w.more, slog.String("machine", x.machine.Name), slog.String("product", string(x.want[0].product)))
	return nil
}

// judgePolicy reads the policy that the vendor has signed. What it denies is passed on:
// that is what makes the client show the vendor's own sentence.
func (rl *relay) judgePolicy(x *exchange, resp *http.Response, body []byte) ([]byte, error) {
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		rl.forgetPolicies(x, resp.Header.Get("Date"))
	}
	if resp.StatusCode >= 500 && rl.isKept(x) {
		return nil, &relayError{code: relayBadAnswer, detail: resp.Status, status: resp.StatusCode}
	}
	if resp.StatusCode/100 != 2 {
		return body, nil
	}
	p, err := rl.signed(x, body)
	if err != nil {
		return nil, err
	}
	if err := x.isFor(&p.Policy); err != nil {
		return nil, &relayError{code: relayNotSigned, err: err}
	}
	if x.desk.proof != nil {
		rl.proven(x, rl.mirrored(license.UserID(userOf(&p.Policy))), p.Expires)
	}
	list, err := x.allowedBy(p)
	if err != nil {
		return nil, err
	}
	if err := rl.begin(x, list); err != nil {
		return nil, err
	}
	rl.keepPolicy(x, p, body)
	return body, nil
}

// latePolicy reads a policy, or a no, that came once its client had been given what is kept: it
// decides what may be given the next time. Nothing is begun for it.
func (rl *relay) latePolicy(x *exchange, resp *http.Response, body []byte) ([]byte, error) {
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		rl.forgetPolicies(x, resp.Header.Get("Date"))
	}
	if resp.StatusCode/100 != 2 {
		return nil, nil
	}
	p, err := rl.signed(x, body)
	if err != nil {
		return nil, err
	}
	if err := x.isFor(&p.Policy); err != nil {
		return nil, err
	}
	rl.keepPolicy(x, p, body)
	return nil, nil
}

// allowedBy are the products that a policy allows, whatever was asked for and however it was
// written: its client starts by what is in it.
func (x *exchange) allowedBy(p *cloudapi.SignedPolicy) (list []allowed, err error) {
	d := &p.Policy
	for _, s := range d.Securables {
		if !d.AccessTo(s).Allows() {
			continue
		}
		product := license.ProductID(s.ProductID)
		if product == "" || !plain(string(product)) || !plain(s.Feature) {
			return nil, &relayError{code: relayBadAnswer, detail: "it allows a product that has no number"}
		}
		posting, _ := d.MinutesOf(s, cloudapi.QualifierTimeToKeepUnSentLogs)
		a := allowed{wanted: wanted{product: product, feature: s.Feature}, lease: 2 * posting, expires: p.Expires, name: s.ProductName,
			country: d.UserData.Country, offline: d.TrueOf(s, cloudapi.QualifierAllowOfflineUsage)}
		if d.TrueOf(s, cloudapi.QualifierIsCheckedOut) {
			a.checkout = importID(d.PolicyID, product)
			if end := d.ExpiresOn.Time; !end.IsZero() {
				a.expires = end
			}
		}
		i := slices.IndexFunc(x.want, func(w wanted) bool { return w.product == product })
		if i >= 0 {
			a.version = x.want[i].version
		}
		asked := slices.ContainsFunc(x.want, func(w wanted) bool { return w.product == product && w.feature == s.Feature })
		list = with(list, a, asked)
	}
	return list, nil
}

// with is the list with what another securable says of a product, whose session is one: by
// the feature that was asked for, and by the terms under which it lasts longest.
func with(list []allowed, a allowed, asked bool) []allowed {
	i := slices.IndexFunc(list, func(b allowed) bool { return b.product == a.product })
	if i < 0 {
		return append(list, a)
	}
	b := &list[i]
	if asked {
		b.feature = a.feature
	}
	b.lease, b.offline = max(a.lease, b.lease), a.offline || b.offline
	if b.checkout.IsZero() {
		b.checkout = a.checkout
	}
	if a.expires.After(b.expires) {
		b.expires = a.expires
	}
	return list
}

// askServerPolicy is askPolicy by an access key, which is all that it is asked by.
func (rl *relay) askServerPolicy(x *exchange) (done bool, err error) {
	x.r.Header.Del("Authorization")
	return rl.askPolicy(x)
}

// judgeServerPolicy reads a policy that a server was given for its access key: there is no
// user in it whose hold it could open, and one that has a user does not leave.
func (rl *relay) judgeServerPolicy(x *exchange, resp *http.Response, body []byte) ([]byte, error) {
	if resp.StatusCode/100 != 2 {
		return body, nil
	}
	p, err := rl.signed(x, body)
	if err != nil {
		return nil, err
	}
	for _, user := range usersOf(&p.Policy) {
		if rl.isUser(rl.mirrored(license.UserID(user))) {
			return nil, &relayError{code: relayNotSigned, detail: "it is for a user, who has to sign in"}
		}
	}
	list, err := x.allowedBy(p)
	if err != nil {
		return nil, err
	}
	for _, a := range list {
		if d := rl.machineOut(x, a.product); d != nil {
			return nil, &withheld{denial: *d, offline: a.offline}
		}
		rl.e.metrics.relayed.WithLabelValues(relayedByKey).Inc()
	}
	return body, nil
}

// machineOut says whether IT keeps the machine out, of which nobody knows who is at it; nil:
// it does not, or that is only observed.
func (rl *relay) machineOut(x *exchange, p license.ProductID) (d *license.Denial) {
	rl.e.gw.View(func(s *license.State) {
		if !license.ModeOf(s, rl.e.gw.Now(), p, addressOf(x)).Observe {
			d = license.KeptOut(s, "", x.machine, p)
		}
	})
	return d
}

// isUser reports whether the mirror has a user.
func (rl *relay) isUser(id license.UserID) (is bool) {
	rl.e.gw.View(func(s *license.State) { is = s.User(id) != nil })
	return is
}

func (rl *relay) judgeEntitlement(x *exchange, resp *http.Response, body []byte) ([]byte, error) {
	if resp.StatusCode/100 != 2 {
		return body, nil
	}
	answer, err := cloudapi.ReadEntitlementAnswer(body)
	if err != nil {
		return nil, &relayError{code: relayBadAnswer, err: err}
	}
	var list []allowed
	for _, e := range answer.Result.Entitlements {
		w := wanted{product: license.ProductID(e.ProductID), feature: e.FeatureString}
		if !e.LicenseStatus.Allows() || slices.ContainsFunc(list, func(a allowed) bool { return a.product == w.product }) {
			continue
		}
		if x.desk.user == "" { // a SAML token that no policy was got with: the principal may be the user
			rl.e.gw.View(func(s *license.State) {
				if u := s.User(license.UserID(e.PrincipalID)); u != nil && e.PrincipalID != "" {
					x.desk.user, x.caller.User = u.ID, u.ID
				}
			})
		}
		// Its client goes by the answer for as long as by a policy until it asks anew, and posts
		// nothing.
		list = append(list, allowed{wanted: w, lease: license.MaxRelayedLease})
	}
	if err := rl.begin(x, list); err != nil {
		return nil, err
	}
	return body, nil
}

// signed takes an answer apart, and makes sure that the vendor has signed it and that it
// is good now.
func (rl *relay) signed(x *exchange, body []byte) (*cloudapi.SignedPolicy, error) {
	digest := sha256.Sum256(body)
	p := rl.verifiedBefore(x, digest)
	if p == nil {
		var err error
		if p, err = cloudapi.ReadPolicyAnswer(body); err != nil {
			return nil, &relayError{code: relayNotSigned, err: err}
		}
		by, err := rl.signers.verify(x.ctx, p)
		if err != nil {
			return nil, &relayError{code: relayNotSigned, err: err}
		}
		rl.verified.keep(digest, verifiedPolicy{policy: p, by: by, who: x.verifiedFor(), size: len(body)}, time.Now())
	}
	if now := time.Now(); now.After(p.Expires.Add(leeway)) {
		return nil, &relayError{code: relayNotSigned, err: fmt.Errorf("it was good until %s", p.Expires.Format(time.RFC3339))}
	}
	return p, nil
}

// userOf is whom a policy is for.
func userOf(p *cloudapi.Policy) string {
	for _, id := range usersOf(p) {
		if id != "" {
			return id
		}
	}
	return ""
}

// usersOf are all whom a policy names.
func usersOf(p *cloudapi.Policy) [3]string {
	return [...]string{p.AppliesToUserID, p.RequestData.UserID, p.UserData.UserID}
}

// isFor makes sure that a policy is for who asks, on the machine they ask from: the
// vendor's signature under another one's is good, too.
func (x *exchange) isFor(p *cloudapi.Policy) error {
	user := userOf(p)
	if user == "" || !plain(user) {
		return errors.New("it names no user")
	}
	if x.desk.proof == nil && !strings.EqualFold(user, string(x.desk.user)) {
		return errors.New("it is for another user")
	}
	if m := (license.Machine{Name: p.RequestData.MachineName}); m.Name != "" && !m.Is(x.machine) {
		return errors.New("it is for another machine")
	}
	return nil
}
