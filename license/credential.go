package license

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"
)

// CredentialKind is what a credential is for. The numbers are stored.
type CredentialKind uint8

// The kinds.
const (
	// APIToken is for programs, and goes by its name.
	APIToken CredentialKind = iota + 1
	// SignedIn is a person's browser, by OpenID Connect.
	SignedIn
	// SignedInHere is a person's browser, by a local account.
	SignedInHere
	// FirstAccount makes the site's first local account, once.
	FirstAccount
)

// String is the kind's name.
func (k CredentialKind) String() string {
	switch k {
	case APIToken:
		return "token"
	case SignedIn:
		return "oidc"
	case SignedInHere:
		return "account"
	case FirstAccount:
		return "first-account"
	}
	return ""
}

// The bounds of credentials.
const (
	MaxTokensOfAPI    = 100                  // at once
	MaxSignIns        = 200                  // at once; one more ends the one that was not used for the longest time
	MaxSignInsOfOne   = 10                   // of them of one person; one more ends one of theirs
	MaxTokenOfAPILife = 366 * 24 * time.Hour // of a token
	MaxSignInLife     = 12 * time.Hour       // of a sign-in
	SignInIdle        = time.Hour            // a sign-in ends that is not used for so long
	MaxFirstLife      = 24 * time.Hour       // of the token for the first account
	// TokenKept is how long a token is remembered that is over, so that whoever shows it is told
	// that; of many, no more than MaxTokensOfAPI are.
	TokenKept = 7 * 24 * time.Hour
	// How long it takes until a use is noted anew: of a sign-in, and of a token.
	SignInUseEvery = 5 * time.Minute
	TokenUseEvery  = time.Hour
)

// Credential lets in whoever shows its secret, of which no more than the SHA-256 is known.
type Credential struct {
	Secret Digest         `cbor:"1,keyasint"`
	Kind   CredentialKind `cbor:"2,keyasint"`
	Name   string         `cbor:"3,keyasint,omitempty"` // of the token, or of the person
	Role   Authority      `cbor:"4,keyasint"`
	By     string         `cbor:"5,keyasint,omitempty"` // who made it
	Since  Time           `cbor:"6,keyasint,omitempty"`
	Until  Time           `cbor:"7,keyasint,omitempty"`
	Used   Time           `cbor:"8,keyasint,omitempty"` // last, to SignInUseEvery or TokenUseEvery
	// Scopes are what an API token is good for, of what its role allows; zero: all of it.
	Scopes TokenScopes `cbor:"431,keyasint,omitempty"`
}

// Good reports whether it lets anybody in.
func (c Credential) Good(at Time) bool {
	if at >= c.Until {
		return false
	}
	return c.Kind == APIToken || c.Kind == FirstAccount || at < max(c.Since, c.Used).Add(SignInIdle)
}

// Stale reports whether a use should be noted anew.
func (c Credential) Stale(at Time) bool {
	every := SignInUseEvery
	if c.Kind == APIToken {
		every = TokenUseEvery
	}
	return c.Used == 0 || at >= c.Used.Add(every)
}

func (c Credential) signIn() bool { return c.Kind == SignedIn || c.Kind == SignedInHere }

// GiveCredential makes a credential.
type GiveCredential struct {
	Secret   Digest         `cbor:"1,keyasint"`
	Kind     CredentialKind `cbor:"2,keyasint"`
	Name     string         `cbor:"3,keyasint,omitempty"`
	Role     Authority      `cbor:"4,keyasint"`
	By       string         `cbor:"5,keyasint,omitempty"`
	Until    Time           `cbor:"6,keyasint,omitempty"`
	NotAfter Time           `cbor:"7,keyasint,omitempty"`
	// Changed is that of the local account whose password was checked: by one that was set
	// anew meanwhile nobody is signed in. Zero: the account was made just now.
	Changed Time `cbor:"310,keyasint,omitempty"`
	// Scopes are an API token's.
	Scopes TokenScopes `cbor:"431,keyasint,omitempty"`
}

// CredentialGiven: whoever shows this secret is let in.
type CredentialGiven struct {
	Credential Credential `cbor:"1,keyasint"`
}

// UseCredential notes that a credential is in use. It says so to nobody.
type UseCredential struct {
	Secret Digest `cbor:"1,keyasint"`
}

// EndCredential takes back one credential, by its secret, or all of a kind that go by a
// name.
type EndCredential struct {
	Secret Digest         `cbor:"1,keyasint,omitzero"` // or
	Kind   CredentialKind `cbor:"2,keyasint,omitempty"`
	Name   string         `cbor:"3,keyasint,omitempty"`
	By     string         `cbor:"4,keyasint,omitempty"`
}

// CredentialEnded: it lets nobody in any more.
type CredentialEnded struct {
	Credential Credential `cbor:"1,keyasint"`
	By         string     `cbor:"2,keyasint,omitempty"`
}

func (CredentialGiven) fact() {}
func (CredentialEnded) fact() {}

// CredentialOf is the credential of a secret, by its SHA-256, that lets somebody in at a
// time.
func CredentialOf(s *State, secret Digest, at Time) (Credential, bool) {
	c, there := s.credentials[secret]
	return c, there && c.Good(at)
}

