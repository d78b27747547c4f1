package main

import (
	"fmt"
	"time"

	"sitegate/client"
)

// marks are when a user is reminded that the program will be asked to end.
var marks = []time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute}

// still is how often a user is told that a program goes on without a license.
const still = time.Minute

// countdown says at which marks a user is reminded, each of them once.
type countdown struct {
	said time.Duration // the last mark; zero: none yet
}

// due reports whether something is to be said with so much time left. Several marks
// that have gone by at once, as while a laptop slept, are one.
func (c *countdown) due(left time.Duration) bool {
	for _, m := range marks {
		if left <= m {
			if c.said != 0 && c.said <= m {
				return false
			}
			c.said = m
			return true
		}
	}
	return false
}

// left is how long a program may go on. Nothing counts down where no heartbeat is
// overdue and no end was told.
func left(s *client.Session) (_ time.Duration, counting bool) {
	if s.Ending() != nil {
		return s.EndsIn(), true
	}
	return s.Left(), s.Overdue()
}

// span is a duration as it is said to a person.
func span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d min", int((d+30*time.Second)/time.Minute))
	case d >= 90*time.Second:
		return "1½ min"
	case d > 45*time.Second:
		return "1 min"
	}
	return fmt.Sprintf("%d s", int((d+500*time.Millisecond)/time.Second))
}
