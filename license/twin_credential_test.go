package license

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// The part of the twin that is about who administers.

func (w *twin) credentialOf(secret Digest) *Credential {
	return twinFind(w.credentials, func(c *Credential) bool { return c.Secret == secret })
}

func (w *twin) account(name string) *LocalAccount {
	return twinFind(w.accounts, func(a *LocalAccount) bool { return a.Name == name })
}

// twinLast is when a credential was last seen.
func twinLast(c Credential) Time {
	if c.Used > c.Since {
		return c.Used
	}
	return c.Since
}

func (w *twin) good(c Credential) bool {
	person := c.Kind == SignedIn || c.Kind == SignedInHere
	return w.now() < c.Until && (!person || w.now()-twinLast(c) < twinHour)
}

// byAge are the credentials that are meant, oldest first.
func (w *twin) byAge(meant func(Credential) bool) []Credential {
	var list []Credential
	for _, c := range w.credentials {
		if meant(c) {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b Credential) int {
		if a.Since != b.Since {
			return int(a.Since - b.Since)
		}
		return bytes.Compare(a.Secret[:], b.Secret[:])
	})
	return list
}

func (w *twin) forgetCredential(secret Digest) {
	w.credentials = slices.DeleteFunc(w.credentials, func(c Credential) bool { return c.Secret == secret })
}

func (w *twin) takeBack(by string, meant func(Credential) bool) {
	for _, c := range w.byAge(meant) {
		w.forgetCredential(c.Secret)
		w.tell(CredentialEnded{Credential: c, By: by})
	}
}

func (w *twin) giveCredential(c GiveCredential) Outcome {
	lives := map[CredentialKind]Time{APIToken: 366 * twinDay, SignedIn: 12 * twinHour, SignedInHere: 12 * twinHour, FirstAccount: twinDay}
	life, known := lives[c.Kind]
	if !known || c.Secret == (Digest{}) || c.Name == "" || c.By == "" || !twinName(c.Name, c.By) || c.Role < Viewer || c.Role > Admin ||
		c.Until <= w.now() || c.Until-w.now() > life || c.Scopes >= 512 || c.Kind != APIToken && c.Scopes > 0 {
		return refuse("bad-command")
	}
	if c.NotAfter != 0 && c.NotAfter < w.now() {
		return refuse("too-late")
	}
	if old := w.credentialOf(c.Secret); old != nil {
		if w.good(*old) && old.Kind == c.Kind && old.Name == c.Name && old.Role == c.Role && old.Scopes == c.Scopes {
			return Outcome{Repeat: true}
		}
		return refuse("id-in-use")
	}
	tokens := w.byAge(func(x Credential) bool { return x.Kind == APIToken && w.good(x) })
	switch c.Kind {
	case APIToken:
		for _, x := range tokens {
			if x.Name == c.Name {
				return refuse("name-in-use")
			}
		}
		if len(tokens) == 100 {
			return refuse("too-many-credentials")
		}
	case SignedInHere:
		if a := w.account(c.Name); a == nil || c.Role > a.Role || c.Changed > 0 && c.Changed != a.Changed {
			return refuse("unknown-credential")
		}
	case FirstAccount:
		if len(w.accounts) != 0 {
			return refuse("unknown-credential")
		}
	}
	ended := w.byAge(func(x Credential) bool { return x.Kind == APIToken && !w.good(x) && w.now()-x.Until < 7*twinDay })
	if len(ended) > 100 {
		ended = ended[len(ended)-100:]
	}
	w.credentials = slices.DeleteFunc(w.credentials, func(x Credential) bool {
		return !w.good(x) && !slices.Contains(ended, x) || c.Kind == FirstAccount && x.Kind == FirstAccount
	})
	if c.Kind == SignedIn || c.Kind == SignedInHere {
		for _, own := range []bool{true, false} {
			people := w.byAge(func(x Credential) bool {
				return own && x.Kind == c.Kind && x.Name == c.Name || !own && (x.Kind == SignedIn || x.Kind == SignedInHere)
			})
			if own && len(people) >= 10 || len(people) >= 200 {
				slices.SortStableFunc(people, func(a, b Credential) int { return int(twinLast(a) - twinLast(b)) })
				w.takeBack(people[0].Name, func(x Credential) bool { return x.Secret == people[0].Secret })
			}
		}
	}
	x := Credential{Secret: c.Secret, Kind: c.Kind, Name: c.Name, Role: c.Role, By: c.By, Since: w.now(), Until: c.Until, Scopes: c.Scopes}
	w.credentials = append(w.credentials, x)
	w.tell(CredentialGiven{Credential: x})
	return Outcome{}
}

