package license

import "time"

// Ahead is what of a site comes to an end soon, counted by days (GMT, as 2026-11-30), and
// what is nobody's. It names nobody.
type Ahead struct {
	Licenses   map[string]map[ProductID]int // Virtuoso licenses whose term ends on a day
	Checkouts  map[string]int               // that end on a day
	Unassigned int                          // Virtuoso licenses that are assigned to nobody
}

// LookAhead counts what ends within so long after a time. It reads every license and
// everybody who has something open, and whoever owns the state waits for it.
func LookAhead(s *State, at Time, licenses, checkouts time.Duration) Ahead {
	at = max(at, s.head.Now)
	a := Ahead{Licenses: map[string]map[ProductID]int{}, Checkouts: map[string]int{}}
	soon := func(end Time, within time.Duration) bool { return end > at && end.Sub(at) <= within }
	for _, l := range s.licenses {
		if l.Kind != Virtuoso || l.Ends != 0 && at >= l.Ends {
			continue
		}
		if l.Assignee == "" {
			a.Unassigned++
		}
		if soon(l.Ends, licenses) {
			day := gmtDay(l.Ends)
			if a.Licenses[day] == nil {
				a.Licenses[day] = map[ProductID]int{}
			}
			a.Licenses[day][l.Product]++
		}
	}
	for _, p := range s.busy {
		for i := range p.active.Checkouts {
			if end := p.active.Checkouts[i].Until; soon(end, checkouts) {
				a.Checkouts[gmtDay(end)]++
			}
		}
	}
	return a
}

// gmtDay is the day of a moment, as Ahead has it.
func gmtDay(t Time) string { return t.Std().UTC().Format(time.DateOnly) }