// Credentials lists those of a kind that let somebody in at a time, oldest first.
func Credentials(s *State, kind CredentialKind, at Time) []Credential {
	var list []Credential
	for _, c := range s.credentials {
		if c.Kind == kind && c.Good(at) {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, Credential.compare)
	return list
}

func (c Credential) compare(other Credential) int {
	return cmp.Or(cmp.Compare(c.Since, other.Since), bytes.Compare(c.Secret[:], other.Secret[:]))
}

func (s *State) setCredential(c Credential) {
	s.credentials[c.Secret] = c
	s.touch(Key{KeyCredential, string(c.Secret[:])})
}

func (s *State) dropCredential(secret Digest) {
	delete(s.credentials, secret)
	s.touch(Key{KeyCredential, string(secret[:])})
}

// endCredentials takes back those that are meant, in a fixed order.
func (s *State) endCredentials(by string, meant func(Credential) bool) (ended int) {
	for _, c := range slices.SortedFunc(maps.Values(s.credentials), Credential.compare) {
		if meant(c) {
			s.dropCredential(c.Secret)
			s.emit(CredentialEnded{Credential: c, By: by})
			ended++
		}
	}
	return ended
}

// life is how long a credential of a kind may be good for; zero: there is no such kind.
func (k CredentialKind) life() time.Duration {
	switch k {
	case APIToken:
		return MaxTokenOfAPILife
	case SignedIn, SignedInHere:
		return MaxSignInLife
	case FirstAccount:
		return MaxFirstLife
	}
	return 0
}

func (c GiveCredential) decide(s *State, at Time) *Denial {
	switch {
	case c.Secret == Digest{} || c.Name == "" || !validName(c.Name) || c.By == "" || !validName(c.By) || c.Role.String() == "" ||
		c.Until <= at || c.Until > at.Add(c.Kind.life()) || !c.Scopes.valid() || c.Scopes != 0 && c.Kind != APIToken:
		return deny(BadCommand)
	case c.NotAfter != 0 && at > c.NotAfter:
		return deny(TooLate)
	}
	if old, there := s.credentials[c.Secret]; there {
		if old.Good(at) && old.Kind == c.Kind && old.Name == c.Name && old.Role == c.Role && old.Scopes == c.Scopes {
			return nil
		}
		return deny(IDInUse)
	}
	switch c.Kind {
	case APIToken:
		tokens := Credentials(s, APIToken, at)
		if slices.ContainsFunc(tokens, func(t Credential) bool { return t.Name == c.Name }) {
			return deny(NameInUse)
		}
		if len(tokens) >= MaxTokensOfAPI {
			return deny(TooManyCredentials)
		}
	case SignedInHere:
		if a, there := s.accounts[c.Name]; !there || a.Role < c.Role || c.Changed != 0 && a.Changed != c.Changed {
			return deny(UnknownCredential) // it was removed since, may less, or has another password
		}
	case FirstAccount:
		if len(s.accounts) > 0 {
			return deny(UnknownCredential)
		}
	}
	return nil
}

func (c GiveCredential) do(s *State, at Time) Outcome {
	if _, there := s.credentials[c.Secret]; there {
		return Outcome{Repeat: true}
	}
	var over []Credential // tokens that are remembered
	for _, old := range slices.SortedFunc(maps.Values(s.credentials), Credential.compare) {
		switch {
		case old.Good(at) && (old.Kind != FirstAccount || c.Kind != FirstAccount):
		case old.Kind == APIToken && at < old.Until.Add(TokenKept):
			over = append(over, old)
		default:
			s.dropCredential(old.Secret)
		}
	}
	for _, old := range over[:max(0, len(over)-MaxTokensOfAPI)] {
		s.dropCredential(old.Secret)
	}
	made := Credential{Secret: c.Secret, Kind: c.Kind, Name: c.Name, Role: c.Role, By: c.By, Since: at, Until: c.Until, Scopes: c.Scopes}
	if made.signIn() {
		s.roomForSignIn(MaxSignInsOfOne, func(c Credential) bool { return c.Kind == made.Kind && c.Name == made.Name })
		s.roomForSignIn(MaxSignIns, Credential.signIn)
	}
	s.setCredential(made)
	s.emit(CredentialGiven{Credential: made})
	return Outcome{}
}

// roomForSignIn makes place for one more of these sign-ins where there are most: the one goes
// that was not used for the longest time.
func (s *State) roomForSignIn(most int, these func(Credential) bool) {
	var longest Credential
	n := 0
	for _, c := range slices.SortedFunc(maps.Values(s.credentials), Credential.compare) {
		if !these(c) {
			continue
		}
		if n++; n == 1 || max(c.Since, c.Used) < max(longest.Since, longest.Used) {
			longest = c
		}
	}
	if n >= most {
		s.dropCredential(longest.Secret)
		s.emit(CredentialEnded{Credential: longest, By: longest.Name})
	}
}

func (c UseCredential) decide(s *State, at Time) *Denial {
	if x, there := s.credentials[c.Secret]; !there || !x.Good(at) || x.Kind == FirstAccount {
		return deny(UnknownCredential)
	}
	return nil
}

func (c UseCredential) do(s *State, at Time) Outcome {
	x := s.credentials[c.Secret]
	if !x.Stale(at) {
		return Outcome{Repeat: true}
	}
	x.Used = at
	s.setCredential(x)
	return Outcome{}
}

func (c EndCredential) means(x Credential) bool {
	if c.Secret != (Digest{}) {
		return x.Secret == c.Secret
	}
	return x.Kind == c.Kind && x.Name == c.Name
}

func (c EndCredential) decide(s *State, _ Time) *Denial {
	byName := c.Secret == Digest{}
	if c.By == "" || !validName(c.By) || !validName(c.Name) || byName != (c.Kind.life() > 0) || byName != (c.Name != "") {
		return deny(BadCommand)
	}
	for _, x := range s.credentials {
		if c.means(x) {
			return nil
		}
	}
	return deny(UnknownCredential)
}

func (c EndCredential) do(s *State, _ Time) Outcome {
	s.endCredentials(c.By, c.means)
	return Outcome{}
}
