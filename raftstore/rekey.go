package raftstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"sitegate/license"
	"sitegate/siteca"
)

// Replacing the site's CA, while the cluster works. The leader makes the new CA; the log
// says that both are trusted, and has their certificates, never a key. From then on a node
// counts only by the key on record, so that whoever has the old CA's key is nobody. The
// other voters fetch the new key from each other. Once a majority of them holds it, the
// leader signs by it: before, nothing would be left of what it had signed if its disk
// were lost. Each node asks for its certificate anew; when all have one, or the time is
// over, the leader says that the old CA is trusted no more, and its key goes.
//
// A node that was off meanwhile does not know the new CA yet. The others show it, with
// their certificates, the voucher that the old one has given the new one.

// rekeyPatience is how long members may take to get their certificates anew before that
// is a thing to complain of.
const rekeyPatience = time.Minute

// seenWithin is how long a leader waits for members that it has not heard of before it leaves
// them behind: after a stop of the whole site they begin together.
const seenWithin = 15 * time.Second

// rekeying is what a node keeps of it in memory.
type rekeying struct {
	making     sync.Mutex // one at a time
	following  sync.Mutex // one at a time, so that an earlier state never comes last
	complained time.Time  // following guards it
}

// Rekey is the wish to replace the site's CA.
type Rekey struct {
	By      string        `cbor:"1,keyasint"`
	Note    string        `cbor:"2,keyasint"` // why
	Overlap time.Duration `cbor:"3,keyasint"` // how long the old CA stays trusted at the most, and vouches for the new one
	// CutOff: also while clients may know only the CA before the one that is replaced now,
	// which nothing vouches for any more then.
	CutOff bool `cbor:"460,keyasint,omitempty"`
}

// Rekey replaces the site's CA. It returns once the log has it; Replacement says how far it
// is. *Refused: it cannot be begun as things are.
func (s *Store) Rekey(ctx context.Context, r Rekey) error {
	return s.atLeader(ctx, false, func(ctx context.Context) error { return s.rekeyHere(ctx, r) },
		func(ctx context.Context, p *peer) error { return p.wish(ctx, methodRekey, r) })
}

// rekeyHere begins it as the leader.
func (s *Store) rekeyHere(ctx context.Context, r Rekey) error {
	s.rekey.making.Lock()
	defer s.rekey.making.Unlock()
	k := s.cfg.Keys
	if k == nil {
		return refusef("%s goes by certificates that its operator has made, and has no CA.", s.cfg.Node)
	}
	if r.By == "" || r.Note == "" || r.Overlap <= 0 || r.Overlap > license.MaxOverlap {
		return refusef("Say who replaces the site's CA, why, and for how long the old one is still trusted, %s at the most.", license.MaxOverlap)
	}
	if err := s.Fresh(ctx); err != nil { // what was asked before is in the state by now
		return err
	}
	instead, err := s.mayRekey()
	if err != nil {
		return err
	}
	if last := s.rekeyNow(); !last.Going() && len(last.Voucher) > 0 && s.Now() < last.Until && !r.CutOff {
		return refusef("The site's CA was replaced already, on %s by %s, and clients that trust only the one before it are served until %s. They are cut off by another one: "+
			"wait until then, or give all of them the new one and say --cut-off.", last.Since, last.By, last.Until)
	}
	var names []string
	for _, m := range s.configured() {
		names = append(names, m.name)
	}
	if missing := s.record(ctx, names, ""); len(missing) > 0 {
		return refusef("It is not on record yet which machine is %s, and who is not on record is refused while the site's CA is replaced. "+
			"Have it run for a few seconds, or remove it first if it is gone.", strings.Join(missing, " or "))
	}
	until := s.Now().Add(r.Overlap)
	next, err := k.Succeed(s.cfg.Clock(), s.cfg.Clock().Add(r.Overlap))
	if errors.Is(err, siteca.ErrNoCAKey) {
		return refusef("%s leads and does not hold the key of the site's CA, which is to vouch for the new one: put %s beside the CA's certificate in its data folder, and start it again.", s.cfg.Node, siteca.CAKeyFile)
	} else if err != nil {
		return err
	}
	_, err = s.decide(ctx, license.Rekey{Root: next.Root, Before: next.Before, Voucher: next.Voucher, Until: until, By: r.By, Note: r.Note, Instead: instead})
	if err == nil {
		s.log.Warn("the site's CA is being replaced: clients that trust it need the new one", "by", r.By, "note", r.Note, "until", until.String(), "fingerprint", siteca.Fingerprint(next.Root))
	}
	return err
}

