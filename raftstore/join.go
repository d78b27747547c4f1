package raftstore

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"golang.org/x/time/rate"

	"sitegate/license"
	"sitegate/siteca"
)

// Joining. A newcomer has a token and no certificate. On the peer port it shows
// itself by an ALPN name of its own; it gets a connection without a client's
// certificate, on which it can do one thing: say streamJoin and one joinRequest,
// and read one joinAnswer. Any member takes it; the leader decides.

const (
	streamJoin = 3
	// joinLimit is how long a newcomer may take, the cluster's decision included.
	joinLimit    = 25 * time.Second
	maxNewcomers = 4 // that are answered at once
)

// How often newcomers are looked at, those of one host and those of all; a secret has 160
// bits, so this is about work, not about guessing.
const (
	newcomerRate, newcomerBurst   = rate.Limit(2), 10
	newcomersRate, newcomersBurst = rate.Limit(40), 100
	newcomerHosts                 = 1024 // that are remembered
)

// newcomers counts those who ask to be let in, by host, so that one does not keep the
// others out.
type newcomers struct {
	mu    sync.Mutex
	all   *rate.Limiter // mu guards these
	hosts map[netip.Prefix]*rate.Limiter
}

func newNewcomers() *newcomers {
	return &newcomers{all: rate.NewLimiter(newcomersRate, newcomersBurst), hosts: map[netip.Prefix]*rate.Limiter{}}
}

// allow reports whether a newcomer from an address is looked at now.
func (n *newcomers) allow(from netip.Addr, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	host := hostOf(from)
	l := n.hosts[host]
	if l == nil {
		if len(n.hosts) >= newcomerHosts {
			n.evict(now)
		}
		l = rate.NewLimiter(newcomerRate, newcomerBurst)
		n.hosts[host] = l
	}
	return l.AllowN(now, 1) && n.all.AllowN(now, 1)
}

// evict forgets the hosts that may do again what one does that was never seen; where there
// are none, the one that is closest to it. n.mu is held.
func (n *newcomers) evict(now time.Time) {
	var closest netip.Prefix
	most := -1.0
	for host, l := range n.hosts {
		has := l.TokensAt(now)
		if has >= newcomerBurst {
			delete(n.hosts, host)
		}
		if has > most {
			closest, most = host, has
		}
	}
	delete(n.hosts, closest)
}

type joinRequest struct {
	Protocol uint64 `cbor:"1,keyasint"`
	Secret   []byte `cbor:"2,keyasint"`
	Node     string `cbor:"3,keyasint"`
	Instance string `cbor:"4,keyasint"`
	Address  string `cbor:"5,keyasint"` // where it will listen for its peers
	CSR      []byte `cbor:"6,keyasint"`
	Version  string `cbor:"7,keyasint,omitempty"`
	Level    uint32 `cbor:"130,keyasint,omitempty"` // that its program can do; zero is 1
	// PrivacyKey is the digest of the key for pseudonyms that the newcomer has; empty: it has
	// none.
	PrivacyKey []byte `cbor:"471,keyasint,omitempty"`
}

type joinAnswer struct {
	verdict
	Again       bool         `cbor:"3,keyasint,omitempty"` // nothing was decided: try again in a moment
	Certificate []byte       `cbor:"4,keyasint,omitempty"`
	Members     []joinMember `cbor:"5,keyasint,omitempty"`
	Tempo       string       `cbor:"6,keyasint,omitempty"`
	// Also are the certificates of CAs that are trusted beside the one with the pin.
	Also []byte `cbor:"420,keyasint,omitempty"`
	// AsOf is as of when they are: the newcomer reads all of the log, and earlier CAs in it
	// are not to be trusted any more.
	AsOf license.Time `cbor:"421,keyasint,omitempty"`
	// PrivacyKey is the key by which the cluster makes pseudonyms, for who has none. It is
	// in no log, no state and no backup.
	PrivacyKey []byte `cbor:"470,keyasint,omitempty"`
}

type joinMember struct {
	Name    string `cbor:"1,keyasint"`
	Address string `cbor:"2,keyasint"`
}

