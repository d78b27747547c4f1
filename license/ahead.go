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
	type ending struct {
		on Day
		of ProductID
	}
	a, terms, checkedOut := Ahead{Licenses: map[string]map[ProductID]int{}, Checkouts: map[string]int{}}, map[ending]int{}, map[Day]int{}
	soon := func(end Time, within time.Duration) bool { return end > at && end.Sub(at) <= within }
	for _, l := range s.licenses {
		if l.Kind != Virtuoso || l.Ends != 0 && at >= l.Ends {
			continue
		}
		if l.Assignee == "" {
			a.Unassigned++
		}
		if soon(l.Ends, licenses) {
			terms[ending{dayOf(l.Ends), l.Product}]++
		}
	}
	for _, p := range s.busy {
		for i := range p.active.Checkouts {
			if end := p.active.Checkouts[i].Until; soon(end, checkouts) {
				checkedOut[dayOf(end)]++
			}
		}
	}
	for x, n := range terms {
		day := x.on.name()
		if a.Licenses[day] == nil {
			a.Licenses[day] = map[ProductID]int{}
		}
		a.Licenses[day][x.of] = n
	}
	for day, n := range checkedOut {
		a.Checkouts[day.name()] = n
	}
	return a
}

// name is the day as Ahead has it.
func (d Day) name() string { return d.Std().UTC().Format(time.DateOnly) }
