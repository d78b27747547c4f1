package license

import (
	"slices"
	"strings"
)

// noteReport keeps the marks of reports in a list that is put in order anew each time.
func (w *twin) noteReport(c NoteReport) Outcome {
	if c.Name == "" || c.Way == "" || !twinName(c.Name, c.Way) || c.Through <= 0 {
		return refuse("bad-command")
	}
	list := []ReportMark{{Name: c.Name, Way: c.Way, Through: c.Through}}
	for _, m := range w.head.Reports {
		if m.Name != c.Name || m.Way != c.Way {
			list = append(list, m)
		} else if m.Through >= c.Through {
			return Outcome{Repeat: true}
		}
	}
	inOrder := func(a, b ReportMark) int { return strings.Compare(a.Name+"\x00"+a.Way, b.Name+"\x00"+b.Way) }
	slices.SortFunc(list, inOrder)
	if len(list) > 64 {
		slices.SortStableFunc(list, func(a, b ReportMark) int { return int(a.Through - b.Through) })
		list = list[1:]
		slices.SortFunc(list, inOrder)
	}
	w.head.Reports = list
	return Outcome{}
}
