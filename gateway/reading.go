package gateway

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"sitegate/license"
)

// reading is how far one leadership has read the feed.
//
// What takes something away from somebody (license.Takes) waits in losses until the
// feed has been read to its end, and is brought in as a whole then, or held back as a
// whole. Until it is in, the cursor in the log stays before it, or the log notes that
// everything is being read anew (license.Head.Refilling): a leader that follows reads
// it again, and finds the same.
type reading struct {
	cursor string // to read on from; ahead of the log's while losses wait
	whole  bool   // the last page was the end of what there is
	named  names  // not nil: everything is being read anew, and what is not named is gone
	losses losses
	// held is since when losses are held back and not everything was read anew. Zero:
	// they are not.
	held  time.Time
	noted license.Sizes // how much the log knows to be held back
}

// readOn is a reading that goes on from the log.
func readOn(head license.Head) *reading {
	r := &reading{cursor: head.Cursor, losses: losses{}, whole: head.Filled && !head.Refilling}
	if head.Refilling {
		r.cursor = "" // only who began it knows what has been named
	}
	return r
}

// anew begins from the beginning.
func (r *reading) anew() {
	*r = reading{named: names{}, losses: losses{}}
}

// take sorts a page: it returns what takes nothing away, and keeps the rest.
func (r *reading) take(s *license.State, page license.Page) (gains []license.Change) {
	for _, c := range page.Changes {
		k := keyOf(&c)
		delete(r.losses, k) // what is said last counts
		if license.Takes(s, &c) {
			r.losses[k] = c
		} else {
			gains = append(gains, c)
		}
		if r.named != nil {
			r.named.add(k, &c)
		}
	}
	r.cursor, r.whole = page.Cursor, !page.More
	if r.whole && r.named != nil {
		r.named.missing(s, r.losses)
		r.named = nil
	}
	return gains
}

// keyOf names what a change is about.
func keyOf(c *license.Change) license.Key {
	switch {
	case c.User != nil:
		return license.Key{Kind: license.KeyUser, ID: string(c.User.ID)}
	case c.Product != nil:
		return license.Key{Kind: license.KeyProduct, ID: string(c.Product.ID)}
	case c.License != nil:
		return license.Key{Kind: license.KeyLicense, ID: string(c.License.ID)}
	case c.DeleteUser != "":
		return license.Key{Kind: license.KeyUser, ID: string(c.DeleteUser)}
	case c.DeleteProduct != "":
		return license.Key{Kind: license.KeyProduct, ID: string(c.DeleteProduct)}
	case c.DeleteLicense != "":
		return license.Key{Kind: license.KeyLicense, ID: string(c.DeleteLicense)}
	}
	return license.Key{Kind: license.KeyHead}
}

// names is what a reading from the beginning has named so far.
type names map[license.Key]struct{}

func (n names) add(k license.Key, c *license.Change) {
	if c.DeleteUser != "" || c.DeleteProduct != "" || c.DeleteLicense != "" {
		delete(n, k)
	} else {
		n[k] = struct{}{}
	}
}

// missing adds the deletions of everything mirrored that was not named.
func (n names) missing(s *license.State, to losses) {
	gone := func(k license.Key, c license.Change) {
		if _, named := n[k]; !named {
			to[k] = c
		}
	}
	users, products, licenses := s.Mirrored()
	for _, id := range licenses {
		gone(license.Key{Kind: license.KeyLicense, ID: string(id)}, license.Change{DeleteLicense: id})
	}
	for _, id := range users {
		gone(license.Key{Kind: license.KeyUser, ID: string(id)}, license.Change{DeleteUser: id})
	}
	for _, id := range products {
		gone(license.Key{Kind: license.KeyProduct, ID: string(id)}, license.Change{DeleteProduct: id})
	}
}

// losses is what takes something away, by what it is about. There are no more than
// there are records in the mirror.
type losses map[license.Key]license.Change

// list is what to bring in: licenses first, so that nothing points at what is gone.
func (l losses) list() []license.Change {
	rank := map[license.KeyKind]int{license.KeyLicense: 1, license.KeyUser: 2, license.KeyProduct: 3}
	keys := slices.SortedFunc(maps.Keys(l), func(a, b license.Key) int {
		return cmp.Or(cmp.Compare(rank[a.Kind], rank[b.Kind]), cmp.Compare(a.ID, b.ID))
	})
	changes := make([]license.Change, 0, len(keys))
	for _, k := range keys {
		changes = append(changes, l[k])
	}
	return changes
}
