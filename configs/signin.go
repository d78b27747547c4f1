package configs

import (
	"strings"
)

// signIn checks the issuers. Of several, no two vouch for the same user: each has its own
// domains, and says where its tokens have the vendor's id of a user.
func (p *Problems) signIn(issuers []SignIn) {
	several := len(issuers) > 1
	first, owner := map[string]string{}, map[string]string{}
	for i, s := range issuers {
		key := keyf("sign_in[%d]", i+1)
		p.url(key+".issuer", s.Issuer, true)
		if s.Audience == "" {
			p.add(key+".audience", "is missing; without it, tokens made out to any other service would be accepted here")
		}
		if other := first[s.Issuer]; other != "" {
			p.add(key+".issuer", "is that of %s, too; list each issuer once", other)
		} else {
			first[s.Issuer] = key
		}
		if i > 0 && s.UserClaim == "" {
			p.add(key+".user_claim", "is missing; name the claim that holds the vendor's id of the user in this issuer's access tokens: its sub is an id of its own (if it is the vendor's all the same, write sub)")
		}
		if several && len(s.Domains) == 0 {
			p.add(key+".domains", "is missing; with several issuers each vouches for its own users only: list the domains of their e-mails, as the vendor has them")
		}
		for _, d := range s.Domains {
			switch other := owner[strings.ToLower(d)]; {
			case !isDomain(d):
				p.add(key+".domains", "%q is not the domain of an e-mail; write what comes after the @, such as example.com", d)
			case other != "":
				p.add(key+".domains", "lists %s, which %s does, too; leave it to one of them: a user is vouched for by one issuer", d, other)
			default:
				owner[strings.ToLower(d)] = key
			}
		}
	}
}

// isDomain reports whether a text can come after an e-mail's @.
func isDomain(d string) bool {
	if d == "" || len(d) > 253 || strings.ContainsAny(d, "@*/: \t") {
		return false
	}
	for label := range strings.SplitSeq(d, ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
	}
	return true
}
