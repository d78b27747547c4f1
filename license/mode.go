package license

import "net/netip"

// MaxModes is how many entries Settings.Modes may have.
const MaxModes = 64

// Mode sets how the rules are enforced for traffic that is relayed to the vendor's
// cloud, where the cloud still decides: a site can look at what would be refused
// before it refuses anything. It does not apply to requests of this gateway's own
// API.
type Mode struct {
	Product ProductID `cbor:"1,keyasint,omitempty"` // empty: every product
	// Network is the addresses it is for, as netip.Prefix writes them, with no bits
	// set beyond its length; empty: every address.
	Network string `cbor:"2,keyasint,omitempty"`
	// Observe: what would be refused is journalled, nothing is withheld and no hold
	// is opened. False: enforced.
	Observe bool `cbor:"3,keyasint,omitempty"`
}

// ModeOf finds the mode at a time for a product and the address its client has: the most
// specific entry of the settings, or the default, which enforces. An entry for the
// product goes before one for every product; among those the longer prefix goes
// first. An address that is not valid is in no network. While a bypass lasts, everything
// is observed.
func ModeOf(s *State, at Time, product ProductID, addr netip.Addr) Mode {
	if BypassAt(s, at).Until != 0 {
		return Mode{Observe: true}
	}
	best, rank := Mode{}, -1
	for _, m := range s.head.Settings.Modes {
		if r := m.rank(product, addr.Unmap()); r > rank {
			best, rank = m, r
		}
	}
	return best
}

// rank is how specific the entry is where it applies, or -1.
func (m Mode) rank(product ProductID, addr netip.Addr) int {
	rank := 0
	if m.Product != "" {
		if m.Product != product {
			return -1
		}
		rank = 1000
	}
	if m.Network != "" {
		p, err := netip.ParsePrefix(m.Network)
		if err != nil || !p.Contains(addr) {
			return -1
		}
		rank += 1 + p.Bits()
	}
	return rank
}

func (m Mode) valid() bool {
	if !validName(string(m.Product)) {
		return false
	}
	if m.Network == "" {
		return true
	}
	p, err := netip.ParsePrefix(m.Network)
	return err == nil && p.Masked().String() == m.Network && !p.Addr().Is4In6()
}

// validModes: bounded, each entry understood, and no two for the same.
func validModes(modes []Mode) bool {
	if len(modes) > MaxModes {
		return false
	}
	type about struct {
		product ProductID
		network string
	}
	seen := map[about]bool{}
	for _, m := range modes {
		at := about{m.Product, m.Network}
		if !m.valid() || seen[at] {
			return false
		}
		seen[at] = true
	}
	return true
}

// WouldRefuse journals a refusal that relayed traffic was spared because its mode
// only observes. Nothing else changes: no hold is opened. It is coalesced like
// Refused: one per user, machine and reason a minute.
type WouldRefuse struct {
	User    UserID  `cbor:"1,keyasint"`
	Machine Machine `cbor:"2,keyasint"` // that would have been refused
	Denial  Denial  `cbor:"3,keyasint"`
	Client  string  `cbor:"4,keyasint,omitempty"`
	Address string  `cbor:"5,keyasint,omitempty"` // of the client, as netip.Addr writes it
}

// WouldHaveRefused: a machine would have been refused, were the rules enforced for
// it.
type WouldHaveRefused struct {
	User    UserID  `cbor:"1,keyasint"`
	Machine Machine `cbor:"2,keyasint"`
	Denial  Denial  `cbor:"3,keyasint"`
	Client  string  `cbor:"4,keyasint,omitempty"`
	Address string  `cbor:"5,keyasint,omitempty"`
}

func (c WouldRefuse) decide(s *State, at Time) *Denial {
	if d := (Refused{User: c.User, Machine: c.Machine, Denial: c.Denial, Client: c.Client}).decide(s, at); d != nil {
		return d
	}
	if c.Address == "" {
		return nil
	}
	if a, err := netip.ParseAddr(c.Address); err != nil || a.String() != c.Address || len(c.Address) > MaxName {
		return deny(BadCommand)
	}
	return nil
}

func (c WouldRefuse) do(s *State, _ Time) Outcome {
	s.emit(WouldHaveRefused(c))
	return Outcome{}
}