// IssueToken makes a join token that is good for so long. *Refused: this node has
// no peer port yet, or no node holds the CA's key.
func (s *Store) IssueToken(ctx context.Context, by string, life time.Duration) (Token, license.Time, error) {
	if s.Advertised() == "" || s.cfg.Keys == nil {
		return Token{}, 0, refusef("%s is alone and has no peer port yet: say at which address of this machine others reach it (--peer-listen).", s.cfg.Node)
	}
	addresses := []string{s.Advertised()}
	for _, m := range s.others() {
		addresses = append(addresses, m.address)
	}
	if s.cfg.Keys.Pin() != s.cfg.Keys.Newest() {
		return Token{}, 0, refusef("The site's CA is being replaced, and %s has no certificate by the new one yet: ask again in a moment.", s.cfg.Node)
	}
	t, err := newToken(s.identity.Cluster, s.cfg.Keys.Pin(), addresses)
	if err != nil {
		return Token{}, 0, err
	}
	c := license.IssueToken{Secret: t.Digest(), By: by, Until: s.Now().Add(life), NotAfter: s.Now().Add(30 * time.Second)}
	err = s.atLeader(ctx, true, func(ctx context.Context) error { return s.issueHere(ctx, c) },
		func(ctx context.Context, p *peer) error { return p.wish(ctx, methodToken, c) })
	return t, c.Until, err
}

func (s *Store) issueHere(ctx context.Context, c license.IssueToken) error {
	if s.cfg.Keys != nil {
		if err := s.maySign(); err != nil {
			return refusef("%v: ask again in a moment.", err)
		}
	}
	if s.cfg.Keys == nil || !s.cfg.Keys.Signs() {
		return refusef("%s leads and does not hold the key of the site's CA, so it could give a newcomer no certificate: put %s beside the CA's certificate in its data folder, and start it again.",
			s.cfg.Node, siteca.CAKeyFile)
	}
	_, err := s.decide(ctx, c)
	return err
}

// newcome answers somebody without a certificate. Until the request has come, in the time for
// a handshake, they are strangers like others; taken says that they are none any more.
func (s *Store) newcome(ctx context.Context, c *tls.Conn, taken func()) error {
	if err := c.SetDeadline(time.Now().Add(handshakeLimit)); err != nil {
		return err
	}
	var first [1]byte
	if _, err := io.ReadFull(c, first[:]); err != nil {
		return fmt.Errorf("a newcomer: %w", err)
	}
	if first[0] != streamJoin {
		return fmt.Errorf("a newcomer asks for service %d, which needs a certificate", first[0])
	}
	var r joinRequest
	if err := readMessage(c, s.codec, &r); err != nil {
		return fmt.Errorf("reading a newcomer's request: %w", err)
	}
	if err := c.SetDeadline(time.Now().Add(joinLimit + handshakeLimit)); err != nil {
		return err
	}
	a := joinAnswer{Again: true}
	if s.roster.newcomers.allow(addrOf(c), time.Now()) {
		select {
		case s.roster.atDoor <- struct{}{}:
			taken()
			ctx, cancel := context.WithTimeout(ctx, joinLimit)
			a = s.join(ctx, r)
			cancel()
			<-s.roster.atDoor
		default:
		}
	}
	level := slog.LevelDebug
	if a.Certificate != nil || s.mux.lines.Allow() {
		level = slog.LevelInfo
	}
	s.log.Log(ctx, level, "a newcomer was answered", "remote", c.RemoteAddr().String(), "peer", r.Node, "address", r.Address,
		"joined", a.Certificate != nil, "denial", reasonOf(a.Denial), "refused", a.Refused)
	return writeMessage(c, s.codec, a)
}

