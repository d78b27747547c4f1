package license

import (
	"slices"
	"strings"
	"time"
)

// A machine is a key: a client that shows one for its machine is that machine from then
// on, and nothing else that goes by the same id is, for as long as anything is open
// there. What a key has shown with the user's sign-in, it may go on with alone for a
// while: the sign-in may be out of reach, and people are to work.

// SignInLife is how long after the last sign-in that was verified with it a machine's key
// alone may start something new; longer where the account's terms let the site go on
// alone for longer.
const SignInLife = 24 * time.Hour

// The bounds of what is remembered of keys.
const (
	// MaxMachineKeys is how many keys one user may have: more than anybody works on
	// machines. With one more, the key of which nothing was heard for the longest goes, if
	// it may; else the new one is refused.
	MaxMachineKeys = 16
	// keyKept is how long a key stays after its last sign-in, however many come: who has a
	// user's access token, and makes machines up, does not get rid of those that are.
	keyKept = 7 * 24 * time.Hour
	// keyRhythm is how far apart two proofs of one key are that are worth an entry's change.
	keyRhythm = time.Minute
)

// Proof is what a caller has shown of the machine it speaks for. The zero Proof is none:
// the caller is signed in, and names a machine.
type Proof struct {
	Key Digest `cbor:"280,keyasint"` // the thumbprint of the public key (RFC 7638, SHA-256)
	// Host is the computer that holds the key, where its user has come there from the
	// machine, as to a multi-user server (KB0019679); empty: the machine itself. One that
	// Settings.Hosts does not list stands in for the machine, and not beside it.
	Host string `cbor:"281,keyasint,omitempty"`
}

// MachineKey is the key that one user's machine has shown.
type MachineKey struct {
	Machine  Machine `cbor:"280,keyasint"`
	Proof    Proof   `cbor:"281,keyasint"`
	Since    Time    `cbor:"282,keyasint,omitempty"` // it was shown for the first time
	Verified Time    `cbor:"283,keyasint,omitempty"` // the user's sign-in with it, last
	Email    string  `cbor:"284,keyasint,omitempty"` // that the user was signed in with then (R15)
	// Seen is where it was shown.
	Seen Whereabouts `cbor:"430,keyasint,omitzero"`
}

// MachineKeys are one user's, in the order of machines and hosts.
type MachineKeys struct {
	User UserID       `cbor:"284,keyasint"`
	Keys []MachineKey `cbor:"285,keyasint,omitempty"`
}

// BindKey says that a user's sign-in was verified together with the proof that the caller
// has the private key. The first key of a machine is taken as it is; another one in its
// place only while the user has nothing open there, as after the machine was set up anew.
type BindKey struct {
	User     UserID  `cbor:"280,keyasint"`
	Machine  Machine `cbor:"281,keyasint"`
	Proof    Proof   `cbor:"282,keyasint"`
	NotAfter Time    `cbor:"283,keyasint,omitempty"`
	Email    string  `cbor:"284,keyasint,omitempty"` // as the access token says (R15)
}

// KeyBound: a machine has shown a key for the first time. Where it has another one already,
// on another host, or where the key of another machine went for it, the administrators are
// told.
type KeyBound struct {
	User UserID     `cbor:"280,keyasint"`
	Key  MachineKey `cbor:"281,keyasint"`
	To   []UserID   `cbor:"345,keyasint,omitempty"` // the administrators, as they were then
	// Dropped is the key that went, since the user had too many; nil: none.
	Dropped *MachineKey `cbor:"347,keyasint,omitempty"`
}

// KeyReplaced: a machine has shown another key than before, and goes by it now. The
// administrators are told: it was set up anew, or it is another one under its id.
type KeyReplaced struct {
	User UserID     `cbor:"280,keyasint"`
	Key  MachineKey `cbor:"281,keyasint"`
	Was  Digest     `cbor:"282,keyasint"`
	To   []UserID   `cbor:"283,keyasint,omitempty"` // the administrators, as they were then
}

// CloneSeen: something with another key went by the id of a machine on which its user had
// something open, and was refused. The administrators are told.
type CloneSeen struct {
	User    UserID   `cbor:"280,keyasint"`
	Machine Machine  `cbor:"281,keyasint"`
	To      []UserID `cbor:"282,keyasint,omitempty"` // the administrators, as they were then
	// Places are two networks in which one key is shown by turns: the key itself may have been
	// copied, and nothing was refused. None: another key was, and was refused.
	Places []string `cbor:"430,keyasint,omitempty"`
}

// ForgetKey takes a machine's keys from it, by an administrator who names it by its id or
// by its name: what it has lost is not
// coming back, and another key may take its place whatever is open.
type ForgetKey struct {
	User    UserID  `cbor:"280,keyasint"`
	Machine Machine `cbor:"281,keyasint"`
	By      string  `cbor:"282,keyasint,omitempty"` // who
	Note    string  `cbor:"283,keyasint,omitempty"` // why
}

