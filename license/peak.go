package license

import (
	"cmp"
	"math/bits"
	"slices"
	"time"
)

// PeakInterval is what peaks of usage are counted in: 0 to 9 minutes past the hour,
// 10 to 19 and so on, in GMT (KB0019027).
const PeakInterval = 10 * time.Minute

// peakDay is how many intervals a day has.
const peakDay = int64(24 * time.Hour / PeakInterval)

// Peak is the most machines that ran a product in one interval of a day.
type Peak struct {
	Day      Time      `cbor:"1,keyasint"` // in GMT
	Product  ProductID `cbor:"2,keyasint"`
	Machines int       `cbor:"3,keyasint"`
	At       Time      `cbor:"4,keyasint"` // when the first interval with so many begins
	// Pooled and PooledAt are the same of what counts against the account's pool:
	// Practitioner use does not. Zero: there was none.
	Pooled   int  `cbor:"5,keyasint,omitempty"`
	PooledAt Time `cbor:"6,keyasint,omitempty"`
}

// PeakCount counts unique machines per product and interval from records of usage,
// in any order, and as often as they come. A machine counts from the first whole
// interval of its use, and in all of the interval in which it stops: use that begins
// and ends within one interval does not count. A user on several machines counts as
// often, several users on one machine count once. Machines are told apart by their
// ids, and by their names where they are known by no id.
//
// It remembers which machine ran in which interval, and no more than it is told to:
// where that is too much, it counts a shorter time, whole days from the beginning, and
// Until says to when. NewPeakCount makes one.
type PeakCount struct {
	from, until int64 // intervals
	most, size  int   // bytes, about
	uses        map[peakKey]*peakUse
	names       map[string]string // bare name of a machine: the one id it goes with, "" for several
	full        bool
}

// peakKey is a product on a machine; the name is empty where there is an id.
type peakKey struct {
	product  ProductID
	id, name string
}

// peakUse is in which intervals it ran; pooled is nil where it never was.
type peakUse struct{ all, pooled intervals }

// NewPeakCount counts the intervals that begin in [from, until) in about so many
// bytes of memory.
func NewPeakCount(from, until Time, most int) *PeakCount {
	return &PeakCount{from: intervalFrom(from), until: max(intervalFrom(from), intervalFrom(until)), most: most,
		uses: map[peakKey]*peakUse{}, names: map[string]string{}}
}

// Until is when the time that is counted ends: as it was asked for, or sooner.
func (c *PeakCount) Until() Time { return intervalTime(c.until) }

// Full reports that not even a day fits the memory: there is nothing to be had then.
func (c *PeakCount) Full() bool { return c.full }

// Add counts a record.
func (c *PeakCount) Add(u *Usage) {
	if c.full {
		return
	}
	k := peakKey{product: u.Product, id: u.Machine.ID}
	name := bareName(u.Machine.Name)
	if k.id == "" {
		k.name = name
	} else if name != "" {
		c.goesWith(name, k.id) // whenever that was
	}
	first, after := max(intervalFrom(u.Started), c.from), min(intervalFrom(u.Ended), c.until)
	if first < after {
		c.ran(k, first-c.from, after-c.from, u.LicenseType != "" && u.LicenseType != Practitioner)
	}
	for c.size > c.most && !c.full {
		c.shorten()
	}
}

func (c *PeakCount) ran(k peakKey, first, after int64, pooled bool) {
	use := c.uses[k]
	if use == nil {
		use = &peakUse{all: newIntervals(c.until - c.from)}
		c.uses[k] = use
		c.size += use.bytes()
	}
	use.all.set(first, after)
	if pooled && use.pooled == nil {
		use.pooled = newIntervals(c.until - c.from)
		c.size += 8 * len(use.pooled)
	}
	if pooled {
		use.pooled.set(first, after)
	}
}

// goesWith notes the id of a machine's name.
func (c *PeakCount) goesWith(name, id string) {
	if known, there := c.names[name]; !there {
		c.names[name] = id
		c.size += 2*len(name) + len(id) + 64
	} else if known != id {
		c.names[name] = ""
	}
}

func (u *peakUse) bytes() int { return 8*(len(u.all)+len(u.pooled)) + 300 }

