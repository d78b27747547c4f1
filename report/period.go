package report

import (
	"fmt"
	"time"
)

// Period is a day, a week or a month, in GMT; weeks begin on Monday.
type Period string

// The periods.
const (
	Day   Period = "day"
	Week  Period = "week"
	Month Period = "month"
)

// Periods lists them.
func Periods() []Period { return []Period{Day, Week, Month} }

// Last is the last whole period that was over at a time.
func (p Period) Last(at time.Time) (from, until time.Time) {
	y, m, d := at.UTC().Date()
	day := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	switch p {
	case Week:
		until = day.AddDate(0, 0, -(int(day.Weekday())+6)%7)
		return until.AddDate(0, 0, -7), until
	case Month:
		until = time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
		return until.AddDate(0, -1, 0), until
	}
	return day.AddDate(0, 0, -1), day
}

// Name is what the period that begins then is called: 2026-11-22, 2026-W47, 2026-11.
func (p Period) Name(from time.Time) string {
	switch p {
	case Week:
		year, week := from.ISOWeek()
		return fmt.Sprintf("%d-W%02d", year, week)
	case Month:
		return from.Format("2006-01")
	}
	return from.Format(time.DateOnly)
}
