package license

// Authority is what an administrator of the site may do; each one may do what those
// below it may. The zero value is none at all.
type Authority uint8

// The authorities.
const (
	// Viewer may look at everything that is no secret.
	Viewer Authority = iota + 1
	// Operator acts on sessions, checkouts, requests, users' and machines' blocks, and
	// tells of maintenance.
	Operator
	// Admin acts on the site itself: its nodes, tokens and accounts, what it trusts, and
	// what it is restored from.
	Admin
)

// authorityNames are in the order of the constants.
func authorityNames() []string { return []string{"viewer", "operator", "admin"} }

// String is the authority's name; empty: none.
func (a Authority) String() string {
	if a < Viewer || a > Admin {
		return ""
	}
	return authorityNames()[a-1]
}

// ParseAuthority is the authority of a name; the zero value: there is none of it.
func ParseAuthority(name string) Authority {
	for i, n := range authorityNames() {
		if n == name {
			return Authority(i + 1)
		}
	}
	return 0
}
