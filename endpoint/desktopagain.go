package endpoint

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"sitegate/gateway"
	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// While the vendor cannot be asked, the last policy that it has signed for this very
// user, machine and product is served again, the same to the byte, where the vendor and
// the rules both let that client work on without asking. Why it is done on each node for
// itself: docs/decisions/0022-last-policies-are-each-nodes-own.md.

// KeptHeader is on every answer that is served again. It says when the vendor gave it.
const KeptHeader = "X-Sitegate-Kept"

// Why a policy that is kept is not served again, before its dates are looked at; words
// for the log.
const (
	spentNone      spent = "none-kept"
	spentDamaged   spent = "damaged"
	spentSignature spent = "not-verified"
	spentRevoked   spent = "revoked"
)

// keepPolicy keeps an answer that is about to leave, if it may ever be served again; the
// one before it may be no more.
func (rl *relay) keepPolicy(x *exchange, p *cloudapi.SignedPolicy, body []byte) {
	if rl.kept == nil || x.desk.user == "" {
		return
	}
	of := x.askedFor()
	if slices.ContainsFunc(x.want, func(w wanted) bool { return !p.Policy.Access(cloudapi.ProductID(w.product), w.feature).Allows() }) {
		rl.kept.dropAll(x.desk.user, "") // what is denied may be in any of them, and its name does not say so
		rl.revoked(x, whenSigned(p))
		return
	}
	if stillGood(p, of, rl.single, p.NotBefore) != nil || noMore(&p.Policy, of, rl.single) != nil {
		if rl.kept.drop(of) {
			rl.revoked(x, whenSigned(p)) // another node may have the one of before, too
		}
		return
	}
	rl.kept.keep(of, body, p.Expires)
}

// isKept reports whether there is a policy that might be served again.
func (rl *relay) isKept(x *exchange) bool {
	return rl.kept != nil && x.desk.user != "" && rl.kept.has(x.askedFor().key())
}

// isServable reports whether a silent vendor is not worth a long wait: what is kept may be
// served, as far as this node knows, or the rules say a no that the vendor's yes would not
// change. What is kept of products that are held often may not be: without terms for them, the
// vendor's answer is all there is.
func (rl *relay) isServable(x *exchange) bool {
	if rl.kept == nil || x.desk.user == "" {
		return false
	}
	_, err := rl.servable(x)
	for i := 0; err == nil && i < len(x.want); i++ {
		if d := rl.goesOn(x, x.want[i], true).denial; d != nil {
			err = denied{*d}
		}
	}
	var no denied
	return err == nil || errors.As(err, &no) && no.denial.Reason != license.CloudNeeded && !ofMirror(no.denial.Reason)
}

// keepCertificate keeps the vendor's certificate beside its policies.
func (rl *relay) keepCertificate(answer []byte) {
	if rl.kept == nil {
		return
	}
	if err := rl.kept.keepCertificate(answer); err != nil {
		rl.e.log.Warn("the vendor's certificate is not kept", "err", err)
	}
}

// forgetPolicies forgets what is kept for somebody whose token the vendor does not take
// any more.
func (rl *relay) forgetPolicies(x *exchange, date string) {
	if rl.kept != nil && x.desk.user != "" {
		rl.kept.dropAll(x.desk.user, "")
		rl.revoked(x, rl.answeredAt(date))
	}
	rl.notTaken(x)
}

// revoked has the other nodes know that the vendor has taken something back, of which they may
// keep policies: by its own clock, as far as it tells, since it is that by which these are
// signed.
func (rl *relay) revoked(x *exchange, at time.Time) {
	rl.verified.forget(x.desk.user)
	rl.e.gw.Revoked(x.desk.user, license.TimeOf(at))
}

// answeredAt is when an answer was given, or a moment later.
func (rl *relay) answeredAt(date string) time.Time {
	at, err := http.ParseTime(date)
	if err != nil {
		return rl.e.gw.Now().Std()
	}
	return at.Add(time.Second - time.Millisecond) // it has no parts of a second
}

// whenSigned is when the vendor has signed a policy.
func whenSigned(p *cloudapi.SignedPolicy) time.Time {
	if c := p.Policy.CreatedOn.Time; c.After(p.NotBefore) {
		return c
	}
	return p.NotBefore
}

func (x *exchange) askedFor() askedFor {
	return askedFor{user: x.desk.user, machine: x.machine.Name, products: x.want}
}