func (w *twin) useCredential(c UseCredential) Outcome {
	x := w.credentialOf(c.Secret)
	if x == nil || x.Kind == FirstAccount || !w.good(*x) {
		return refuse("unknown-credential")
	}
	every := Time(5 * 60_000)
	if x.Kind == APIToken {
		every = twinHour
	}
	if x.Used != 0 && w.now() < x.Used+every {
		return Outcome{Repeat: true}
	}
	x.Used = w.now()
	return Outcome{}
}

func (w *twin) endCredential(c EndCredential) Outcome {
	bySecret := c.Secret != Digest{}
	byName := c.Kind >= APIToken && c.Kind <= FirstAccount && c.Name != ""
	if c.By == "" || !twinName(c.By, c.Name) || bySecret == byName || bySecret && c.Name != "" || bySecret && c.Kind >= APIToken && c.Kind <= FirstAccount {
		return refuse("bad-command")
	}
	meant := func(x Credential) bool {
		if bySecret {
			return x.Secret == c.Secret
		}
		return x.Kind == c.Kind && x.Name == c.Name
	}
	if len(w.byAge(meant)) == 0 {
		return refuse("unknown-credential")
	}
	w.takeBack(c.By, meant)
	return Outcome{}
}

func twinAccountName(name string) bool {
	if name == "" || len(name) > 64 || strings.Trim(name, "._-") != name {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}

func (w *twin) setLocalAccount(c SetLocalAccount) Outcome {
	first := c.First != Digest{}
	if !twinAccountName(c.Name) || c.Role < Viewer || c.Role > Admin || c.By == "" || !twinName(c.By, c.Hash) || len(c.Hash) > 256 ||
		!strings.HasPrefix(c.Hash, "$argon2id$") || first && (c.Reset || c.Role != Admin) {
		return refuse("bad-command")
	}
	own := c.Was != 0
	if own && (c.By != c.Name || !c.Reset) {
		return refuse("bad-command")
	}
	if c.NotAfter != 0 && c.NotAfter < w.now() {
		return refuse("too-late")
	}
	a := w.account(c.Name)
	if a != nil && a.Hash == c.Hash && a.Role == c.Role {
		return Outcome{Repeat: true}
	}
	if first {
		x := w.credentialOf(c.First)
		if x == nil || x.Kind != FirstAccount || !w.good(*x) || len(w.accounts) > 0 {
			return refuse("unknown-credential")
		}
	}
	if !first && c.Reset && a == nil {
		return refuse("unknown-credential")
	}
	if own && (a.Role != c.Role || a.Changed != c.Was) {
		return refuse("unknown-credential")
	}
	if !c.Reset && a != nil {
		return refuse("name-in-use")
	}
	if a == nil {
		if len(w.accounts) >= 5 {
			return refuse("too-many-accounts")
		}
		w.accounts = append(w.accounts, LocalAccount{Name: c.Name, By: c.By, Since: w.now()})
		a = &w.accounts[len(w.accounts)-1]
	}
	a.Role, a.Hash, a.Changed = c.Role, c.Hash, w.now()
	w.tell(AccountSet{Name: c.Name, Role: c.Role, Reset: c.Reset, By: c.By, First: first, Own: own})
	w.takeBack(c.By, func(x Credential) bool {
		return x.Kind == FirstAccount || c.Reset && x.Kind == SignedInHere && x.Name == c.Name
	})
	return Outcome{}
}

func (w *twin) removeLocalAccount(c RemoveLocalAccount) Outcome {
	if !twinAccountName(c.Name) || c.By == "" || !twinName(c.By) {
		return refuse("bad-command")
	}
	if w.account(c.Name) == nil {
		return refuse("unknown-credential")
	}
	w.accounts = slices.DeleteFunc(w.accounts, func(a LocalAccount) bool { return a.Name == c.Name })
	w.tell(AccountRemoved(c))
	w.takeBack(c.By, func(x Credential) bool { return x.Kind == SignedInHere && x.Name == c.Name })
	return Outcome{}
}

// sameCredentials compares what the rules and the twin know of who administers.
func (w *twin) sameCredentials(s *State, same func(what string, got, want any)) {
	for _, c := range w.credentials {
		same("a credential", s.credentials[c.Secret], c)
	}
	for _, a := range w.accounts {
		same("a local account", s.accounts[a.Name], a)
	}
	same("how many credentials and accounts", []int{len(s.credentials), len(s.accounts)}, []int{len(w.credentials), len(w.accounts)})
}

// aboutAdministrators is what concerns who administers.
func (s *script) aboutAdministrators(state *State) Command {
	secret := Digest{byte(1 + s.pick(8)), byte(s.pick(2))}
	name := oneOf(s, "ida", "ivo", "nagios", "a.b", "x1", "x2", "x3", "Ida", "-", "")
	by := oneOf(s, "root", "root", "root", "")
	kind := CredentialKind(s.pick(6))
	role := Authority(s.pick(5))
	hash := oneOf(s, "$argon2id$a", "$argon2id$b", "$argon2id$c", "plain")
	switch s.pick(8) {
	case 0, 1:
		return GiveCredential{Secret: secret, Kind: kind, Name: name, Role: role, By: by, NotAfter: s.notAfter(), Changed: oneOf(s, 0, 0, s.at), Scopes: oneOf(s, 0, 0, 0, ReadScope, SessionsScope|ReadScope, AnyScope, AnyScope+1),
			Until: s.at.Add(oneOf(s, time.Hour, time.Hour, 11*time.Hour, 20*time.Hour, 30*24*time.Hour, 400*24*time.Hour, 0))}
	case 2:
		return UseCredential{Secret: secret}
	case 3:
		return EndCredential{Secret: oneOf(s, secret, Digest{}), Kind: oneOf(s, kind, 0), Name: oneOf(s, name, ""), By: by}
	case 4, 5:
		if a, there := LocalAccountOf(state, name); there && s.pick(3) == 0 { // its owner changes the password
			return SetLocalAccount{Name: name, Role: oneOf(s, a.Role, a.Role, role), Hash: hash, Reset: s.pick(6) > 0, By: oneOf(s, name, name, by), Was: oneOf(s, a.Changed, a.Changed, a.Changed-1)}
		}
		return SetLocalAccount{Name: name, Role: role, Hash: hash, By: by, NotAfter: s.notAfter()}
	case 6:
		return SetLocalAccount{Name: name, Role: oneOf(s, role, Admin), Hash: hash, Reset: s.pick(2) == 0, By: by, First: oneOf(s, secret, Digest{})}
	default:
		return RemoveLocalAccount{Name: name, By: by}
	}
}

// There is room for so many sign-ins; the one goes that was not used for the longest time.
func TestOneMoreSignInEndsTheOneLeastUsed(t *testing.T) {
	s, w := NewState(), &twin{}
	at := Time(1_000_000_000)
	do := func(c Command) {
		t.Helper()
		out, _ := Apply(s, Entry{At: at, Command: c})
		if got, _ := w.apply(Entry{At: at, Command: c}); (out.Denial == nil) != (got.Denial == nil) || out.Denial != nil {
			t.Fatalf("%+v: %+v, the twin %+v", c, out.Denial, got.Denial)
		}
	}
	secret := func(i int) Digest { return Digest{1, byte(i), byte(i >> 8)} }
	for i := range MaxSignIns {
		do(GiveCredential{Secret: secret(i), Kind: SignedIn, Name: fmt.Sprint("ida", i%50), Role: Viewer, By: "ida", Until: at.Add(MaxSignInLife)})
		at++
	}
	at += 6 * 60_000
	do(UseCredential{Secret: secret(0)})
	do(GiveCredential{Secret: secret(MaxSignIns), Kind: SignedIn, Name: "ivo", Role: Viewer, By: "ivo", Until: at.Add(MaxSignInLife)})
	_, first := CredentialOf(s, secret(0), at)
	_, second := CredentialOf(s, secret(1), at)
	if n := len(Credentials(s, SignedIn, at)); n != MaxSignIns || !first || second || len(w.credentials) != n || w.credentialOf(secret(1)) != nil {
		t.Errorf("%d sign-ins; the one in use is good: %t; the oldest unused: %t", n, first, second)
	}
}

// Who signs in again and again ends their own sign-ins, and nobody else's.
func TestOneWhoSignsInWithoutEndEndsTheirOwn(t *testing.T) {
	s := NewState()
	at := Time(1_000_000_000)
	give := func(i int, name string) {
		t.Helper()
		at++
		if out, _ := Apply(s, Entry{At: at, Command: GiveCredential{Secret: Digest{2, byte(i), byte(i >> 8)}, Kind: SignedIn, Name: name, Role: Viewer, By: name, Until: at.Add(MaxSignInLife)}}); out.Denial != nil {
			t.Fatal(out.Denial)
		}
	}
	give(0, "ida")
	for i := range MaxSignIns + 50 {
		give(i+1, "ann")
	}
	all := Credentials(s, SignedIn, at)
	if _, there := CredentialOf(s, Digest{2}, at); !there || len(all) != 1+MaxSignInsOfOne {
		t.Errorf("%d sign-ins, ida's there: %t; want hers and ann's last %d", len(all), there, MaxSignInsOfOne)
	}
}

// There is room for so many API tokens, and no more.
func TestAPITokensAreBounded(t *testing.T) {
	s := NewState()
	for i := range MaxTokensOfAPI + 1 {
		out, _ := Apply(s, Entry{At: 1, Command: GiveCredential{Secret: Digest{1, byte(i)}, Kind: APIToken, Name: strings.Repeat("x", i+1), Role: Viewer, By: "ida", Until: 1000}})
		if full := i == MaxTokensOfAPI; (out.Denial != nil) != full || full && out.Denial.Reason != TooManyCredentials {
			t.Fatalf("token %d: %+v", i, out.Denial)
		}
	}
	// Those that are over are remembered for a week, and no more of them either.
	give := func(n byte, at Time) {
		t.Helper()
		c := GiveCredential{Secret: Digest{2, n}, Kind: APIToken, Name: fmt.Sprintf("later-%d", n), Role: Viewer, By: "ida", Until: at.Add(time.Hour)}
		if out, _ := Apply(s, Entry{At: at, Command: c}); out.Denial != nil {
			t.Fatalf("token %d: %+v", n, out.Denial)
		}
	}
	at := Time(2000)
	for n := range byte(3) {
		give(n, at)
		if old, good := CredentialOf(s, Digest{1, MaxTokensOfAPI - 1}, at); good || old.Kind != APIToken || len(s.credentials) != MaxTokensOfAPI+1 {
			t.Fatalf("after %v %d are remembered, and one that is over as %+v, good: %t; want %d", at, len(s.credentials), old, good, MaxTokensOfAPI+1)
		}
		at = at.Add(2 * time.Hour)
	}
	give(3, Time(2000).Add(TokenKept+2*time.Hour))
	if len(s.credentials) != 3 { // itself, and those of the last two hours of that week
		t.Errorf("a week later %d are remembered, want 3", len(s.credentials))
	}
}

// Who has shown the password of before its reset is not signed in by it.
func TestAPasswordThatWasResetSignsNobodyIn(t *testing.T) {
	s := NewState()
	at := Time(1_000_000_000)
	do := func(c Command) *Denial {
		at++
		out, _ := Apply(s, Entry{At: at, Command: c})
		return out.Denial
	}
	in := func(n byte, changed Time) *Denial {
		return do(GiveCredential{Secret: Digest{n}, Kind: SignedInHere, Name: "ivo", Role: Viewer, By: "ivo", Until: at.Add(MaxSignInLife), Changed: changed})
	}
	do(SetLocalAccount{Name: "ivo", Role: Admin, Hash: "$argon2id$a", By: "ida"})
	checked, _ := LocalAccountOf(s, "ivo")
	if d := in(1, checked.Changed); d != nil {
		t.Fatalf("by the password that holds: %+v", d)
	}
	do(SetLocalAccount{Name: "ivo", Role: Admin, Hash: "$argon2id$b", Reset: true, By: "ida"})
	if d := in(2, checked.Changed); d == nil || d.Reason != UnknownCredential {
		t.Errorf("by the one of before: %+v, want %s", d, UnknownCredential)
	}
	if n := len(Credentials(s, SignedInHere, at)); n != 0 {
		t.Errorf("%d sign-ins are left, want none", n)
	}
}

// A backup brings back no credential: it may have been taken back since. A node that is
// left knows which are good.
func TestARestoreEndsAllCredentials(t *testing.T) {
	for _, recovered := range []bool{false, true} {
		s := NewState()
		Apply(s, Entry{At: 1, Command: GiveCredential{Secret: Digest{1}, Kind: APIToken, Name: "jobs", Role: Admin, By: "ida", Until: 1000}})
		Apply(s, Entry{At: 1, Command: GiveCredential{Secret: Digest{2}, Kind: SignedIn, Name: "ida", Role: Admin, By: "ida", Until: 1000}})
		s.Restore(Beginning{Epoch: 2, Cluster: "c", At: 2, Recovered: recovered, Node: "gw1"})
		n := 0
		for _, secret := range []Digest{{1}, {2}} {
			if _, good := CredentialOf(s, secret, 3); good {
				n++
			}
		}
		if want := map[bool]int{false: 0, true: 2}[recovered]; n != want {
			t.Errorf("recovered %t: %d credentials are good, want %d", recovered, n, want)
		}
	}
}