// KeyForgotten: an administrator has taken a machine's keys from it.
type KeyForgotten struct {
	User    UserID  `cbor:"280,keyasint"`
	Machine Machine `cbor:"281,keyasint"`
	By      string  `cbor:"282,keyasint,omitempty"`
	Note    string  `cbor:"283,keyasint,omitempty"`
}

func (KeyBound) fact()     {}
func (KeyReplaced) fact()  {}
func (CloneSeen) fact()    {}
func (KeyForgotten) fact() {}

// KeysOf are the keys of a user's machines, in the order of machines and hosts. They are
// nobody's to change.
func KeysOf(s *State, user UserID) []MachineKey {
	if r := s.machineKeys[user]; r != nil {
		return r.Keys
	}
	return nil
}

// KeyOf is the key that a user's machine goes by on a host, or nil.
func KeyOf(s *State, user UserID, machine, host string) *MachineKey {
	r := s.machineKeys[user]
	if r == nil {
		return nil
	}
	for i := range r.Keys {
		if k := &r.Keys[i]; k.Machine.ID == machine && k.Proof.Host == host {
			return k
		}
	}
	return nil
}

// StartsUntil is how long a key whose sign-in was verified then may start something new
// by itself.
func StartsUntil(s *State, verified Time) Time { return s.startsUntil(verified, true) }

func (s *State) startsUntil(verified Time, single bool) Time {
	return verified.Add(max(SignInLife, s.Autonomy(single)))
}

func (c BindKey) subject(*State) UserID { return c.User }

func (c BindKey) decide(s *State, at Time) *Denial {
	switch {
	case c.User == "" || !validName(string(c.User)) || c.Machine.ID == "" || !c.Machine.valid() || c.Proof.Key == Digest{} || !validName(c.Proof.Host) || !validName(c.Email):
		return deny(BadCommand)
	case c.NotAfter != 0 && at > c.NotAfter:
		return deny(TooLate)
	}
	if d := s.barred(c.User, c.Machine, ""); d != nil {
		return d
	}
	if b := s.barOfKey(c.Proof.Key); b != nil {
		return b.machineDenial(c.Machine, "")
	}
	switch u := s.User(c.User); {
	case u == nil:
		return deny(UnknownUser)
	case u.Blocked:
		return deny(UserBlocked)
	}
	k := s.placeOf(c.User, c.Machine.ID, c.Proof.Host)
	if k != nil && k.Proof != c.Proof && s.opensOn(c.User, c.Machine) {
		return k.cloned("")
	}
	if k == nil && len(KeysOf(s, c.User)) >= MaxMachineKeys && s.spareKey(c.User, at) == nil {
		return &Denial{Reason: TooManyKeys, Machine: c.Machine}
	}
	return nil
}

// placeOf is the key in whose place one of this host comes, or nil. Each listed host has a
// place of its own; all others share the machine's, since anybody may name a host.
func (s *State) placeOf(user UserID, machine, host string) *MachineKey {
	if s.head.Settings.lists(host) {
		return KeyOf(s, user, machine, host)
	}
	keys := KeysOf(s, user)
	for i := range keys {
		if k := &keys[i]; k.Machine.ID == machine && !s.head.Settings.lists(k.Proof.Host) {
			return k // the machine's own, where it has one: that is the first
		}
	}
	return nil
}

func (c BindKey) do(s *State, at Time) Outcome {
	bound := MachineKey{Machine: c.Machine, Proof: c.Proof, Since: at, Verified: at, Email: c.Email}
	place := s.placeOf(c.User, c.Machine.ID, c.Proof.Host)
	switch {
	case place == nil:
		keys, told := s.withKey(c.User, bound), KeyBound{User: c.User, Key: bound}
		if len(keys) > MaxMachineKeys {
			gone := *s.spareKey(c.User, at)
			keys = slices.DeleteFunc(keys, func(k MachineKey) bool { return k == gone })
			told.Dropped = &gone
		}
		if told.Dropped != nil || s.hasKey(c.User, c.Machine) {
			told.To = s.told(administrators)
		}
		s.setKeys(c.User, keys)
		s.emit(told)
	case place.Proof != c.Proof:
		was := place.Proof.Key
		s.setKeys(c.User, s.withKey(c.User, bound))
		s.emit(KeyReplaced{User: c.User, Key: bound, Was: was, To: s.told(administrators)})
	case at.Sub(place.Verified) < keyRhythm && place.Machine == c.Machine && place.Email == c.Email:
		bound = *place
		return Outcome{Key: &bound, Repeat: true}
	default:
		bound.Since, bound.Seen = place.Since, place.Seen
		s.setKeys(c.User, s.withKey(c.User, bound))
	}
	return Outcome{Key: &bound}
}

// withKey are a user's keys with this one, and without those in whose place it comes.
// Readers may still have the old ones.
func (s *State) withKey(user UserID, bound MachineKey) []MachineKey {
	listed := s.head.Settings.lists(bound.Proof.Host)
	keys := slices.DeleteFunc(slices.Clone(KeysOf(s, user)), func(k MachineKey) bool {
		return k.Machine.ID == bound.Machine.ID && (k.Proof.Host == bound.Proof.Host || !listed && !s.head.Settings.lists(k.Proof.Host))
	})
	i, _ := slices.BinarySearchFunc(keys, bound, compareKeys)
	return slices.Insert(keys, i, bound)
}