// single reports whether a product is, or may be, kept to one machine.
func (rl *relay) single(id license.ProductID) (single bool) {
	rl.e.gw.View(func(s *license.State) {
		p := s.Product(id)
		single = p == nil || p.Single()
	})
	return single
}

// policyAgain answers with the policy that is kept, where the vendor does not answer.
// Where there is none that may be served, it says what would have helped: a checkout.
func (rl *relay) policyAgain(x *exchange, why error) bool {
	if rl.kept == nil || x.desk.user == "" || answered(why) || rl.unasked(x, why) { // it may have said no, or would
		return false
	}
	// What the vendor's silence has taken of the time does not count.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.ctx), gateway.Patience)
	defer cancel()
	x.ctx = ctx
	body, signed, err := rl.again(x)
	if err != nil {
		x.w.more = append(x.w.more, slog.Any("kept", err))
		var own spent
		if errors.As(err, &own) {
			err = denied{license.Denial{Reason: license.CloudNeeded, Product: x.want[0].product}}
		}
		x.err, x.w.err = err, why
		return false
	}
	x.again(body, signed)
	return true
}

// keptPolicy is an answer that is kept, and its policy, which one of the vendor's certificates
// has signed.
type keptPolicy struct {
	body   []byte
	policy *cloudapi.SignedPolicy
}

// servable finds the policy that is kept, if it is good still by its own word. It may be asked
// again and again while the vendor is silent: what was read and verified once for an exchange
// stays so, and what others or time may have changed is looked at each time.
func (rl *relay) servable(x *exchange) (*keptPolicy, error) {
	of := x.askedFor()
	if !rl.kept.has(of.key()) {
		return nil, spentNone
	}
	if x.kept == nil {
		k, err := rl.readKept(of)
		if err != nil {
			return nil, err
		}
		x.kept = k
	}
	p := x.kept.policy
	var revoked license.Time
	rl.e.gw.View(func(s *license.State) { revoked = license.RevokedAt(s, x.desk.user) })
	if license.TimeOf(whenSigned(p)) <= revoked {
		return nil, spentRevoked
	}
	if err := stillGood(p, of, rl.single, rl.e.gw.Now().Std()); err != nil {
		return nil, err
	}
	return x.kept, noMore(&p.Policy, of, rl.single)
}

// readKept reads an answer that is kept, and verifies it.
func (rl *relay) readKept(of askedFor) (*keptPolicy, error) {
	body := rl.kept.find(of)
	if body == nil {
		return nil, spentNone
	}
	p, err := cloudapi.ReadPolicyAnswer(body)
	if err != nil {
		rl.kept.drop(of)
		return nil, spentDamaged
	}
	if !rl.kept.signed(p, time.Now()) {
		return nil, spentSignature
	}
	return &keptPolicy{body, p}, nil
}

// again finds the policy that may be served, and opens for it what has to be held.
func (rl *relay) again(x *exchange) ([]byte, time.Time, error) {
	k, err := rl.servable(x)
	if err != nil {
		return nil, time.Time{}, err
	}
	for _, w := range x.want {
		if d := rl.mayGoOn(x, w); d != nil {
			return nil, time.Time{}, denied{*d}
		}
	}
	return k.body, k.policy.NotBefore, rl.holdAgain(x, &k.policy.Policy)
}

// goingOn is what the rules say of a product that is to be used without asking the vendor.
type goingOn struct {
	denial  *license.Denial // nil: it may
	spared  *license.Denial // one that is observed only
	single  bool
	observe bool
}

// goesOn asks the rules whether a product may be used without asking the vendor: who lost it,
// or was blocked, is refused. What needs a session is the leader's to decide (holdAgain), who
// knows which machine is active now; begins: what this node knows of it is asked, too.
func (rl *relay) goesOn(x *exchange, w wanted, begins bool) (g goingOn) {
	now := rl.e.gw.Now()
	rl.e.gw.View(func(s *license.State) {
		p := s.Product(w.product)
		g.single = p == nil || p.Single()
		g.observe = g.single && license.ModeOf(s, now, w.product, addressOf(x)).Observe
		if g.single && !g.observe && !begins && license.RelayedSession(s, x.desk.user, x.machine, w.product) == nil {
			return
		}
		c := x.start(w)
		c.Agreed = !g.single
		if g.denial = license.Check(s, now, c); g.observe && g.denial != nil && g.denial.Reason == license.MachineActive {
			g.spared, g.denial = g.denial, nil // the terms are asked for all the same
		}
		if g.denial == nil && (!g.single || g.spared != nil) && !termsLast(s, g.single, now) {
			g.denial = &license.Denial{Reason: license.CloudNeeded, Product: w.product}
		}
	})
	return g
}

