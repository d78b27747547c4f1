package license

import (
	"cmp"
	"container/heap"
	"math/bits"
	"slices"
	"strings"
	"time"
)

// UseDays is for how many days, by GMT and with today, the pooled use of a user is
// remembered: each of them is a license-day that an assigned license would have
// saved (R3, R12).
const UseDays = 60

// PoolUse remembers on which days a user has used products by what the account has
// for all its users. It is written when a session ends; what runs is added by
// whoever reads it.
type PoolUse struct {
	User UserID       `cbor:"1,keyasint"`
	Of   []ProductUse `cbor:"2,keyasint,omitempty"` // sorted by product
}

// ProductUse is what PoolUse has of one product.
type ProductUse struct {
	Product ProductID `cbor:"1,keyasint"`
	Last    Day       `cbor:"2,keyasint,omitempty"` // the last day it was used on
	// Days has a bit for each of the UseDays up to Last: the lowest is Last.
	Days uint64 `cbor:"3,keyasint,omitempty"`
}

// Day is a day by GMT, counted from 1970-01-01.
type Day uint32

const dayLength = 24 * time.Hour

func dayOf(t Time) Day { return Day(max(t, 0) / Time(dayLength.Milliseconds())) }

// Std is the first moment of the day.
func (d Day) Std() time.Time { return d.begins().Std() }

// begins is the first moment of the day.
func (d Day) begins() Time { return Time(d) * Time(dayLength.Milliseconds()) }

// maxProductsUsed is of how many products a user's use is remembered; of more, the
// ones used last.
const maxProductsUsed = 64

const useWindow = uint64(1)<<UseDays - 1

// add marks the days from first to last. What is before the window is dropped.
func (u *ProductUse) add(first, last Day) {
	if last > u.Last {
		u.Days = u.Days << min(last-u.Last, 64) & useWindow // a shift by 64 leaves nothing
		u.Last = last
	}
	oldest := Day(0)
	if u.Last >= UseDays {
		oldest = u.Last - UseDays + 1
	}
	if last < oldest {
		return
	}
	first = max(first, oldest)
	u.Days |= (uint64(1)<<(last-first+1) - 1) << (u.Last - last)
}

// since tells how many days from a day on are marked, and which is the first; today
// is the last of the window.
func (u ProductUse) since(from, today Day) (days int, first Day) {
	if today >= UseDays {
		from = max(from, today-UseDays+1)
	}
	if from > u.Last {
		return 0, 0
	}
	marked := u.Days
	if n := u.Last - from + 1; n < 64 {
		marked &= uint64(1)<<n - 1
	}
	if marked == 0 {
		return 0, 0
	}
	return bits.OnesCount64(marked), u.Last - Day(bits.Len64(marked)-1)
}

// last is the newest day of a user's use.
func (p *PoolUse) last() (d Day) {
	for i := range p.Of {
		d = max(d, p.Of[i].Last)
	}
	return d
}

// expires is when nothing of it is within the window any more.
func (p *PoolUse) expires() Time { return (p.last() + UseDays).begins() }

// of is where the product's use is or would be.
func (p *PoolUse) of(product ProductID) (int, bool) {
	return slices.BinarySearchFunc(p.Of, product, func(u ProductUse, id ProductID) int { return strings.Compare(string(u.Product), string(id)) })
}

// ranPooled reports whether the session counts against the account's pool without a
// license of its user's own.
func (x *Session) ranPooled() bool { return x.Pool && x.Type == TypePooled }

// keepUse notes the days of a session that has ended.
func (s *State) keepUse(ended *Session) {
	if !ended.ranPooled() || s.User(ended.User) == nil {
		return
	}
	first, last := dayOf(ended.Since), dayOf(s.head.Now)
	var p PoolUse
	if old := s.poolUse[ended.User]; old != nil {
		p.Of = slices.Clone(old.Of)
	}
	p.User = ended.User
	i, known := p.of(ended.Product)
	if !known {
		p.Of = slices.Insert(p.Of, i, ProductUse{Product: ended.Product, Last: last})
	}
	before := p.Of[i]
	p.Of[i].add(first, last)
	if known && p.Of[i] == before {
		return // the day was counted already: most sessions write nothing
	}
	p.Of = slices.DeleteFunc(p.Of, func(u ProductUse) bool { return u.Last+UseDays <= last })
	if len(p.Of) > maxProductsUsed {
		oldest := slices.MinFunc(p.Of, func(a, b ProductUse) int {
			return cmp.Or(cmp.Compare(a.Last, b.Last), cmp.Compare(a.Product, b.Product))
		})
		p.Of = slices.DeleteFunc(p.Of, func(u ProductUse) bool { return u.Product == oldest.Product })
	}
	s.setPoolUse(p.User, &p)
}

