package license

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"time"
)

// The bounds of what is remembered of the site's CA.
const (
	// MaxOverlap is how long the CA that is replaced may stay trusted.
	MaxOverlap = 400 * 24 * time.Hour
	// maxCertificate bounds a certificate of a CA, in bytes.
	maxCertificate = 4 << 10
)

// Rekeying is how the site's CA was replaced last, and how far that is. Its zero value: it
// was not, or the site went on from a backup since, by the CA of the one node that was left.
// Certificates are in DER form, and nothing here reads them. No key is in the state.
type Rekeying struct {
	Root []byte `cbor:"420,keyasint,omitempty"` // the certificate of the CA, the new one
	// Before is that of the CA whose place it takes, which is trusted among nodes as long
	// as it is here.
	Before []byte `cbor:"421,keyasint,omitempty"`
	// Voucher is the new CA's key, certified by the one before.
	Voucher []byte `cbor:"422,keyasint,omitempty"`
	Since   Time   `cbor:"423,keyasint,omitempty"`
	// Until is when the one before is trusted no more, whoever has no certificate by the
	// new one then; and when the voucher ends.
	Until Time   `cbor:"424,keyasint,omitempty"`
	By    string `cbor:"425,keyasint,omitempty"`
	Note  string `cbor:"426,keyasint,omitempty"` // why
	// Out: a node was removed meanwhile that may have had the new CA's key as well.
	Out bool `cbor:"427,keyasint,omitempty"`
	// Over is since when the one before is not trusted any more. Left are the nodes that had
	// no certificate by the new one then: they come back by a join token only.
	Over Time     `cbor:"428,keyasint,omitempty"`
	Left []string `cbor:"429,keyasint,omitempty"`
}

// Going reports whether both CAs are trusted.
func (r Rekeying) Going() bool { return len(r.Before) > 0 }

// AsOf is the time of what was decided last about it.
func (r Rekeying) AsOf() Time { return max(r.Since, r.Over) }

// RootDigest names a CA by its certificate; zero: there is none.
func RootDigest(root []byte) Digest {
	if len(root) == 0 {
		return Digest{}
	}
	return sha256.Sum256(root)
}

// Rekey has a new CA take the place of the site's: from then on nodes trust both, and
// whoever has the old one's key is not taken for a node by that alone. Join tokens that are
// open are void, since they name the old one.
type Rekey struct {
	Root    []byte `cbor:"420,keyasint"`
	Before  []byte `cbor:"421,keyasint"`
	Voucher []byte `cbor:"422,keyasint"`
	Until   Time   `cbor:"424,keyasint"`
	By      string `cbor:"425,keyasint"`
	Note    string `cbor:"426,keyasint"`
	// Instead names the new CA that is given up for this one, since its key is lost; zero:
	// none is about to take the place.
	Instead Digest `cbor:"427,keyasint,omitzero"`
}

// EndRekey says that the CA before is trusted no more: all members have a certificate by the
// new one, or the time is over.
type EndRekey struct {
	Root Digest   `cbor:"420,keyasint"`
	Left []string `cbor:"429,keyasint,omitempty"` // members without one, in order
}

// RekeyBegan: nodes trust both CAs.
type RekeyBegan struct {
	Root    Digest `cbor:"420,keyasint"`
	Until   Time   `cbor:"424,keyasint,omitempty"`
	By      string `cbor:"425,keyasint,omitempty"`
	Note    string `cbor:"426,keyasint,omitempty"`
	Instead Digest `cbor:"427,keyasint,omitzero"`
}

// RekeyEnded: nodes trust the new CA only.
type RekeyEnded struct {
	Root Digest   `cbor:"420,keyasint"`
	Left []string `cbor:"429,keyasint,omitempty"`
}

func (RekeyBegan) fact() {}
func (RekeyEnded) fact() {}

func (c Rekey) decide(s *State, at Time) *Denial {
	for _, cert := range [][]byte{c.Root, c.Before, c.Voucher} {
		if len(cert) == 0 || len(cert) > maxCertificate {
			return deny(BadCommand)
		}
	}
	r := &s.head.Rekeying
	switch {
	case c.By == "" || c.Note == "" || !validName(c.By) || !validName(c.Note), bytes.Equal(c.Root, c.Before):
		return deny(BadCommand)
	case bytes.Equal(c.Root, r.Root):
		return nil // the answer was lost
	case c.Until <= at || c.Until > at.Add(MaxOverlap):
		return deny(BadCommand)
	case r.Going() && (c.Instead != RootDigest(r.Root) || !bytes.Equal(c.Before, r.Before)):
		return deny(BadCommand) // another one came first
	case !r.Going() && (c.Instead != Digest{} || len(r.Root) > 0 && !bytes.Equal(c.Before, r.Root)):
		return deny(BadCommand)
	}
	return nil
}

func (c Rekey) do(s *State, at Time) Outcome {
	r := &s.head.Rekeying
	if bytes.Equal(c.Root, r.Root) {
		return Outcome{Repeat: true}
	}
	out := r.Going() && r.Out
	*r = Rekeying{Root: c.Root, Before: c.Before, Voucher: c.Voucher, Since: at, Until: c.Until, By: c.By, Note: c.Note, Out: out}
	if s.head.CAOut == 0 {
		s.head.CAOut = at
	}
	s.voidTokens(at)
	s.emit(RekeyBegan{Root: RootDigest(c.Root), Until: c.Until, By: c.By, Note: c.Note, Instead: c.Instead})
	return Outcome{}
}

func (c EndRekey) decide(s *State, at Time) *Denial {
	r := &s.head.Rekeying
	switch {
	case len(r.Root) == 0 || c.Root != RootDigest(r.Root),
		len(c.Left) > MaxNodes || !validNode(c.Left...) || !slices.IsSorted(c.Left):
		return deny(BadCommand)
	case r.Going() && len(c.Left) > 0 && at < r.Until:
		return deny(BadCommand)
	}
	return nil
}

func (c EndRekey) do(s *State, at Time) Outcome {
	r := &s.head.Rekeying
	if !r.Going() {
		return Outcome{Repeat: true}
	}
	r.Before, r.Over, r.Left = nil, at, c.Left
	if !r.Out {
		s.head.CAOut = 0 // its key is of no use any more
	}
	s.emit(RekeyEnded(c))
	return Outcome{}
}