// join has the leader decide about a newcomer.
func (s *Store) join(ctx context.Context, r joinRequest) (a joinAnswer) {
	select {
	case <-s.up:
	case <-ctx.Done():
		return joinAnswer{Again: true}
	}
	err := s.atLeader(ctx, true, func(ctx context.Context) (err error) {
		a, err = s.joinHere(ctx, r)
		return err
	}, func(ctx context.Context, p *peer) error { return p.ask(ctx, methodJoin, r, &a) })
	if err == nil {
		return a
	}
	v, err := verdictOf(err)
	if err != nil { // what went wrong here is nobody's business there
		s.log.Warn("a newcomer could not be let in", "peer", r.Node, "err", err)
		return joinAnswer{Again: true}
	}
	return joinAnswer{verdict: v}
}

// check says what is wrong with a request before anything is looked up.
func (r joinRequest) check() error {
	switch {
	case r.Protocol != protocol:
		return refusef("The newcomer speaks version %d of the node protocol, this cluster %d: install the same version of sitegate on it.", r.Protocol, protocol)
	case !nodeName.MatchString(r.Node) || !nodeName.MatchString(r.Instance):
		return refusef("%.80q cannot be the name of a node: use letters, digits, dots and dashes.", r.Node)
	case len(r.Version) > 100:
		return refusef("The newcomer's version is too long.")
	}
	if err := checkAddress(r.Address); err != nil {
		return refusef("The newcomer's peer port: %v.", err)
	}
	return nil
}

// joinHere lets a newcomer in, as the leader: the token is used up by an entry of
// the log, then the node comes on the list without a vote. The same newcomer may
// ask again, whatever became of its first request.
func (s *Store) joinHere(ctx context.Context, r joinRequest) (joinAnswer, error) {
	if err := r.check(); err != nil {
		return joinAnswer{}, err
	}
	if err := s.checkLevel(r); err != nil {
		return joinAnswer{}, err
	}
	key, err := siteca.KeyDigest(r.CSR)
	if err != nil {
		return joinAnswer{}, refusef("The newcomer's request for a certificate: %v.", err)
	}
	if s.cfg.Keys == nil || !s.cfg.Keys.Signs() && !s.rekeyNow().Going() {
		return joinAnswer{}, refusef("%s leads and does not hold the key of the site's CA, so it can give no certificate.", s.cfg.Node)
	}
	if err := s.maySign(); err != nil {
		return joinAnswer{}, err // it asks again
	}
	members := s.configured()
	listed := slices.IndexFunc(members, func(m member) bool { return m.name == r.Node })
	if i := slices.IndexFunc(members, func(m member) bool { return m.address == r.Address && m.name != r.Node }); i >= 0 {
		return joinAnswer{}, refusef("The newcomer says that it is reached at %s, where %s is.", r.Address, members[i].name)
	}
	c := license.Join{Secret: sha256.Sum256(r.Secret), Node: r.Node, Instance: r.Instance, Key: key}
	var denial *license.Denial
	unknown := false
	now := s.Now()
	s.View(func(st *license.State) { denial, unknown = license.Check(st, now, c), st.Node(r.Node) == nil })
	switch { // before there is an entry for it
	case denial != nil:
		return joinAnswer{}, &Denied{*denial}
	case listed >= 0 && unknown: // a member that was never heard of
		return joinAnswer{}, &Denied{license.Denial{Reason: license.NodeKnown, Node: r.Node}}
	case listed < 0 && len(members) >= maxMembers:
		return joinAnswer{}, refusef("This cluster has %d nodes, and takes no more: each one more makes it slower, and none safer.", len(members))
	}
	if len(s.cfg.PrivacyKey) > 0 && len(r.PrivacyKey) > 0 && !hmac.Equal(r.PrivacyKey, privacyDigest(s.cfg.PrivacyKey)) {
		return joinAnswer{}, refusef("The newcomer has another key for pseudonyms than %s, so that people would go by other names on each of them. "+
			"Move its privacy.key out of the data folder, or take privacy.key_file out of its configuration: it is given the cluster's when it joins.", s.cfg.Node)
	}
	out, err := s.decide(ctx, c)
	if err != nil {
		return joinAnswer{}, err
	}
	cert, err := s.certify(r.CSR, r.Node, out.Node.Generation)
	if err != nil {
		return joinAnswer{}, err
	}
	if listed < 0 || members[listed].address != r.Address && !members[listed].voter {
		if err := s.changeMembers(ctx, s.raft.AddNonvoter(raft.ServerID(r.Node), raft.ServerAddress(r.Address), 0, enqueueWithin)); err != nil {
			return joinAnswer{}, err
		}
		s.rebook()
		s.log.Info("a node has joined, and gets a vote when it has caught up", "peer", r.Node, "address", r.Address, "version", r.Version)
	}
	a := joinAnswer{Certificate: cert, Tempo: string(s.cfg.Tempo)}
	if len(r.PrivacyKey) == 0 {
		a.PrivacyKey = s.cfg.PrivacyKey
	}
	if r := s.rekeyNow(); len(r.Root) > 0 {
		a.Also, a.AsOf = s.cfg.Keys.CAPEM(), r.AsOf()
	}
	for _, m := range s.members() {
		a.Members = append(a.Members, joinMember{m.name, m.address})
	}
	return a, nil
}

