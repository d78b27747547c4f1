package license

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// PeakInterval is what peaks of usage are counted in: 0 to 9 minutes past the hour,
// 10 to 19 and so on, in GMT (KB0019027).
const PeakInterval = 10 * time.Minute

// Peak is the most machines that ran a product in one interval.
type Peak struct {
	Product  ProductID
	Machines int
	At       Time // when the first interval with so many begins
}

// Peaks counts unique machines per product in the intervals that begin in [from, to)
// and gives the peak of each product, in order. A machine counts from the first
// whole interval of its use, and in all of the interval in which it stops: use that
// begins and ends within one interval does not count. A user on several machines
// counts as often, several users on one machine count once. Nothing is stored: the
// records of the journal are what it is counted from.
func Peaks(usage []Usage, from, to Time) []Peak {
	known := newMachineKeys(usage)
	steps := map[ProductID][]peakStep{}
	for i := range usage {
		u := &usage[i]
		first := max(intervalFrom(u.Started), intervalFrom(from))
		after := min(intervalFrom(u.Ended), intervalFrom(to))
		if first >= after {
			continue
		}
		m := known.key(u.Machine)
		steps[u.Product] = append(steps[u.Product], peakStep{first, m, 1}, peakStep{after, m, -1})
	}
	var peaks []Peak
	for _, product := range slices.Sorted(maps.Keys(steps)) {
		p := highest(steps[product])
		p.Product = product
		peaks = append(peaks, p)
	}
	return peaks
}

// PooledPeaks are the Peaks of what counts against the account's pool: Practitioner
// use does not.
func PooledPeaks(usage []Usage, from, to Time) []Peak {
	var pooled []Usage
	for _, u := range usage {
		if u.LicenseType != "" && u.LicenseType != Practitioner {
			pooled = append(pooled, u)
		}
	}
	return Peaks(pooled, from, to)
}

// intervalFrom is the number of the first interval that begins at or after t. Use
// that ends at t is over before that interval.
func intervalFrom(t Time) int64 {
	length := PeakInterval.Milliseconds()
	return (int64(t) + length - 1) / length
}

// peakStep is a machine that comes into an interval, or is not in it any more.
type peakStep struct {
	interval int64
	machine  string
	by       int
}

func highest(steps []peakStep) Peak {
	slices.SortFunc(steps, func(a, b peakStep) int { return cmp.Compare(a.interval, b.interval) })
	var p Peak
	running := map[string]int{} // how much of the product runs on each machine
	for i, step := range steps {
		if running[step.machine] += step.by; running[step.machine] == 0 {
			delete(running, step.machine)
		}
		last := i+1 == len(steps) || steps[i+1].interval != step.interval
		if last && len(running) > p.Machines {
			p.Machines, p.At = len(running), Time(step.interval*PeakInterval.Milliseconds())
		}
	}
	return p
}

// machineKeys tell machines apart by their ids, and by their names where they are
// known by no id.
type machineKeys map[string]string // bare name: the one id it goes with, "" for several

func newMachineKeys(usage []Usage) machineKeys {
	k := machineKeys{}
	for i := range usage {
		m := usage[i].Machine
		if m.ID == "" {
			continue
		}
		name := bareName(m.Name)
		if id, there := k[name]; there && id != m.ID {
			k[name] = ""
		} else {
			k[name] = m.ID
		}
	}
	return k
}

func (k machineKeys) key(m Machine) string {
	name := bareName(m.Name)
	if m.ID == "" && name != "" {
		m.ID = k[name]
	}
	if m.ID != "" {
		return "id " + m.ID
	}
	return "name " + name
}