// mayRekey says which new CA is given up for another one: one that was to come, and whose
// key no node that runs has.
func (s *Store) mayRekey() (instead license.Digest, err error) {
	now := s.rekeyNow()
	if !now.Going() {
		return license.Digest{}, nil
	}
	root := license.RootDigest(now.Root)
	var without []string
	voters := 0
	for _, m := range s.configured() {
		if !m.voter {
			continue
		}
		voters++
		switch x, known := s.said(m.name); {
		case known && x.Newest == root && x.Signs:
			return instead, refusef("The site's CA is being replaced already, since %s by %s: see sitegate cluster members.", now.Since, now.By)
		case known && x.Newest == root && s.well(m.name):
			without = append(without, m.name)
		}
	}
	if len(without) <= voters/2 {
		return instead, refusef("The site's CA is being replaced already, since %s by %s, and not enough nodes say whether they hold the new key: "+
			"have most of them run, and ask again.", now.Since, now.By)
	}
	return root, nil // nothing was signed by it: for that a majority would have to hold its key
}

// rekeyNow is how the site's CA was replaced last.
func (s *Store) rekeyNow() (r license.Rekeying) {
	s.View(func(st *license.State) { r = st.Head().Rekeying })
	return r
}

// said is what a member says of itself.
func (s *Store) said(name string) (about, bool) {
	if name == s.cfg.Node {
		return s.aboutThis(), true
	}
	x, ok := s.sightingOf(name)
	return x.about, ok
}

// followCA has this node trust the CAs that the state says. *Refused: the one that this
// node's certificate is by is trusted no more.
func (s *Store) followCA() error {
	k := s.cfg.Keys
	if k == nil {
		return nil
	}
	s.rekey.following.Lock()
	defer s.rekey.following.Unlock()
	r := s.rekeyNow()
	switch root := license.RootDigest(r.Root); {
	case len(r.Root) == 0:
		return s.settleCA()
	case int64(r.AsOf()) < k.AsOf(): // the latter: this node's log is behind its folder
		return nil
	case !r.Going() && k.Pin() != root:
		return refusef("%s", leftText(&r, s.cfg.Node))
	case k.Newest() == root && len(k.CAs()) == 1 && !r.Going():
		return nil
	}
	roots := [][]byte{r.Root}
	if r.Going() {
		roots = append(roots, r.Before)
	}
	if s.mux != nil {
		s.mux.recheck() // who has the old CA's key goes before there is anything new to be had
	}
	return k.Trust(int64(r.AsOf()), roots...)
}

// settleCA ends a replacement of the site's CA that the site was in when it went on from a
// backup, or from a node that was left: nobody would say any more that it is over, and two
// CAs would be trusted for good. What counts from then on is the CA that this node's own
// certificate is by; of the other one the key goes, too. Whoever joins a site that has
// replaced its CA since then has been told of that, which is later, and keeps what it was told
// until it has read so far.
func (s *Store) settleCA() error {
	k := s.cfg.Keys
	var restored license.Restoration
	s.View(func(st *license.State) { restored = st.Head().Restored })
	if restored.At == 0 || len(k.CAs()) < 2 || int64(restored.At) < k.AsOf() {
		return nil
	}
	own, before := k.Issuer(), k.CAs()
	if err := k.Trust(int64(restored.At), own.Raw); err != nil {
		return err
	}
	for _, ca := range before {
		if !ca.Equal(own) {
			s.log.Warn("the site went on in the middle of a replacement of its CA: that is over, and only the CA is trusted that this node's certificate is by; "+
				"clients that trust only the other one need this one", "fingerprint", siteca.Fingerprint(own.Raw), "dropped", siteca.Fingerprint(ca.Raw))
		}
	}
	if s.mux != nil {
		s.mux.recheck()
	}
	return nil
}

func (s *Store) followCAOrHalt() {
	err := s.followCA()
	var r *Refused
	if errors.As(err, &r) {
		s.halt(err)
		return
	}
	s.rekey.following.Lock()
	defer s.rekey.following.Unlock()
	if err != nil && time.Since(s.rekey.complained) > complainEvery {
		s.rekey.complained = time.Now()
		s.log.Error("this node does not go by the site's new CA yet; it will be tried again", "err", err)
	}
}

// leftBehind says that a node had no certificate by the new CA when the old one was dropped,
// and has not joined since.
func leftBehind(r *license.Rekeying, name string, generation uint64, n *license.Node) error {
	if !slices.ContainsFunc(r.Left, func(left string) bool { return strings.EqualFold(left, name) }) ||
		n != nil && (n.Since > r.Over || generation > n.Generation) {
		return nil
	}
	return errors.New(leftText(r, name))
}

