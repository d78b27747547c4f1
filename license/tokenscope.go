package license

// TokenScopes are what an API token is good for, of what its role allows; the zero value is
// all of that. The bits are stored.
type TokenScopes uint16

// The scopes.
const (
	// ReadScope looks at what the role may see.
	ReadScope TokenScopes = 1 << iota
	// SessionsScope releases sessions and users.
	SessionsScope
	// CheckoutsScope checks out for users, imports checkouts and writes them off.
	CheckoutsScope
	// LicensesScope moves licenses, and sees to the mirror of them.
	LicensesScope
	// MachinesScope blocks and unblocks users and machines, and forgets machines' keys.
	MachinesScope
	// UsageScope sends usage again, and books what was exported.
	UsageScope
	// AuditScope exports the audit trail, and erases names in it; and so for a person: it
	// reads all that the site keeps about them, and erases them.
	AuditScope
	// ClusterScope sees to the nodes, their settings and time, makes join tokens, replaces the
	// site's CA, examines the way out, makes and downloads backups, in which is all that the
	// site keeps, announces maintenance, and begins and ends bypasses. A node that was let in
	// has a vote and the CA's key, so that it is as good as all the rest, too.
	ClusterScope
	// AccessScope sees to tokens, accounts and what is trusted: who has it can give
	// themselves all the rest.
	AccessScope

	// AnyScope is whichever a token has.
	AnyScope TokenScopes = 1<<iota - 1
)

// scopeNames are in the order of the constants.
func scopeNames() []string {
	return []string{"read", "sessions", "checkouts", "licenses", "machines", "usage", "audit", "cluster", "access"}
}

// Names are those of the scopes, in a fixed order; none: it is all that the role allows.
func (s TokenScopes) Names() []string {
	var names []string
	for i, name := range scopeNames() {
		if s&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// ParseTokenScopes are the scopes of names; false: there is none of one of them.
func ParseTokenScopes(names []string) (s TokenScopes, ok bool) {
	for _, name := range names {
		bit := TokenScopes(0)
		for i, n := range scopeNames() {
			if n == name {
				bit = 1 << i
			}
		}
		if bit == 0 {
			return 0, false
		}
		s |= bit
	}
	return s, true
}

// Allow reports whether a token may be used for what takes one of these; what takes none of
// them is for tokens without scopes alone.
func (s TokenScopes) Allow(oneOf TokenScopes) bool { return s == 0 || s&oneOf != 0 }

// valid reports whether all of them are known.
func (s TokenScopes) valid() bool { return s&^AnyScope == 0 }
