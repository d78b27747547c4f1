package license

import (
	"maps"
	"slices"
	"time"
)

// While the vendor cannot be asked, each node serves the last policies again that it has
// relayed. What the vendor has taken back since, it may have told another node. So a
// node that hears it tells all of them, by the log.

// The bounds of revocations.
const (
	MaxRevoked      = 20_000 // users; of more the oldest are one for everybody
	MaxRevokedAtOne = 500    // in one command
	maxRevokedAhead = 24 * time.Hour
)

// Revocation is that the vendor would let a user use something no more, or does not take their
// token. Without a user: it is one for everybody.
type Revocation struct {
	User UserID `cbor:"270,keyasint,omitempty"`
	At   Time   `cbor:"271,keyasint"` // by the vendor's clock; no policy of before is good
}

// NoteRevoked tells of revocations.
type NoteRevoked struct {
	Users []Revocation `cbor:"270,keyasint"`
}

// PoliciesRevoked: of these users no policy of before is served again.
type PoliciesRevoked struct {
	Users []Revocation `cbor:"270,keyasint"`
}

func (PoliciesRevoked) fact() {}

// RevokedAt is when the vendor last took back something of a user; zero: it is not known
// that it ever did.
func RevokedAt(s *State, user UserID) Time { return max(s.revoked[user], s.revoked[""]) }

func (c NoteRevoked) decide(*State, Time) *Denial {
	if len(c.Users) == 0 || len(c.Users) > MaxRevokedAtOne ||
		slices.ContainsFunc(c.Users, func(r Revocation) bool { return r.User == "" || !validName(string(r.User)) || r.At <= 0 }) {
		return deny(BadCommand)
	}
	return nil
}

func (c NoteRevoked) do(s *State, at Time) Outcome {
	var f PoliciesRevoked
	for _, r := range c.Users {
		r.At = min(r.At, at.Add(maxRevokedAhead))
		if RevokedAt(s, r.User) >= r.At {
			continue
		}
		if _, there := s.revoked[r.User]; !there && len(s.revoked) >= MaxRevoked {
			s.revokeOldest()
		}
		s.revoke(r)
		f.Users = append(f.Users, r)
	}
	if f.Users == nil {
		return Outcome{Repeat: true}
	}
	s.emit(f)
	return Outcome{}
}

func (s *State) revoke(r Revocation) {
	s.revoked[r.User] = r.At
	s.touch(Key{KeyRevoked, string(r.User)})
}

// revokeOldest makes room: the oldest tenth becomes one revocation for everybody, so that
// none is forgotten.
func (s *State) revokeOldest() {
	times := slices.Sorted(maps.Values(s.revoked))
	until := times[len(times)/10]
	for user, at := range s.revoked {
		if at <= until {
			delete(s.revoked, user)
			s.touch(Key{KeyRevoked, string(user)})
		}
	}
	s.revoke(Revocation{At: until})
}
