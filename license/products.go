package license

import (
	"maps"
	"slices"
)

// Products are the mirrored products, in the order of their ids: read-only, and good
// until the next entry. There are few.
func (s *State) Products() []*Product {
	list := make([]*Product, 0, len(s.products))
	for _, id := range slices.Sorted(maps.Keys(s.products)) {
		list = append(list, s.products[id])
	}
	return list
}

// UserBar is by whom, when and why IT keeps a user out of the site, if it does.
func UserBar(s *State, user UserID) (Bar, bool) {
	b, there := s.bars[Bar{User: user}.Key()]
	return b, there
}
