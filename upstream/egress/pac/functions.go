package pac

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// shExpMatch matches a text with * and ? as a shell does. It takes at most as many steps as the one has characters times the other.
func shExpMatch(s, pattern string) bool {
	i, j, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case j < len(pattern) && pattern[j] == '*':
			star, mark = j, i
			j++
		case j < len(pattern) && (pattern[j] == '?' || pattern[j] == s[i]):
			i++
			j++
		case star >= 0: // the last star takes one more
			mark++
			i, j = mark, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[j:], "*") == ""
}

// dnsDomainIs says whether a host ends with a domain, which usually begins with a dot.
func dnsDomainIs(host, domain string) bool {
	return strings.HasSuffix(strings.ToLower(host), strings.ToLower(domain))
}

// localHostOrDomainIs says whether a host is that name, or the first part of it alone.
func localHostOrDomainIs(host, name string) bool {
	host, name = strings.ToLower(host), strings.ToLower(name)
	return host == name || host != "" && !strings.Contains(host, ".") && strings.HasPrefix(name, host+".")
}

// isInNet says whether an address is in a network, given as its address and mask.
func isInNet(a netip.Addr, network, mask string) bool {
	n, errN := netip.ParseAddr(network)
	m, errM := netip.ParseAddr(mask)
	if a = a.Unmap(); !a.Is4() || errN != nil || errM != nil || !n.Is4() || !m.Is4() {
		return false
	}
	a4, n4, m4 := a.As4(), n.As4(), m.As4()
	for i := range 4 {
		if a4[i]&m4[i] != n4[i]&m4[i] {
			return false
		}
	}
	return true
}

var (
	days   = []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}
	months = []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
)

// zone takes the word GMT from the end of what a file asks.
func zone(now time.Time, args []string) (time.Time, []string) {
	if n := len(args); n > 0 && args[n-1] == "GMT" {
		return now.UTC(), args[:n-1]
	}
	return now, args
}

// between says whether x is from a to b, where the year or week may begin in between.
func between(x, a, b int) bool {
	if a <= b {
		return a <= x && x <= b
	}
	return x >= a || x <= b
}

// weekdayRange is for (day), (day, day), each with "GMT".
func weekdayRange(now time.Time, args []string) bool {
	now, args = zone(now, args)
	if len(args) != 1 && len(args) != 2 {
		return false
	}
	a, b := slices.Index(days, args[0]), slices.Index(days, args[len(args)-1])
	return a >= 0 && b >= 0 && between(int(now.Weekday()), a, b)
}

// date is what a file says of one: -1 for what it does not.
type date struct{ day, month, year int }

// dateRange is for a day, a month, a year, or two of the same of them, or of several of them in that order, each with "GMT".
func dateRange(now time.Time, args []string) bool {
	now, args = zone(now, args)
	var ends [][]string
	switch n := len(args); n {
	case 1:
		ends = [][]string{args, args}
	case 2, 4, 6:
		ends = [][]string{args[:n/2], args[n/2:]}
	default:
		return false
	}
	a, okA := readDate(ends[0])
	b, okB := readDate(ends[1])
	if !okA || !okB || (a.day < 0) != (b.day < 0) || (a.month < 0) != (b.month < 0) || (a.year < 0) != (b.year < 0) {
		return false
	}
	// What both leave out counts for nothing; with a year, nothing begins anew in between.
	x := date{now.Day(), int(now.Month()) - 1, now.Year()}
	number := func(d date) int {
		n := 0
		if a.year >= 0 {
			n += d.year * 12 * 31
		}
		if a.month >= 0 {
			n += d.month * 31
		}
		if a.day >= 0 {
			n += d.day - 1
		}
		return n
	}
	if a.year >= 0 {
		return number(a) <= number(x) && number(x) <= number(b)
	}
	return between(number(x), number(a), number(b))
}

func readDate(words []string) (date, bool) {
	d := date{-1, -1, -1}
	for _, w := range words {
		if m := slices.Index(months, w); m >= 0 && d.month < 0 {
			d.month = m
			continue
		}
		n, err := strconv.Atoi(w)
		switch {
		case err != nil:
			return d, false
		case n >= 1 && n <= 31 && d.day < 0:
			d.day = n
		case n > 31 && n < 10000 && d.year < 0:
			d.year = n
		default:
			return d, false
		}
	}
	return d, true
}

// timeRange is for (hour), (hour, hour), (hour, minute, hour, minute), or those with seconds, each with "GMT". The last hour, minute or second
// is in it, as browsers have it.
func timeRange(now time.Time, args []string) bool {
	now, args = zone(now, args)
	n := make([]int, len(args))
	for i, a := range args {
		var err error
		if n[i], err = strconv.Atoi(a); err != nil || n[i] < 0 || n[i] > 59 {
			return false
		}
	}
	hour, minute := now.Hour(), now.Hour()*60+now.Minute()
	switch len(n) {
	case 1:
		return hour == n[0]
	case 2:
		return between(hour, n[0], n[1])
	case 4:
		return between(minute, n[0]*60+n[1], n[2]*60+n[3])
	case 6:
		return between(minute*60+now.Second(), n[0]*3600+n[1]*60+n[2], n[3]*3600+n[4]*60+n[5])
	}
	return false
}
