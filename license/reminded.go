package license

import "time"

// RemindEvery is how often the administrators are told what there is to see to.
const RemindEvery = 7 * 24 * time.Hour

// ReminderCounts are how many reminders there are of each kind, and how many
// license-days the pooled ones are.
type ReminderCounts struct {
	Missing    uint32 `cbor:"1,keyasint,omitempty"`
	Ending     uint32 `cbor:"2,keyasint,omitempty"`
	Unassigned uint32 `cbor:"3,keyasint,omitempty"`
	NeverUsed  uint32 `cbor:"4,keyasint,omitempty"`
	Pooled     uint32 `cbor:"5,keyasint,omitempty"`
	PooledDays uint32 `cbor:"6,keyasint,omitempty"`
}

// Remind tells the administrators how much there is to see to (R12). The leader
// counts, because that looks at every license, and proposes it when RemindDue says so.
type Remind struct {
	Counts ReminderCounts `cbor:"1,keyasint"`
}

// Reminded: so much is to be seen to in the account.
type Reminded struct {
	Counts ReminderCounts `cbor:"1,keyasint"`
	To     []UserID       `cbor:"2,keyasint,omitempty"` // the administrators, as they were then
}

// RemindDue reports whether the administrators are to be told: once a week, and first
// when the mirror has been read.
func RemindDue(s *State, at Time) bool {
	at = max(at, s.head.Now)
	return s.head.Filled && (s.head.Reminded == 0 || at >= s.head.Reminded.Add(RemindEvery))
}

// CountReminders counts the Reminders of a moment without listing them.
func CountReminders(s *State, at Time) (c ReminderCounts) {
	s.eachReminder(max(at, s.head.Now), func(r Reminder) {
		switch r.Kind {
		case RemindMissing:
			c.Missing++
		case RemindEnding:
			c.Ending++
		case RemindUnassigned:
			c.Unassigned++
		case RemindNeverUsed:
			c.NeverUsed++
		case RemindPooled:
			c.Pooled++
			c.PooledDays += uint32(r.Days)
		}
	})
	return c
}

// decide always lets Remind pass: what is not due is not said.
func (c Remind) decide(*State, Time) *Denial { return nil }

// do tells nobody where there is nothing to see to, or nobody to tell.
func (c Remind) do(s *State, at Time) Outcome {
	if !RemindDue(s, at) {
		return Outcome{Repeat: true}
	}
	s.head.Reminded = at
	if to := s.told(administrators); c.Counts != (ReminderCounts{}) && len(to) > 0 {
		s.emit(Reminded{Counts: c.Counts, To: to})
	}
	return Outcome{}
}
