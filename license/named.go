package license

import (
	"maps"
	"slices"
	"strings"
)

// Besides users with roles, the account names people by their e-mail: administrators,
// and the fulfillment contact, who need not be a user at all (R22). They are told
// what their role is told: as the users they are, or else by their e-mail.

// mailed are the people of one e-mail that the account names.
type mailed struct {
	roles Roles
	users map[UserID]struct{} // with this e-mail
}

// ByMail is as whom somebody is told whom the account names by this e-mail and who is
// not one of its users.
func ByMail(email string) UserID { return UserID(mailPrefix + mailKey(email)) }

const mailPrefix = "mailto:"

func mailKey(email string) string { return strings.ToLower(email) }

// Named reports the roles for which the account names this e-mail, where no user of
// the account has it. Zero: it does not, or it is told as that user.
func Named(s *State, email string) Roles {
	if n := s.byMail[mailKey(email)]; n != nil && len(n.users) == 0 {
		return n.roles
	}
	return 0
}

// namesOf are the e-mails that the account names, and for what.
func (a *Account) namesOf() map[string]Roles {
	names := map[string]Roles{}
	for _, admin := range a.Administrators {
		if admin.Email != "" {
			names[mailKey(admin.Email)] |= RoleAdministrator
		}
	}
	if c := a.FulfillmentContact; c.Email != "" {
		names[mailKey(c.Email)] |= RoleFulfillment
	}
	return names
}

// setAccount replaces the account, and sees which users it names. Most changes of it
// name the same: all users are looked at only where they do not.
func (s *State) setAccount(a Account) {
	s.head.Account = a
	names := a.namesOf()
	if maps.EqualFunc(names, s.byMail, func(r Roles, n *mailed) bool { return r == n.roles }) {
		return
	}
	s.byMail = map[string]*mailed{}
	for email, roles := range names {
		s.byMail[email] = &mailed{roles, map[UserID]struct{}{}}
	}
	s.staff = map[UserID]struct{}{}
	for _, p := range s.people {
		if p.mirrored {
			s.setStaff(&p.user, true)
		}
	}
}

// setStaff keeps the indexes of who is somebody in the account.
func (s *State) setStaff(u *User, on bool) {
	n := s.byMail[mailKey(u.Email)]
	switch {
	case on:
		if n != nil {
			n.users[u.ID] = struct{}{}
		}
		if n != nil || u.Roles != 0 {
			s.staff[u.ID] = struct{}{}
		}
	default:
		if n != nil {
			delete(n.users, u.ID)
		}
		delete(s.staff, u.ID)
	}
}

// rolesOf are the user's roles, with those for which the account names their e-mail.
func (s *State) rolesOf(u *User) Roles {
	if n := s.byMail[mailKey(u.Email)]; n != nil {
		return u.Roles | n.roles
	}
	return u.Roles
}

// told are the people with one of the roles, at most MaxTold: users first.
func (s *State) told(roles Roles) []UserID {
	var to []UserID
	for _, id := range slices.Sorted(maps.Keys(s.staff)) {
		if u := s.User(id); s.rolesOf(u)&roles != 0 && !u.Blocked && len(to) < MaxTold {
			to = append(to, id)
		}
	}
	for _, email := range slices.Sorted(maps.Keys(s.byMail)) {
		if Named(s, email)&roles != 0 && len(to) < MaxTold {
			to = append(to, ByMail(email))
		}
	}
	return to
}
