package configs

import "slices"

// Administrators is the OpenID Connect issuer of those who administer, and which of its
// people may do what.
type Administrators struct {
	Issuer string `key:"issuer"`
	// Audience is whom access tokens must be made out to that administer. It is another
	// one than the desktops', so that no desktop's token can.
	Audience string `key:"audience"`
	// Claim holds the roles: its name, or, with dots, the path to it.
	Claim string `key:"claim"`
	// Viewers, Operators and Admins are the values of the claim that give each role; the
	// highest holds.
	Viewers   []string `key:"viewers"`
	Operators []string `key:"operators"`
	Admins    []string `key:"admins"`
	// EmailsVerified: as of an issuer of sign_in.
	EmailsVerified bool `key:"emails_verified"`
	// ClientID is what the issuer knows the site's console by; empty: nobody signs in there
	// by the issuer. ClientSecretFile holds what it shows; empty: it is a public client.
	ClientID         string `key:"client_id"`
	ClientSecretFile string `key:"client_secret_file,path"`
}

func (a *Administrators) defaults() { a.Claim = "roles" }

func (a *Administrators) validate(p *Problems, desktops []SignIn) {
	p.url("administrators.issuer", a.Issuer, true)
	if a.Audience == "" {
		p.add("administrators.audience", "is missing; without it, tokens made out to any other service could administer here")
	}
	for _, s := range desktops {
		if s.Issuer != a.Issuer {
			continue
		}
		if s.Audience == a.Audience {
			p.add("administrators.audience", "is the desktops' audience, too (sign_in); have the issuer make out administrators' tokens to another one")
		}
		if s.Audience == a.ClientID {
			p.add("administrators.client_id", "is the desktops' audience, too (sign_in), so that what signs in at the console would be good at a desktop; register a client of its own")
		}
	}
	if a.ClientSecretFile != "" && a.ClientID == "" {
		p.add("administrators.client_id", "is missing; name the client that client_secret_file is of, as the issuer has registered it, or take the file out")
	}
	if a.Claim == "" {
		p.add("administrators.claim", "is empty; name the claim that holds the roles, such as roles or groups")
	}
	if len(a.Viewers)+len(a.Operators)+len(a.Admins) == 0 {
		p.add("administrators.admins", "is missing; without viewers, operators or admins nobody may do anything: list the values of the claim %s that give each role", a.Claim)
	}
	p.noEmpty("administrators.viewers", a.Viewers)
	p.noEmpty("administrators.operators", a.Operators)
	p.noEmpty("administrators.admins", a.Admins)
}

// noEmpty wants every value of a list to say something.
func (p *Problems) noEmpty(key string, values []string) {
	if slices.Contains(values, "") {
		p.add(key, "lists an empty value; take it out")
	}
}