// shorten counts half of the days only.
func (c *PeakCount) shorten() {
	day := c.from / peakDay
	until := (day + ((c.until-1)/peakDay-day+1)/2) * peakDay
	if until <= c.from {
		c.full = true
		return
	}
	c.until, c.size = until, 0
	for name, id := range c.names {
		c.size += 2*len(name) + len(id) + 64
	}
	for k, use := range c.uses {
		use.all, use.pooled = use.all.cut(until-c.from), use.pooled.cut(until-c.from)
		if use.all.none() {
			delete(c.uses, k)
			continue
		}
		c.size += use.bytes()
	}
}

// Peaks are the peaks of each day and product, in this order; a day on which a
// product was not used is left out.
func (c *PeakCount) Peaks() []Peak {
	if c.full {
		return nil
	}
	type counts struct{ all, pooled []int32 }
	length := c.until - c.from
	products := map[ProductID]*counts{}
	for k, use := range c.known() {
		n := products[k.product]
		if n == nil {
			n = &counts{make([]int32, length), make([]int32, length)}
			products[k.product] = n
		}
		use.all.count(n.all)
		use.pooled.count(n.pooled)
	}
	var peaks []Peak
	for product, n := range products {
		for i := int64(0); i < length; {
			day := (c.from + i) / peakDay
			p := Peak{Day: intervalTime(day * peakDay), Product: product}
			for ; i < length && (c.from+i)/peakDay == day; i++ {
				if int(n.all[i]) > p.Machines {
					p.Machines, p.At = int(n.all[i]), intervalTime(c.from+i)
				}
				if int(n.pooled[i]) > p.Pooled {
					p.Pooled, p.PooledAt = int(n.pooled[i]), intervalTime(c.from+i)
				}
			}
			if p.Machines > 0 {
				peaks = append(peaks, p)
			}
		}
	}
	slices.SortFunc(peaks, func(a, b Peak) int { return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Product, b.Product)) })
	return peaks
}

// known are the uses of each machine, those by its name alone with those by its id.
func (c *PeakCount) known() map[peakKey]*peakUse {
	known := make(map[peakKey]*peakUse, len(c.uses))
	for k, use := range c.uses {
		if k.id == "" {
			if id := c.names[k.name]; id != "" {
				k.id, k.name = id, ""
			}
		}
		if other := known[k]; other != nil {
			use = &peakUse{all: other.all.or(use.all), pooled: other.pooled.or(use.pooled)}
		}
		known[k] = use
	}
	return known
}

// intervalFrom is the number of the first interval that begins at or after t. Use
// that ends at t is over before that interval.
func intervalFrom(t Time) int64 {
	length := PeakInterval.Milliseconds()
	return (max(int64(t), 0) + length - 1) / length
}

func intervalTime(n int64) Time { return Time(n * PeakInterval.Milliseconds()) }

// intervals is a set of them, as bits.
type intervals []uint64

func newIntervals(n int64) intervals { return make(intervals, (n+63)/64) }

// set adds those in [from, until).
func (s intervals) set(from, until int64) {
	for i := from; i < until; {
		if i%64 == 0 && until-i >= 64 {
			s[i/64] = ^uint64(0)
			i += 64
			continue
		}
		s[i/64] |= 1 << (i % 64)
		i++
	}
}

// cut leaves those below n, in memory of their own.
func (s intervals) cut(n int64) intervals {
	if s == nil {
		return nil
	}
	short := newIntervals(n)
	copy(short, s)
	if n%64 != 0 {
		short[len(short)-1] &= 1<<(n%64) - 1
	}
	return short
}

func (s intervals) none() bool {
	return !slices.ContainsFunc(s, func(w uint64) bool { return w != 0 })
}

// or is those in either.
func (s intervals) or(other intervals) intervals {
	if len(s) < len(other) {
		s, other = other, s
	}
	all := slices.Clone(s)
	for i, w := range other {
		all[i] |= w
	}
	return all
}

func (s intervals) count(into []int32) {
	for i, w := range s {
		for ; w != 0; w &= w - 1 {
			into[i*64+bits.TrailingZeros64(w)]++
		}
	}
}
