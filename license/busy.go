package license

// Busy are the users with something open, in no order: a copy, which may be out of date
// as soon as the state is let go of.
func (s *State) Busy() []UserID {
	users := make([]UserID, len(s.busy))
	for i, p := range s.busy {
		users[i] = p.user.ID
	}
	return users
}

// LockedUntil is until when an assigned license cannot be moved (R10); zero: it can be
// now, as far as is known here.
func LockedUntil(l *License, at Time) Time { return lockedUntil(l, at) }

// MirroredOf names every user, or every license, of the mirror, in no order.
func (s *State) MirroredOf(kind KeyKind) []Key {
	var keys []Key
	switch kind {
	case KeyUser:
		keys = make([]Key, 0, s.users)
		for id, p := range s.people {
			if p.mirrored {
				keys = append(keys, Key{KeyUser, string(id)})
			}
		}
	case KeyLicense:
		keys = make([]Key, 0, len(s.licenses))
		for id := range s.licenses {
			keys = append(keys, Key{KeyLicense, string(id)})
		}
	}
	return keys
}
