package license

import (
	"slices"
	"time"
)

// ProductSurvey is how the licenses of one product are: those for named users whose term
// covers the moment.
type ProductSurvey struct {
	Owned      int
	Unassigned int         // assigned to nobody
	NeverUsed  []LicenseID // assigned for NeverUsedAfter or longer, and not used since, in order
	Ending     int         // whose term ends soon
}

// Survey counts licenses by product, as they are at a time. It reads every license, and
// whoever owns the state waits for it.
func Survey(s *State, at Time, soon time.Duration) map[ProductID]*ProductSurvey {
	at = max(at, s.head.Now)
	all := map[ProductID]*ProductSurvey{}
	for id, l := range s.licenses {
		if l.Kind != Virtuoso || !l.Runs(at) {
			continue
		}
		p := all[l.Product]
		if p == nil {
			p = &ProductSurvey{}
			all[l.Product] = p
		}
		p.Owned++
		if l.Ends != 0 && l.Ends.Sub(at) <= soon {
			p.Ending++
		}
		if l.Assignee == "" {
			p.Unassigned++
		} else if since := s.unusedSince(l); !NotFound(s, l) && since != 0 && at.Sub(since) >= NeverUsedAfter {
			p.NeverUsed = append(p.NeverUsed, id)
		}
	}
	for _, p := range all {
		slices.Sort(p.NeverUsed)
	}
	return all
}