func leftText(r *license.Rekeying, node string) string {
	return fmt.Sprintf("the site's CA was replaced on %s (%s), and %s has no certificate by the new one: "+
		"remove it on another node, sitegate cluster remove %s, move its data folder away, and join again with a token: sitegate cluster join", r.Since.Std().Format(dateLayout), r.Note, node, node)
}

// maySign says why nothing is signed yet by the CA that is new.
func (s *Store) maySign() error {
	r := s.rekeyNow()
	if !r.Going() {
		return nil
	}
	root := license.RootDigest(r.Root)
	if s.cfg.Keys.Newest() != root || !s.cfg.Keys.Signs() {
		return fmt.Errorf("the site's CA is being replaced, and %s leads and does not hold the new one's key yet", s.cfg.Node)
	}
	voters, holders := 0, 0
	for _, m := range s.configured() {
		if !m.voter {
			continue
		}
		voters++
		if x, known := s.said(m.name); known && x.Newest == root && x.Signs {
			holders++
		}
	}
	if holders <= voters/2 {
		return fmt.Errorf("the site's CA is being replaced, and the new one's key is on %d of %d voters yet", holders, voters)
	}
	return nil
}

// certify signs by the newest CA. The voucher comes along as long as it is good.
func (s *Store) certify(csr []byte, node string, generation uint64) ([]byte, error) {
	if err := s.maySign(); err != nil {
		return nil, err
	}
	cert, err := s.cfg.Keys.Sign(csr, node, generation, s.cfg.Clock())
	if r := s.rekeyNow(); err == nil && len(r.Voucher) > 0 && s.Now() < r.Until && s.cfg.Keys.Newest() == license.RootDigest(r.Root) {
		cert = siteca.Vouched(cert, r.Voucher)
	}
	return cert, err
}

// uncertified are the members that have no certificate by the new CA, as far as is known,
// in order, and whether most voters have one.
func (s *Store) uncertified(r *license.Rekeying, members []member) (names []string, most bool) {
	root := license.RootDigest(r.Root)
	voters, have := 0, 0
	for _, m := range members {
		x, known := s.said(m.name)
		certified := known && x.By == root
		if !certified {
			names = append(names, m.name)
		}
		if m.voter {
			voters++
			if certified {
				have++
			}
		}
	}
	slices.Sort(names)
	return names, have > voters/2
}

// endRekey has the old CA trusted no more once all members can do without it; or when the
// time is over, while most voters can.
func (s *Store) endRekey(ctx context.Context, members []member) {
	r := s.rekeyNow()
	if !r.Going() {
		return
	}
	left, most := s.uncertified(&r, members)
	if !most || len(left) > 0 && (s.Now() < r.Until || time.Since(s.roster.since) < seenWithin) {
		return
	}
	out, err := s.Propose(ctx, license.EndRekey{Root: license.RootDigest(r.Root), Left: left})
	if err != nil || out.Denial != nil {
		s.log.Warn("the site's old CA could not be dropped", "denial", reasonOf(out.Denial), "err", err)
		return
	}
	s.log.Warn("the site's old CA is not trusted among nodes any more", "fingerprint", siteca.Fingerprint(r.Before), "new", siteca.Fingerprint(r.Root), "left", strings.Join(left, " "))
}

// Replacement is how far the replacement of the site's CA is, as this node knows it.
type Replacement struct {
	license.Rekeying          // the zero value: there was none
	Waits            []string // members without a certificate by the new CA, while both are trusted
	Keyless          []string // voters without its key
}

// Replacement tells of the last one. Of those who were left behind it names members that
// have not joined since.
func (s *Store) Replacement() Replacement {
	members := s.configured()
	a := Replacement{Rekeying: s.rekeyNow()}
	if len(a.Root) == 0 {
		return a
	}
	if a.Going() {
		a.Waits, _ = s.uncertified(&a.Rekeying, members)
		root := license.RootDigest(a.Root)
		for _, m := range members {
			if x, known := s.said(m.name); m.voter && !(known && x.Newest == root && x.Signs) {
				a.Keyless = append(a.Keyless, m.name)
			}
		}
		return a
	}
	a.Left = nil
	s.View(func(st *license.State) {
		r := st.Head().Rekeying
		for _, m := range members {
			if n := st.Node(m.name); leftBehind(&r, m.name, 0, n) != nil {
				a.Left = append(a.Left, m.name)
			}
		}
	})
	return a
}
