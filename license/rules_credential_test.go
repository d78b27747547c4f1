package license_test

import (
	"fmt"
	"strings"

	"sitegate/license"
)

// The words of who administers.

// administrators reads a command about credentials and local accounts.
func (s *story) administrators(verb string, w *words) (license.Command, error) {
	by := long(w.after("by"))
	notAfter, err := s.notAfter(w)
	if err != nil {
		return nil, err
	}
	kinds := map[string]license.CredentialKind{"token": license.APIToken, "oidc": license.SignedIn, "here": license.SignedInHere, "first": license.FirstAccount}
	switch verb {
	case "give":
		d, err := duration(w.after("for"))
		if err != nil {
			return nil, err
		}
		role, secret := license.ParseAuthority(w.after("as")), digest(w.after("secret"))
		var scopes []string
		if list := w.after("for-only"); list != "" {
			scopes = strings.Split(list, ",")
		}
		allowed, known := license.ParseTokenScopes(scopes)
		if !known {
			allowed = license.AnyScope + 1
		}
		c := license.GiveCredential{Scopes: allowed, Kind: kinds[w.next()], Role: role, Secret: secret, By: by, Until: s.now.Add(d), NotAfter: notAfter}
		c.Name = long(w.next())
		return c, nil
	case "use":
		return license.UseCredential{Secret: digest(w.next())}, nil
	case "end":
		c := license.EndCredential{Secret: digest(w.after("secret")), By: by}
		c.Kind, c.Name = kinds[w.next()], long(w.next())
		return c, nil
	case "local-account":
		c := license.SetLocalAccount{Role: license.ParseAuthority(w.after("as")), Hash: "$argon2id$" + w.after("password"), By: by,
			First: digest(w.after("first")), Reset: w.flag("reset"), NotAfter: notAfter}
		if w.flag("own") {
			c.Was = s.now
		}
		if w.flag("own-before") {
			c.Was = s.now - 1
		}
		c.Name = long(w.next())
		return c, nil
	case "remove-account":
		return license.RemoveLocalAccount{Name: long(w.next()), By: by}, nil
	}
	return nil, fmt.Errorf("do not know the word %q", verb)
}

func sayCredential(c license.Credential) string {
	role := strings.Join(append([]string{c.Role.String()}, c.Scopes.Names()...), " ")
	line := fmt.Sprintf("%s %s of %s, %s, by %s until %s", c.Kind, digestName(c.Secret), c.Name, role, c.By, sayTime(c.Until))
	if c.Used != 0 {
		line += ", used " + sayTime(c.Used)
	}
	return line
}

func sayCredentials(s *license.State, now license.Time) []string {
	var answer []string
	for _, kind := range []license.CredentialKind{license.FirstAccount, license.APIToken, license.SignedIn, license.SignedInHere} {
		for _, c := range license.Credentials(s, kind, now) {
			answer = append(answer, sayCredential(c))
		}
	}
	for _, a := range license.LocalAccounts(s) {
		answer = append(answer, fmt.Sprintf("account %s, %s, by %s since %s, password of %s", a.Name, a.Role, a.By, sayTime(a.Since), sayTime(a.Changed)))
	}
	return answer
}

// sayCredentialFact is "" for facts about something else.
func sayCredentialFact(f license.Fact) string {
	switch f := f.(type) {
	case license.CredentialGiven:
		return "given " + sayCredential(f.Credential)
	case license.CredentialEnded:
		return "ended " + sayCredential(f.Credential) + ", by " + f.By
	case license.AccountSet:
		return fmt.Sprintf("account %s, %s, by %s, reset %t, first %t", f.Name, f.Role, f.By, f.Reset, f.First) + map[bool]string{true: ", own"}[f.Own]
	case license.AccountRemoved:
		return fmt.Sprintf("account %s removed by %s", f.Name, f.By)
	}
	return ""
}
