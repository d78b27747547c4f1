package raftstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"time"

	"sitegate/license"
	"sitegate/siteca"
)

// Certificates. The CA's key lies with the nodes that vote; whichever of them leads
// signs. A node asks for its next certificate in time, and shows it from then on.

const (
	// keysEvery is how many looks of the roster are between two at the keys.
	keysEvery = 10
	// complainEvery is how often a node says that its certificate is not renewed.
	complainEvery = time.Hour
)

// seeToKeys renews this node's certificate when it is due, and fetches the CA's key
// for a node that votes.
func (s *Store) seeToKeys(look int) {
	k := s.cfg.Keys
	going := s.rekeyNow()
	if k == nil || look%keysEvery != 0 && !going.Going() {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, serveLimit)
	defer cancel()
	if !k.Signs() && s.votes() {
		s.fetchCAKey(ctx, k)
	}
	// A node that goes on from a backup, on a machine with a certificate of its own
	// making, is of a later generation than that says.
	generation := uint64(0)
	s.View(func(st *license.State) {
		if n := st.Node(s.cfg.Node); n != nil && n.Instance == s.identity.Instance {
			generation = n.Generation
		}
	})
	if !k.Due(s.cfg.Hosts, s.cfg.Clock()) && generation <= k.Generation() {
		return
	}
	before := k.Expires()
	if err := s.renewKeys(ctx, k); err != nil {
		if begins := going.Going() && s.Now() < going.Since.Add(rekeyPatience); !begins && time.Since(s.roster.complained) > complainEvery {
			s.roster.complained = time.Now()
			s.log.Warn("this node's certificate could not be renewed; it will be tried again", "ends", before, "err", err)
		}
		return
	}
	s.log.Info("this node's certificate was renewed", "ended", before, "ends", k.Expires())
}

func (s *Store) votes() bool {
	return slices.ContainsFunc(s.configured(), func(m member) bool { return m.voter && m.name == s.cfg.Node })
}

func (s *Store) renewKeys(ctx context.Context, k *siteca.Keys) error {
	csr, err := k.Request(s.cfg.Hosts)
	if err != nil {
		return err
	}
	var cert []byte
	err = s.atLeader(ctx, true, func(context.Context) error {
		cert, err = s.signHere(s.cfg.Node, csr)
		return err
	}, func(ctx context.Context, p *peer) error {
		var a signed
		if err := p.ask(ctx, methodSign, toSign{csr}, &a); err != nil {
			return err
		}
		cert = a.Certificate
		return nil
	})
	if err != nil {
		return err
	}
	return k.Renew(cert)
}

// toSign asks for a certificate; whose it is, the connection says.
type toSign struct {
	CSR []byte `cbor:"1,keyasint"`
}

type signed struct {
	Certificate []byte `cbor:"1,keyasint"`
}

// signHere signs for a member, in the generation that is on record.
func (s *Store) signHere(node string, csr []byte) ([]byte, error) {
	k := s.cfg.Keys
	if k == nil {
		return nil, siteca.ErrNoCAKey
	}
	key, err := siteca.KeyDigest(csr)
	if err != nil {
		return nil, err
	}
	generation, removed, other := uint64(0), false, false
	s.View(func(st *license.State) {
		if n := st.Node(node); n != nil {
			generation, removed = n.Generation, n.Removed != 0
			other = st.Head().CAOut != 0 && n.Key != license.Digest{} && n.Key != key
		}
	})
	if other {
		return nil, fmt.Errorf("node %s asks for a certificate of another key than the one on record", node)
	}
	if removed || !slices.ContainsFunc(s.configured(), func(m member) bool { return m.name == node }) {
		return nil, fmt.Errorf("node %s is not a member", node)
	}
	return s.certify(csr, node, generation)
}

// fetchCAKey asks the other voters for the CA's key, one after the other.
func (s *Store) fetchCAKey(ctx context.Context, k *siteca.Keys) {
	for _, m := range s.others() {
		if x, ok := s.sightingOf(m.name); !m.voter || !ok || !x.Signs || x.Newest != k.Newest() || !s.well(m.name) {
			continue
		}
		var a signed
		err := s.peer(m.name, m.address).ask(ctx, methodCAKey, struct{}{}, &a)
		if err == nil {
			err = k.TakeCAKey(a.Certificate)
		}
		if err == nil {
			s.log.Info("this node votes, and holds the key of the site's CA now", "from", m.name)
			return
		}
		s.log.Warn("the key of the site's CA could not be taken over", "peer", m.name, "err", err)
	}
}

// caKeyFor hands the CA's key to a member that votes.
func (s *Store) caKeyFor(node string) ([]byte, error) {
	if s.cfg.Keys == nil {
		return nil, siteca.ErrNoCAKey
	}
	if !slices.ContainsFunc(s.configured(), func(m member) bool { return m.voter && m.name == node }) {
		return nil, errors.New("only nodes that vote hold the key of the site's CA")
	}
	return s.cfg.Keys.CAKey()
}

func (s *Store) newcomerTLS(k *siteca.Keys) *tls.Config {
	if k == nil {
		return nil
	}
	return k.NewcomerTLS()
}
