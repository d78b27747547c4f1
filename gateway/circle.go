package gateway

import "sitegate/license"

// circle finds a feed that leads to where it was before, and would be read for ever, in
// little memory (Brent): of the cursors it remembers one, at ever longer intervals.
type circle struct {
	saved        string
	steps, until int
}

// circles reports whether a page that follows on a cursor leads to one that was left
// before.
func (c *circle) circles(from string, page license.Page) bool {
	if page.Reset || from == "" {
		*c = circle{}
	}
	if page.Cursor == from {
		return false // nothing follows on it yet
	}
	if c.saved != "" && page.Cursor == c.saved {
		*c = circle{}
		return true
	}
	if c.steps++; c.steps > c.until {
		c.saved, c.steps, c.until = page.Cursor, 0, max(1, 2*c.until)
	}
	return false
}
