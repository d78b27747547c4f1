package license

import (
	"slices"
	"strings"
)

// UsersByEmail finds the users of each of these addresses, whatever their case, in
// the order of their ids; the keys are in lower case. It looks at all users: it is
// for what IT does now and then.
func (s *State) UsersByEmail(addresses []string) map[string][]UserID {
	found := make(map[string][]UserID, len(addresses))
	for _, a := range addresses {
		found[strings.ToLower(a)] = nil
	}
	for id, p := range s.people {
		u := &p.user
		if !p.mirrored || u.Email == "" {
			continue
		}
		email := strings.ToLower(u.Email)
		if ids, wanted := found[email]; wanted {
			found[email] = append(ids, id)
		}
	}
	for _, ids := range found {
		slices.Sort(ids)
	}
	return found
}