// setPoolUse replaces, adds or (with nil) removes what is remembered of a user.
func (s *State) setPoolUse(user UserID, p *PoolUse) {
	if p == nil && s.poolUse[user] == nil {
		return
	}
	s.touch(Key{KeyPoolUse, string(user)})
	if p == nil {
		delete(s.poolUse, user)
		return
	}
	s.poolUse[user] = p
	s.planUse(p)
}

// planUse plans to forget it.
func (s *State) planUse(p *PoolUse) {
	heap.Push(&s.useEnds, dueAt{p.expires(), p.User})
	if len(s.useEnds) > 1024 && len(s.useEnds) > 4*len(s.poolUse) {
		s.useEnds = s.useEnds[:0]
		for user, p := range s.poolUse {
			s.useEnds = append(s.useEnds, dueAt{p.expires(), user})
		}
		heap.Init(&s.useEnds)
	}
}

// maxForgotten is how many users' use one entry forgets: an entry changes no more
// than a store can keep in one transaction.
const maxForgotten = 64

// forgetUse drops what is older than anybody asks for, the oldest first.
func (s *State) forgetUse() {
	for n := 0; n < maxForgotten && len(s.useEnds) > 0 && s.useEnds[0].at <= s.head.Now; {
		x := heap.Pop(&s.useEnds).(dueAt)
		if p := s.poolUse[x.user]; p != nil && p.expires() == x.at {
			s.setPoolUse(x.user, nil)
			n++
		}
	}
}

// poolUser is somebody who has worked from the pool.
type poolUser struct {
	*User
	use  ProductUse // with what runs now
	days int
}

// poolUsers lists, of each of the products, who has used it from the pool lately, or
// does so now, and has no license of it: who did so on most days first, then by their
// ids.
func (s *State) poolUsers(products func(ProductID) bool, at Time) map[ProductID][]poolUser {
	type who struct {
		product ProductID
		user    UserID
	}
	today, uses := dayOf(at), map[who]ProductUse{}
	for user, p := range s.poolUse {
		for _, use := range p.Of {
			if products(use.Product) {
				uses[who{use.Product, user}] = use
			}
		}
	}
	for product, users := range s.leaning {
		if !products(product) {
			continue
		}
		for user := range users {
			for _, x := range s.Active(user).Sessions {
				if x.Product == product && x.ranPooled() {
					use := uses[who{product, user}]
					use.add(dayOf(x.Since), today)
					uses[who{product, user}] = use
				}
			}
		}
	}
	lists := map[ProductID][]poolUser{}
	for w, use := range uses {
		u := s.User(w.user)
		days, _ := use.since(0, today)
		if days > 0 && u != nil && !u.Blocked && !u.OtherAccount && u.Country != "" && !s.hasOwn(w.user, w.product, at) {
			lists[w.product] = append(lists[w.product], poolUser{u, use, days})
		}
	}
	for _, list := range lists {
		slices.SortFunc(list, func(a, b poolUser) int {
			return cmp.Or(cmp.Compare(b.days, a.days), cmp.Compare(a.ID, b.ID))
		})
	}
	return lists
}

// hasOwn reports whether a license of the product is the user's own now: assigned, and
// in its term.
func (s *State) hasOwn(user UserID, product ProductID, at Time) bool {
	return slices.ContainsFunc(s.Assigned(user), func(l *License) bool {
		return l.Product == product && l.Kind != Trial && l.Runs(at)
	})
}

// savings pairs licenses that are nobody's with those who have used their product
// from the pool since the license began: whoever did so on most days comes first. It
// sorts the licenses.
func savings(free []*License, users []poolUser, today Day) []Reminder {
	slices.SortFunc(free, func(a, b *License) int { return cmp.Or(cmp.Compare(a.Starts, b.Starts), cmp.Compare(a.ID, b.ID)) })
	var list []Reminder
	taken := make([]bool, len(free))
	next := map[string]int{} // by country: what is before it is taken, or not for the country
	for _, u := range users {
		country := strings.ToUpper(u.Country)
		i := next[country]
		for i < len(free) && (taken[i] || !free[i].covers(country)) {
			i++
		}
		next[country] = i
		if i == len(free) {
			continue
		}
		l := free[i]
		days, first := u.use.since(dayOf(l.Starts), today)
		if days == 0 {
			continue // nor since any later license began
		}
		taken[i] = true
		list = append(list, Reminder{Kind: RemindPooled, License: l.ID, Product: l.Product, User: u.ID, Ends: l.Ends,
			Days: days, Since: first.begins()})
	}
	return list
}
