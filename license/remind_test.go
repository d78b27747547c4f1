package license

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// Page by page, the reminders are those of the whole list.
func TestRemindersComeInPortions(t *testing.T) {
	s, now := NewState(), TimeOf(time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC))
	for i := range 1000 {
		id := LicenseID(fmt.Sprintf("L%d", i*7919%1000))
		s.licenses[id] = &License{ID: id, Product: "micro", Ends: now.Add(time.Duration(1+i%100) * 24 * time.Hour)}
		if i%3 > 0 {
			s.licenses[id].Assignee = "gone"
		}
	}
	all := Reminders(s, now)
	if len(all) < 1500 || !slices.IsSortedFunc(all, Reminder.compare) {
		t.Fatalf("%d reminders, sorted %t; want more than 1500, sorted", len(all), slices.IsSortedFunc(all, Reminder.compare))
	}
	for _, most := range []int{1, 7, 500, 2000} {
		var got []Reminder
		for after := (Reminder{}); ; after = got[len(got)-1] {
			part := RemindersAfter(s, now, after, most)
			if len(part) > most {
				t.Fatalf("%d at once, want at most %d", len(part), most)
			}
			if len(part) == 0 {
				break
			}
			got = append(got, part...)
		}
		if !slices.Equal(got, all) {
			t.Errorf("by %d: %d reminders, want the %d of the whole list", most, len(got), len(all))
		}
	}
}
