package gateway

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"sitegate/license"
)

// lossWait is how long what takes something away waits for the end of the feed.
const lossWait = time.Minute

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
	since  time.Time // when the first of the losses was read
	told   time.Time // when the log last heard of it
	// held is since when losses are held back and not everything was read anew. Zero:
	// they are not.
	held time.Time
	// judged: nothing has changed since it was last found how much the losses are, and
	// as what the log knew them to be held back then.
	judged bool
	losing license.Sizes
	as     license.Held
	noted  license.Sizes // how much the log was told to hold back
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

// lookAt is how many changes are looked at in the state at a time: nothing is decided
// meanwhile.
const lookAt = 500

// take sorts a page: it returns what is news and takes nothing away, and keeps what
// does. apart: no two of them are about the same. Where everything is read anew, miss is
// to follow on the last.
func (r *reading) take(view func(func(*license.State)), page license.Page) (gains []license.Change, apart bool) {
	gains, apart = make([]license.Change, 0, len(page.Changes)), true
	said := make(map[license.Key]struct{}, len(page.Changes)) // by this page, and not in the state yet
	for piece := range slices.Chunk(page.Changes, lookAt) {
		view(func(s *license.State) { gains, apart = r.sort(s, piece, said, gains, apart) })
	}
	r.cursor, r.whole = page.Cursor, !page.More
	return gains, apart
}

// sort is take for a piece of a page.
func (r *reading) sort(s *license.State, piece []license.Change, said map[license.Key]struct{}, gains []license.Change, apart bool) ([]license.Change, bool) {
	for i := range piece {
		c := &piece[i]
		k := keyOf(c)
		_, again := said[k]
		if _, there := r.losses[k]; there {
			delete(r.losses, k) // what is said last counts
			r.judged = false
		}
		if license.Takes(s, c) {
			if len(r.losses) == 0 {
				r.since = time.Now()
			}
			r.losses[k], r.judged = *c, false
			apart = apart && !again
		} else if again || !license.Unchanged(s, c) {
			gains = append(gains, *c)
			said[k] = struct{}{}
			apart = apart && !again
		}
		if r.named != nil {
			r.named.add(k, c)
		}
	}
	return gains, apart
}

// complete reports whether the losses may be brought in: the feed has been read to its
// end, or has none, and they have waited long enough.
func (r *reading) complete() bool {
	endless := r.named == nil && r.held.IsZero() && len(r.losses) > 0 && time.Since(r.since) >= lossWait
	return r.whole || endless
}

// miss ends a reading of everything: of what is mirrored it loses what was not named.
func (r *reading) miss(mirrored []license.Key) {
	for _, k := range mirrored {
		if _, named := r.named[k]; !named {
			r.losses[k], r.judged = deletion(k), false
		}
	}
	r.named = nil
}

func deletion(k license.Key) license.Change {
	switch k.Kind {
	case license.KeyUser:
		return license.Change{DeleteUser: license.UserID(k.ID)}
	case license.KeyProduct:
		return license.Change{DeleteProduct: license.ProductID(k.ID)}
	default:
		return license.Change{DeleteLicense: license.LicenseID(k.ID)}
	}
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
	if c.Malformed != "" {
		n[k] = struct{}{} // that it is gone is said already
	} else if c.DeleteUser != "" || c.DeleteProduct != "" || c.DeleteLicense != "" {
		delete(n, k)
	} else {
		n[k] = struct{}{}
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
