package license

import (
	"cmp"
	"slices"
)

// MaxReportMarks is how many reports by how many ways a site remembers; with one more, the
// one that told of the longest ago goes.
const MaxReportMarks = 64

// ReportMark says through when a report that is sent again and again was told by a way. It
// decides nothing.
type ReportMark struct {
	Name    string `cbor:"440,keyasint"` // which: day, week, month
	Way     string `cbor:"441,keyasint"`
	Through Time   `cbor:"442,keyasint,omitempty"`
}

// NoteReport says that a report was sent by a way, so that whoever leads next does not send
// it again. Only the leader proposes it.
type NoteReport struct {
	Name    string `cbor:"440,keyasint"`
	Way     string `cbor:"441,keyasint"`
	Through Time   `cbor:"442,keyasint"`
}

func (c NoteReport) decide(*State, Time) *Denial {
	if !validNode(c.Name) || !validNode(c.Way) || c.Through <= 0 {
		return deny(BadCommand)
	}
	return nil
}

func (c NoteReport) do(s *State, _ Time) Outcome {
	list := s.head.Reports
	i, there := slices.BinarySearchFunc(list, c, func(m ReportMark, c NoteReport) int {
		return cmp.Or(cmp.Compare(m.Name, c.Name), cmp.Compare(m.Way, c.Way))
	})
	if there && list[i].Through >= c.Through {
		return Outcome{Repeat: true}
	}
	list = slices.Clone(list) // readers may still have the one that was there
	if there {
		list[i].Through = c.Through
	} else {
		list = slices.Insert(list, i, ReportMark(c))
	}
	if len(list) > MaxReportMarks {
		oldest := 0
		for i := range list {
			if list[i].Through < list[oldest].Through {
				oldest = i
			}
		}
		list = slices.Delete(list, oldest, oldest+1)
	}
	s.head.Reports = list
	return Outcome{}
}