// privacyDigest is what a key for pseudonyms is told apart by.
func privacyDigest(key []byte) []byte {
	sum := sha256.Sum256(append([]byte("sitegate privacy key\n"), key...))
	return sum[:]
}

// handleMembers are the requests of this file and its neighbours.
func (s *Store) handleMembers(ctx context.Context, from string, m method, body []byte) ([]byte, error) {
	var answer any
	var err error
	read := func(into any) error {
		if err := s.codec.dec.Unmarshal(body, into); err != nil {
			return fmt.Errorf("reading a request of node %s: %w", from, err)
		}
		return nil
	}
	lead := func(into any, f func() error) error {
		if err := read(into); err != nil {
			return err
		}
		if err := s.awaitReign(ctx); err != nil {
			return err
		}
		return f()
	}
	var v verdict
	switch m {
	case methodAbout:
		answer = s.aboutThis()
	case methodLevel:
		answer = s.ownLevel()
	case methodJoin:
		var r joinRequest
		err = lead(&r, func() error {
			a, err := s.joinHere(ctx, r)
			if err != nil {
				a.verdict, err = verdictOf(err)
			}
			answer = a
			return err
		})
	case methodToken:
		var c license.IssueToken
		err = lead(&c, func() (err error) {
			c.By = license.SaidAt(c.By, from)
			v, err = verdictOf(s.issueHere(ctx, c))
			return err
		})
		answer = v
	case methodRemove:
		var r Removal
		err = lead(&r, func() (err error) {
			if r.Force { // it goes past the majority: no node has that done by another one
				err = refusef("A removal by force is asked of the node that leads, %s.", s.cfg.Node)
			} else {
				r.By = license.SaidAt(r.By, from)
				err = s.removeHere(ctx, r)
			}
			v, err = verdictOf(err)
			return err
		})
		answer = v
	case methodLeave:
		var nothing struct{}
		err = lead(&nothing, func() (err error) {
			v, err = verdictOf(s.removeHere(ctx, Removal{Node: from, By: from, Note: "has left"}))
			return err
		})
		answer = v
	case methodRekey:
		var r Rekey
		err = lead(&r, func() (err error) {
			r.By = license.SaidAt(r.By, from)
			v, err = verdictOf(s.rekeyHere(ctx, r))
			return err
		})
		answer = v
	case methodStepDown:
		err = s.StepDown(ctx)
		answer = v
	case methodDrain:
		var w drainWish
		if err = read(&w); err == nil {
			v, err = verdictOf(s.drainFor(ctx, from, w.Over))
		}
		answer = v
	case methodMoved:
		var a moved
		err = lead(&a, func() error { return s.moveHere(ctx, from, a.Address) })
		answer = v
	case methodSign:
		var r toSign
		var a signed
		err = lead(&r, func() (err error) { a.Certificate, err = s.signHere(from, r.CSR); return err })
		answer = a
	case methodCAKey:
		var a signed
		a.Certificate, err = s.caKeyFor(from)
		answer = a
	default:
		return nil, fmt.Errorf("node request %d is not known here; is this node older?", m)
	}
	if err != nil {
		return nil, err
	}
	return s.codec.enc.Marshal(answer)
}
