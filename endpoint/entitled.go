package endpoint

import (
	"slices"

	"sitegate/api"
	"sitegate/license"
	"sitegate/phrase"
)

// maxProducts is how many products Me tells of: an account may cover everything
// there is.
const maxProducts = 1000

// startable are the products that a license of the user's, or the account, is for,
// each with the type of license a start would have now (R21). admins are whom to ask.
func startable(s *license.State, who Caller, lang phrase.Lang, admins []string) []api.MyProduct {
	now := s.Head().Now
	var ids []license.ProductID
	if u := s.User(who.User); u != nil {
		ids = license.Covered(s, u.Country, now)
	}
	for _, l := range s.Assigned(who.User) {
		ids = append(ids, l.Product)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	out := make([]api.MyProduct, 0, len(ids))
	for _, id := range ids[:min(len(ids), maxProducts)] {
		p := api.MyProduct{Product: string(id)}
		if known := s.Product(id); known != nil {
			p.Name = known.Name
		}
		typ, list, d := license.Entitlement(s, now, license.Start{User: who.User, Product: id, Email: who.Email})
		if d != nil {
			p.Reason = string(d.Reason)
			_, p.Text, p.Next = phrase.Denial(lang, *d, phrase.Names{Product: productName(s, id), Administrators: admins}, "")
		}
		p.LicenseType, p.Warnings = typ, warnings(s, lang, list, who.User, id, admins)
		out = append(out, p)
	}
	return out
}

// warned words the warnings a session was granted with.
func warned(s *license.State, lang phrase.Lang, x *license.Session) []api.Warning {
	if len(x.Warnings) == 0 {
		return nil
	}
	return warnings(s, lang, x.Warnings, x.User, x.Product, askable(license.Contacts(s)))
}

func warnings(s *license.State, lang phrase.Lang, list []license.Warning, id license.UserID, product license.ProductID, admins []string) []api.Warning {
	if len(list) == 0 {
		return nil
	}
	n, email := phrase.Names{Product: productName(s, product), Administrators: admins}, ""
	if u := s.User(id); u != nil {
		email = u.Email
	}
	out := make([]api.Warning, 0, len(list))
	for _, w := range list {
		out = append(out, api.Warning{Code: string(w), Text: phrase.Warning(lang, w, n, email)})
	}
	return out
}
