package license

import (
	"maps"
	"slices"
	"strings"
)

// The bounds of local accounts.
const (
	// MaxLocalAccounts is how many there may be: they are for when nothing else works.
	MaxLocalAccounts = 5
	maxAccountName   = 64
	maxPasswordHash  = 256
)

// LocalAccount lets a person administer by a password, when no issuer can be reached. Only
// the hash of the password is known.
type LocalAccount struct {
	Name    string    `cbor:"1,keyasint"`
	Role    Authority `cbor:"2,keyasint"`
	Hash    string    `cbor:"3,keyasint"` // argon2id, with its parameters and its salt
	By      string    `cbor:"4,keyasint,omitempty"`
	Since   Time      `cbor:"5,keyasint,omitempty"`
	Changed Time      `cbor:"6,keyasint,omitempty"` // when the password was set
}

// SetLocalAccount makes a local account, or, as a reset, gives one that is there another
// password and role, which ends its sign-ins.
type SetLocalAccount struct {
	Name  string    `cbor:"1,keyasint"`
	Role  Authority `cbor:"2,keyasint"`
	Hash  string    `cbor:"3,keyasint"`
	Reset bool      `cbor:"4,keyasint,omitempty"`
	By    string    `cbor:"5,keyasint,omitempty"`
	// First is the secret of a FirstAccount credential, which is used up. Zero: the account
	// is made by who may.
	First    Digest `cbor:"6,keyasint,omitzero"`
	NotAfter Time   `cbor:"7,keyasint,omitempty"`
	// Was is the Changed of the account whose password its owner has shown to set another
	// one. Zero: it is set by who may. An account that was set since then, or has another role,
	// keeps its password.
	Was Time `cbor:"469,keyasint,omitempty"`
}

// AccountSet: a local account was made, or has another password and role.
type AccountSet struct {
	Name  string    `cbor:"1,keyasint"`
	Role  Authority `cbor:"2,keyasint"`
	Reset bool      `cbor:"3,keyasint,omitempty"`
	By    string    `cbor:"4,keyasint,omitempty"`
	First bool      `cbor:"5,keyasint,omitempty"`   // by the token for the first one
	Own   bool      `cbor:"469,keyasint,omitempty"` // its owner has changed the password
}

// RemoveLocalAccount takes a local account away, and ends its sign-ins.
type RemoveLocalAccount struct {
	Name string `cbor:"1,keyasint"`
	By   string `cbor:"2,keyasint,omitempty"`
}

// AccountRemoved: nobody signs in by this account any more.
type AccountRemoved struct {
	Name string `cbor:"1,keyasint"`
	By   string `cbor:"2,keyasint,omitempty"`
}

func (AccountSet) fact()     {}
func (AccountRemoved) fact() {}

// LocalAccountOf is the account of a name.
func LocalAccountOf(s *State, name string) (LocalAccount, bool) {
	a, there := s.accounts[name]
	return a, there
}

// LocalAccounts lists all, in order of their names.
func LocalAccounts(s *State) []LocalAccount {
	return slices.SortedFunc(maps.Values(s.accounts), func(a, b LocalAccount) int { return strings.Compare(a.Name, b.Name) })
}

// ValidAccountName reports whether an account, or an API token, may go by a name: small
// letters, digits, and . _ - between them.
func ValidAccountName(name string) bool {
	for i, r := range []byte(name) {
		between := i > 0 && i < len(name)-1
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && (!between || r != '.' && r != '_' && r != '-') {
			return false
		}
	}
	return name != "" && len(name) <= maxAccountName
}

func (s *State) setLocalAccount(a LocalAccount) {
	s.accounts[a.Name] = a
	s.touch(Key{KeyLocalAccount, a.Name})
}

func (c SetLocalAccount) decide(s *State, at Time) *Denial {
	switch {
	case !ValidAccountName(c.Name) || c.Role.String() == "" || c.By == "" || !validName(c.By) ||
		len(c.Hash) > maxPasswordHash || !strings.HasPrefix(c.Hash, "$argon2id$") || !validName(c.Hash) ||
		c.First != Digest{} && (c.Reset || c.Role != Admin) || c.Was != 0 && (!c.Reset || c.By != c.Name):
		return deny(BadCommand)
	case c.NotAfter != 0 && at > c.NotAfter:
		return deny(TooLate)
	}
	old, there := s.accounts[c.Name]
	if there && old.Hash == c.Hash && old.Role == c.Role {
		return nil
	}
	switch {
	case c.First != Digest{}:
		if x, ok := CredentialOf(s, c.First, at); !ok || x.Kind != FirstAccount {
			return deny(UnknownCredential)
		}
		if len(s.accounts) > 0 {
			return deny(UnknownCredential)
		}
	case c.Reset && !there, c.Was != 0 && (old.Changed != c.Was || old.Role != c.Role):
		return deny(UnknownCredential)
	case !c.Reset && there:
		return deny(NameInUse)
	case !there && len(s.accounts) >= MaxLocalAccounts:
		return deny(TooManyAccounts)
	}
	return nil
}

func (c SetLocalAccount) do(s *State, at Time) Outcome {
	old, there := s.accounts[c.Name]
	if there && old.Hash == c.Hash && old.Role == c.Role {
		return Outcome{Repeat: true}
	}
	a := LocalAccount{Name: c.Name, Role: c.Role, Hash: c.Hash, By: c.By, Since: at, Changed: at}
	if there {
		a.By, a.Since = old.By, old.Since
	}
	s.setLocalAccount(a)
	s.emit(AccountSet{Name: c.Name, Role: c.Role, Reset: c.Reset, By: c.By, First: c.First != Digest{}, Own: c.Was != 0})
	// Once there is an account, nobody needs the token for the first one.
	s.endCredentials(c.By, func(x Credential) bool {
		return x.Kind == FirstAccount || c.Reset && x.Kind == SignedInHere && x.Name == c.Name
	})
	return Outcome{}
}

func (c RemoveLocalAccount) decide(s *State, _ Time) *Denial {
	if !ValidAccountName(c.Name) || c.By == "" || !validName(c.By) {
		return deny(BadCommand)
	}
	if _, there := s.accounts[c.Name]; !there {
		return deny(UnknownCredential)
	}
	return nil
}

func (c RemoveLocalAccount) do(s *State, _ Time) Outcome {
	delete(s.accounts, c.Name)
	s.touch(Key{KeyLocalAccount, c.Name})
	s.emit(AccountRemoved(c))
	s.endCredentials(c.By, func(x Credential) bool { return x.Kind == SignedInHere && x.Name == c.Name })
	return Outcome{}
}
