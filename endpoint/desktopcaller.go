package endpoint

import (
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// desk is who asks, as far as their token tells.
type desk struct {
	user  license.UserID     // empty: not known yet
	email string             // may be empty
	proof *[sha256.Size]byte // of a SAML token
}

// identify finds out who asks and whether they may ask now, before anything costs. An
// OIDC token is verified here. A SAML token is the cloud's to judge: its own answer is
// the proof of it, and tells whose it is.
func (rl *relay) identify(x *exchange) error {
	room := func() error { return rl.e.heard(x.call) }
	if !x.rt.signedIn {
		return room() // it takes one once it is relayed: what is known here costs the vendor nothing
	}
	scheme, token, _ := strings.Cut(x.r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "SAML") {
		return rl.identifySAML(x, strings.TrimSpace(token), room)
	}
	caller, err := rl.auth.identify(x.ctx, x.r, room)
	meant := caller
	if err == nil {
		meant.User = rl.mirrored(caller.User)
		err = rl.foreign(&meant)
	}
	if err != nil {
		return rl.e.stranger(x.call, err)
	}
	x.caller, x.desk = meant, desk{user: meant.User, email: meant.Email}
	return rl.take(caller.Issuer + " " + string(caller.User))
}

// foreign is why a token is not taken of a user, as the mirror has them, whom another issuer
// vouches for. Whoever is nobody here is nobody to the rules either, and the vendor's to judge.
func (rl *relay) foreign(c *Caller) error {
	var no *authError
	rl.e.gw.View(func(s *license.State) { errors.As(stands(s, c), &no) })
	if no == nil {
		return nil
	}
	return no
}

func (rl *relay) identifySAML(x *exchange, token string, room func() error) error {
	if token == "" {
		return rl.e.stranger(x.call, &authError{tokenMissing})
	}
	proof := sha256.Sum256([]byte(token))
	x.desk.proof = &proof
	x.desk.user = rl.proofs.user(proof, time.Now())
	if x.desk.user == "" {
		if err := room(); err != nil {
			return err
		}
		return rl.takeUnsigned(x)
	}
	x.caller.User = x.desk.user
	return rl.take("saml " + string(x.desk.user))
}

// What an address may have relayed without a token that is known: it can be a
// whole floor behind NAT, where everybody comes at nine. Tokens that are not taken are
// counted apart.
const (
	unsignedPerSecond = 100
	unsignedBurst     = 2000
)

func (rl *relay) takeUnsigned(x *exchange) error {
	if wait, ok := rl.unsigned.take(hostOf(x.r.RemoteAddr)); !ok {
		rl.e.metrics.limited.Inc()
		return &trouble{code: api.CodeTooMany, after: wait}
	}
	return nil
}

// notTaken counts a token that the vendor does not take, as one that is not taken here.
func (rl *relay) notTaken(x *exchange) {
	if x.desk.proof != nil {
		rl.proofs.forget(*x.desk.proof)
		rl.e.denials.note("sign-in-denied", "saml", host(x.r.RemoteAddr))
		if from, ok := remoteOf(x.r.RemoteAddr); ok {
			rl.e.strays.pay(from, costForged)
		}
	}
}

func (rl *relay) take(who string) error {
	if wait, ok := rl.e.limits.take(who); !ok {
		rl.e.metrics.limited.Inc()
		return &trouble{code: api.CodeTooMany, after: wait}
	}
	return nil
}

// mirrored is a user's id as the mirror has it, whatever the case that a token or a policy has
// it in: the rules look at case.
func (rl *relay) mirrored(user license.UserID) license.UserID {
	is := user
	rl.e.gw.View(func(s *license.State) {
		for _, id := range []string{string(user), strings.ToLower(string(user)), strings.ToUpper(string(user))} {
			if s.User(license.UserID(id)) != nil {
				is = license.UserID(id)
				return
			}
		}
	})
	return is
}

// proven notes whose token it is, by what the vendor has signed, and until when its client
// goes by that.
func (rl *relay) proven(x *exchange, user license.UserID, until time.Time) {
	x.desk.user, x.caller.User = user, user
	if x.desk.proof != nil {
		rl.proofs.keep(*x.desk.proof, user, time.Now(), until)
	}
}

// The bounds of proofs.
const (
	// proofLife is how long a proof is good at most after the vendor has taken the token: as
	// long as the policy that came with it, by which its client goes on posting.
	proofLife = 7 * 24 * time.Hour
	maxProofs = 60_000
)

// proofs remembers whose a SAML token is, by its digest and for a while. It is no
// permission: the cloud judges the token each time.
type proofs struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]proof
}

type proof struct {
	user  license.UserID
	until time.Time
}

func newProofs() *proofs { return &proofs{known: map[[sha256.Size]byte]proof{}} }

func (p *proofs) user(digest [sha256.Size]byte, now time.Time) license.UserID {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.known[digest]; now.Before(known.until) {
		return known.user
	}
	return ""
}

// keep remembers a proof until then, and not longer than proofLife.
func (p *proofs) keep(digest [sha256.Size]byte, user license.UserID, now, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, there := p.known[digest]; !there {
		makeRoom(p.known, maxProofs, func(q proof) bool { return !now.Before(q.until) })
	}
	if most := now.Add(proofLife); until.After(most) {
		until = most
	}
	p.known[digest] = proof{user, until}
}

func (p *proofs) forget(digest [sha256.Size]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.known, digest)
}

// makeRoom drops one of a full map, and those of a few that are over.
func makeRoom[K comparable, V any](m map[K]V, most int, over func(V) bool) {
	if len(m) < most {
		return
	}
	looked := 0
	for k, v := range m {
		if looked == 0 || over(v) {
			delete(m, k)
		}
		if looked++; looked == 64 {
			return
		}
	}
}
