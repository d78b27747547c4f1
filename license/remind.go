package license

import (
	"cmp"
	"slices"
	"time"
)

// NeverUsedAfter is how long an assigned license may lie unused before IT is
// reminded of it.
const NeverUsedAfter = 14 * 24 * time.Hour

// ReminderKind is what IT is reminded of (R12); the order is that of the list.
type ReminderKind uint8

// The kinds of reminders.
const (
	RemindMissing    ReminderKind = iota + 1 // assigned to a user who is gone (R11)
	RemindEnding                             // the term ends soon (R1)
	RemindUnassigned                         // paid for, and nobody's (R12)
	RemindNeverUsed                          // assigned, and not used since
	RemindPooled                             // pooled use by a user to whom a license could have been assigned
)

// ReminderKinds lists them, in the order of the list.
func ReminderKinds() []ReminderKind {
	return []ReminderKind{RemindMissing, RemindEnding, RemindUnassigned, RemindNeverUsed, RemindPooled}
}

// String is the stable name of the kind.
func (k ReminderKind) String() string {
	switch k {
	case RemindMissing:
		return "user-not-found"
	case RemindEnding:
		return "ending"
	case RemindUnassigned:
		return "unassigned"
	case RemindNeverUsed:
		return "never-used"
	case RemindPooled:
		return "pooled"
	}
	return "unknown"
}

// Reminder is one thing IT should see to.
type Reminder struct {
	Kind    ReminderKind
	License LicenseID
	Product ProductID
	User    UserID // it is assigned to; of a pooled use: could be
	Ends    Time   // of the license's term; zero: open
	Days    int    // of an ending: it ends within so many (60, 30, 7 or 1); of a pooled use: license-days of the last UseDays
	Since   Time   // of what was never used: since when it could have been; of a pooled use: the first of the days
}

// endingDays are how many days before its end a license is reminded of.
var endingDays = [...]int{1, 7, 30, 60}

func (r Reminder) compare(other Reminder) int {
	return cmp.Or(cmp.Compare(r.Kind, other.Kind), cmp.Compare(r.License, other.License))
}

// Reminders lists what IT should see to at a time, by kind and license.
func Reminders(s *State, at Time) []Reminder {
	return RemindersAfter(s, at, Reminder{}, 2*len(s.licenses))
}

// RemindersAfter lists the first of Reminders that follow on one of a kind and
// license, at most so many. It reads every license, but sorts no more than it
// keeps: whoever owns the state waits for it.
func RemindersAfter(s *State, at Time, after Reminder, most int) []Reminder {
	at = max(at, s.head.Now)
	var list []Reminder
	var last *Reminder // what is not before it is not kept
	cut := func() {
		slices.SortFunc(list, Reminder.compare)
		if len(list) >= most && most > 0 {
			list = list[:most]
			bound := list[most-1]
			last = &bound
		}
	}
	keep := func(r Reminder) {
		if r.compare(after) <= 0 || last != nil && r.compare(*last) >= 0 {
			return
		}
		if list = append(list, r); len(list) >= 2*most {
			cut()
		}
	}
	s.eachReminder(at, keep)
	cut()
	return list
}

// eachReminder calls f for every reminder, in no order.
func (s *State) eachReminder(at Time, f func(Reminder)) {
	free := map[ProductID][]*License{}
	for _, l := range s.licenses {
		if l.Kind != Virtuoso || l.Ends != 0 && at >= l.Ends {
			continue
		}
		r := Reminder{License: l.ID, Product: l.Product, User: l.Assignee, Ends: l.Ends}
		add := func(k ReminderKind) {
			r.Kind = k
			f(r)
		}
		if days := endsWithin(l, at); days > 0 {
			r.Days = days
			add(RemindEnding)
			r.Days = 0
		}
		switch {
		case l.Assignee == "":
			add(RemindUnassigned)
			if l.Runs(at) {
				free[l.Product] = append(free[l.Product], l)
			}
		case NotFound(s, l):
			add(RemindMissing)
		default:
			if since := s.unusedSince(l); since != 0 && at.Sub(since) >= NeverUsedAfter {
				r.Since = since
				add(RemindNeverUsed)
			}
		}
	}
	users := s.poolUsers(func(id ProductID) bool { return len(free[id]) > 0 }, at)
	for product, licenses := range free {
		for _, r := range savings(licenses, users[product], dayOf(at)) {
			f(r)
		}
	}
}

// endsWithin is the least number of days of endingDays within which the license
// ends; zero: it does not.
func endsWithin(l *License, at Time) int {
	if l.Ends == 0 {
		return 0
	}
	for _, days := range endingDays {
		if l.Ends.Sub(at) <= time.Duration(days)*24*time.Hour {
			return days
		}
	}
	return 0
}

// unusedSince is since when a license could have been used and was not. Zero: it
// was, or nobody knows.
func (s *State) unusedSince(l *License) Time {
	if l.LastUsed != 0 || l.AssignedAt == 0 {
		return 0
	}
	return max(l.AssignedAt, l.Starts, s.head.UsedFrom)
}

// used remembers that a license is in use, to the day: more often would be a
// record to write with every start.
func (s *State) used(l *License, at Time) {
	if l.ID == "" || l.LastUsed != 0 && at.Sub(l.LastUsed) < 24*time.Hour {
		return
	}
	l.LastUsed = at
	s.touch(Key{KeyLicense, string(l.ID)})
}