// hasKey reports whether a user's machine has shown a key, on whichever host.
func (s *State) hasKey(user UserID, m Machine) bool {
	return slices.ContainsFunc(KeysOf(s, user), func(k MachineKey) bool { return k.Machine.ID == m.ID })
}

// spareKey is the key that goes where there are too many, or nil: of the machines where
// nothing is open, the one whose sign-in was verified first, if that is long ago.
func (s *State) spareKey(user UserID, at Time) *MachineKey {
	var oldest *MachineKey
	keys := KeysOf(s, user)
	for i := range keys {
		k := &keys[i]
		if at.Sub(k.Verified) >= keyKept && !s.opensOn(user, k.Machine) && (oldest == nil || k.Verified < oldest.Verified) {
			oldest = k
		}
	}
	return oldest
}

func (c ForgetKey) subject(*State) UserID { return c.User }

func (c ForgetKey) decide(s *State, _ Time) *Denial {
	if c.User == "" || !validName(string(c.User)) || !c.Machine.valid() || c.By == "" || !validName(c.By) || !validName(c.Note) {
		return deny(BadCommand)
	}
	return nil
}

func (c ForgetKey) do(s *State, _ Time) Outcome {
	keys := KeysOf(s, c.User)
	left := slices.DeleteFunc(slices.Clone(keys), func(k MachineKey) bool { return k.Machine.Is(c.Machine) })
	if len(left) == len(keys) {
		return Outcome{Repeat: true}
	}
	s.setKeys(c.User, left)
	s.emit(KeyForgotten(c))
	return Outcome{}
}

// keyed says whether a caller may start something new on a machine by what it has shown:
// the key that the machine goes by, shown with a sign-in not too long ago; none only where
// the site asks for none and the machine has never shown one.
func (s *State) keyed(user UserID, m Machine, p Proof, product ProductID, single bool, at Time) *Denial {
	if p == (Proof{}) {
		if s.hasKey(user, m) || s.head.Settings.MachineKeys {
			return &Denial{Reason: KeyNeeded, Product: product, Machine: m}
		}
		return nil
	}
	k := KeyOf(s, user, m.ID, p.Host)
	if k == nil {
		return &Denial{Reason: KeyNeeded, Product: product, Machine: m}
	}
	if place := s.placeOf(user, m.ID, p.Host); place.Proof != p { // or its host is listed no more
		return place.cloned(product)
	}
	if until := s.startsUntil(k.Verified, single); at >= until {
		return &Denial{Reason: SignInNeeded, Product: product, Since: k.Verified, Until: until}
	}
	return nil
}

// holder says whether a caller may speak for what was granted to a key: by that key, for as
// long as the machine goes by it. Afterwards, when IT has taken the key from it, it is by
// what the machine goes by now. What no key has shown for is anybody's who is signed in.
func (s *State) holder(user UserID, m Machine, held, shown Proof) *Denial {
	if held == (Proof{}) {
		return nil
	}
	k := KeyOf(s, user, m.ID, held.Host)
	switch stands := k != nil && k.Proof == held; {
	case stands && shown == held:
		return nil
	case stands && shown != (Proof{}):
		return k.cloned("")
	case !stands && shown == (Proof{}) && !s.hasKey(user, m):
		return nil
	}
	if k = KeyOf(s, user, m.ID, shown.Host); shown == (Proof{}) || k == nil || k.Proof != shown {
		return &Denial{Reason: KeyNeeded, Machine: m}
	}
	return nil
}

// cloned refuses another key than this one.
func (k *MachineKey) cloned(product ProductID) *Denial {
	return &Denial{Reason: MachineClone, Product: product, Machine: k.Machine, Since: k.Since}
}

// opensOn reports whether a user has a session or a checkout under this machine's id.
func (s *State) opensOn(user UserID, m Machine) bool {
	a := s.Active(user)
	return a != nil && (slices.ContainsFunc(a.Sessions, func(x Session) bool { return x.Machine.ID == m.ID }) ||
		slices.ContainsFunc(a.Checkouts, func(x Checkout) bool { return x.Machine.ID == m.ID }))
}

func compareKeys(a, b MachineKey) int {
	if c := strings.Compare(a.Machine.ID, b.Machine.ID); c != 0 {
		return c
	}
	return strings.Compare(a.Proof.Host, b.Proof.Host)
}

// setKeys replaces a user's keys; none: there is no record.
func (s *State) setKeys(user UserID, keys []MachineKey) {
	if len(keys) == 0 {
		delete(s.machineKeys, user)
	} else {
		s.machineKeys[user] = &MachineKeys{User: user, Keys: keys}
	}
	s.touch(Key{KeyMachineKeys, string(user)})
}

// forgetKeys is for a user who is gone from the account.
func (s *State) forgetKeys(user UserID) {
	if s.machineKeys[user] != nil {
		s.setKeys(user, nil)
	}
}