// mayGoOn is goesOn where no session is begun for it, and has others know of what it says. nil:
// the product may be used.
func (rl *relay) mayGoOn(x *exchange, w wanted) *license.Denial {
	g := rl.goesOn(x, w, false)
	switch {
	case g.denial != nil:
		rl.noteWithheld(x, *g.denial, !g.single) // such as may be served again lets its client work on
	case g.spared != nil:
		rl.e.gw.WouldRefuse(license.WouldRefuse{User: x.desk.user, Machine: x.machine, Denial: *g.spared, Address: addressOf(x).String()})
	case g.observe:
		rl.e.gw.NoteObserved(gateway.Observation{Start: x.start(w), Address: addressOf(x).String()})
	}
	return g.denial
}

// termsLast reports whether a product may still be used without asking the vendor, by the
// account's terms, which the site may shorten. Where the account has none for products that
// are not kept to one machine, the policy's own days count.
func termsLast(s *license.State, single bool, now license.Time) bool {
	terms, own := s.Autonomy(single), s.Head().Settings.AutonomyUncapped
	if !single && s.Head().Account.AutonomyUncapped == 0 {
		if own == nil {
			return true
		}
		terms = *own
	}
	return terms > 0 && now < s.Head().Link.Contact.Add(terms)
}

// start is the one that a product asked for by relayed traffic becomes.
func (x *exchange) start(w wanted) license.Start {
	id, _ := license.ParseID(newID()) // which is one
	return license.Start{ID: id, User: x.desk.user, Product: w.product, Machine: x.machine, Version: w.version, Feature: w.feature, Relayed: true, From: addressOf(x).String()}
}

// holdAgain opens what has to be held before the policy is served: as when the vendor is
// asked, but by the site alone.
func (rl *relay) holdAgain(x *exchange, p *cloudapi.Policy) error {
	var begun []license.ID
	for _, w := range x.want {
		held, there := true, license.ID{}
		rl.e.gw.View(func(s *license.State) {
			of := s.Product(w.product)
			held = (of == nil || of.Single()) && !license.ModeOf(s, rl.e.gw.Now(), w.product, addressOf(x)).Observe
			if y := license.RelayedSession(s, x.desk.user, x.machine, w.product); y != nil {
				there = y.ID
			}
		})
		if !held {
			continue
		}
		if !there.IsZero() {
			if renewed, err := rl.renew(x.ctx, there, x.desk.user, x.machine); err == nil && renewed {
				continue
			}
		}
		c := x.start(w)
		c.Offline = p.True(cloudapi.ProductID(w.product), w.feature, cloudapi.QualifierAllowOfflineUsage)
		if last, there := rl.last.find(x.policyKey(w.product), time.Now()); there && last.offline {
			c.Offline = true
		}
		a, err := rl.e.gw.StartKept(x.ctx, c)
		if err == nil && a.Outcome.Denial != nil {
			err = &withheld{denial: *a.Outcome.Denial, offline: c.Offline}
		}
		if err != nil {
			rl.undo(x, begun)
			return err
		}
		if !a.Outcome.Repeat {
			begun = append(begun, a.Outcome.Session.ID)
		}
	}
	return nil
}

// certificateAgain answers with the certificate that is kept: without it the client would
// not look at the policy.
func (rl *relay) certificateAgain(x *exchange, _ error) bool {
	body := rl.keptCertificate()
	if body == nil {
		return false
	}
	x.again(body, time.Time{})
	return true
}

func (rl *relay) hasCertificate(*exchange) bool { return rl.keptCertificate() != nil }

// keptCertificate is the vendor's answer with a certificate that is still good, or nil.
func (rl *relay) keptCertificate() []byte {
	if rl.kept == nil {
		return nil
	}
	body := rl.kept.certificate()
	cert, err := cloudapi.ReadCertificateAnswer(body)
	if err != nil || !time.Now().Before(cert.NotAfter) {
		return nil
	}
	return body
}

// again answers with what the vendor gave before.
func (x *exchange) again(body []byte, signed time.Time) {
	said := "yes"
	if !signed.IsZero() {
		said = signed.UTC().Format(time.RFC3339)
	}
	x.w.more = append(x.w.more, slog.String("kept", said))
	h := x.w.Header()
	h.Set(KeptHeader, said)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", mediaJSON+"; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(http.StatusOK)
	x.w.Write(body)
}
