package endpoint

import (
	"crypto/sha256"
	"crypto/x509"
	"strings"
	"sync"
	"time"

	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// verifiedPolicies remembers the policies that were taken apart and verified, by the digest of
// the answer they came in: a client asks again long before its policy ends, and the same bytes
// have the same signature and say the same. It is no permission: the vendor is asked each time,
// and whose the policy is, its dates and what it allows are looked at each time. It is this
// node's, and lost with it.
type verifiedPolicies struct {
	mu    sync.Mutex // guards all below
	known map[[sha256.Size]byte]verifiedPolicy
	size  int // of the answers, in bytes
}

// verifiedPolicy is one that was verified.
type verifiedPolicy struct {
	policy *cloudapi.SignedPolicy // which nobody changes
	by     *x509.Certificate
	who    verifiedFor
	size   int
}

// verifiedFor is who asked when it was.
type verifiedFor struct {
	user    license.UserID
	machine string // its name, folded
}

// The bounds of verifiedPolicies. What is remembered of a policy takes some five times its
// answer.
const (
	maxVerified      = 10_000
	maxVerifiedBytes = 12 << 20
)

func newVerifiedPolicies() *verifiedPolicies {
	return &verifiedPolicies{known: map[[sha256.Size]byte]verifiedPolicy{}}
}

func (x *exchange) verifiedFor() verifiedFor {
	return verifiedFor{x.desk.user, strings.ToLower(x.machine.Name)}
}

// find returns the policy of an answer that was verified for who asks; false: it was not.
func (v *verifiedPolicies) find(digest [sha256.Size]byte, who verifiedFor) (verifiedPolicy, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	p, there := v.known[digest]
	return p, there && p.who == who
}

// keep remembers a policy, in place of others where there are too many. Of nobody's it
// remembers none.
func (v *verifiedPolicies) keep(digest [sha256.Size]byte, p verifiedPolicy, now time.Time) {
	if p.who.user == "" || p.size > maxVerifiedBytes {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.drop(digest)
	looked := 0
	for d, other := range v.known { // any, and those of a few that are over
		if full := len(v.known) >= maxVerified || v.size+p.size > maxVerifiedBytes; full || now.After(other.policy.Expires) {
			v.drop(d)
		} else if looked++; looked == 16 {
			break
		}
	}
	v.known[digest] = p
	v.size += p.size
}

// forget forgets all that was verified for a user.
func (v *verifiedPolicies) forget(user license.UserID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for d, p := range v.known {
		if p.who.user == user {
			v.drop(d)
		}
	}
}

// drop forgets one, if it is there. The caller holds mu.
func (v *verifiedPolicies) drop(digest [sha256.Size]byte) {
	v.size -= v.known[digest].size
	delete(v.known, digest)
}

// verifiedBefore is the policy of an answer that was verified before for who asks, by the
// certificate that the vendor signs with now, and was not taken back since; nil: there is none,
// and it has to be verified.
func (rl *relay) verifiedBefore(x *exchange, digest [sha256.Size]byte) *cloudapi.SignedPolicy {
	v, there := rl.verified.find(digest, x.verifiedFor())
	if !there || !rl.signers.signsWith(v.by) {
		return nil
	}
	var revoked license.Time
	rl.e.gw.View(func(s *license.State) { revoked = license.RevokedAt(s, x.desk.user) })
	if license.TimeOf(whenSigned(v.policy)) <= revoked {
		return nil
	}
	return v.policy
}
