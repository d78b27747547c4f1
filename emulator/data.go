package emulator

import (
	"slices"
	"strings"

	"sitegate/upstream/cloudapi"
)

// SetAccount sets the account and its terms.
func (e *Emulator) SetAccount(a cloudapi.Account) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if old := e.account; old != nil && old.ID != a.ID {
		e.account = nil
		e.feed.touch(cloudapi.KindAccount, old.ID)
	}
	a.Admins = slices.Clone(a.Admins)
	a.CountryPolicies = slices.Clone(a.CountryPolicies)
	if c := a.FulfillmentContact; c != nil {
		copied := *c
		a.FulfillmentContact = &copied
	}
	e.account = &a
	e.feed.touch(cloudapi.KindAccount, a.ID)
}

// Account is the account as it is; false: none is set.
func (e *Emulator) Account() (cloudapi.Account, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.account == nil {
		return cloudapi.Account{}, false
	}
	return *e.account, true
}

// PutUser adds or changes a user. A new user's password is Password(id) until SetPassword.
func (e *Emulator) PutUser(u cloudapi.User) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.putUser(u)
}

func (e *Emulator) putUser(u cloudapi.User) {
	u.Roles = slices.Clone(u.Roles)
	put(&e.users, u.ID, u)
	e.feed.touch(cloudapi.KindUser, u.ID)
}

// DeleteUser removes a user, as an administrator does who should have moved the licenses first (R11): they stay assigned to an id
// that no one has, until RepairAssignment.
func (e *Emulator) DeleteUser(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, there := e.users[id]; there {
		delete(e.users, id)
		e.feed.touch(cloudapi.KindUser, id)
	}
}

// SetPassword gives a user another password to sign in with.
func (e *Emulator) SetPassword(userID, password string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	put(&e.secrets, userID, password)
}

// PutProduct adds or changes a product.
func (e *Emulator) PutProduct(p cloudapi.Product) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.putProduct(p)
}

func (e *Emulator) putProduct(p cloudapi.Product) {
	put(&e.products, p.ID, p)
	e.feed.touch(cloudapi.KindProduct, p.ID)
}

// PutLicense adds or changes a license.
func (e *Emulator) PutLicense(l cloudapi.License) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.putLicense(l)
}

func (e *Emulator) putLicense(l cloudapi.License) {
	l.Countries = slices.Clone(l.Countries)
	put(&e.licenses, l.ID, l)
	e.feed.touch(cloudapi.KindLicense, l.ID)
}

// DeleteLicense removes a license.
func (e *Emulator) DeleteLicense(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, there := e.licenses[id]; there {
		delete(e.licenses, id)
		e.feed.touch(cloudapi.KindLicense, id)
	}
}

// User is the user with an id or an e-mail address, in any case; false: there is none.
func (e *Emulator) User(idOrEmail string) (cloudapi.User, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.user(idOrEmail)
}

func (e *Emulator) user(idOrEmail string) (cloudapi.User, bool) {
	if u, there := e.users[idOrEmail]; there {
		return u, true
	}
	for _, u := range e.users {
		if strings.EqualFold(u.Email, idOrEmail) {
			return u, true
		}
	}
	return cloudapi.User{}, false
}

// Users are all users, ordered by id.
func (e *Emulator) Users() []cloudapi.User { return sorted(e, &e.users) }

// Products are all products, ordered by id.
func (e *Emulator) Products() []cloudapi.Product { return sorted(e, &e.products) }

// Licenses are all licenses, ordered by id.
func (e *Emulator) Licenses() []cloudapi.License { return sorted(e, &e.licenses) }

func put[V any](m *map[string]V, id string, v V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[id] = v
}

func sorted[V any](e *Emulator, m *map[string]V) []V {
	e.mu.Lock()
	defer e.mu.Unlock()
	ids := make([]string, 0, len(*m))
	for id := range *m {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	list := make([]V, 0, len(ids))
	for _, id := range ids {
		list = append(list, (*m)[id])
	}
	return list
}
