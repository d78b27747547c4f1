package endpoint

import (
	"cmp"
	"strings"
	"sync"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// What happened to a person, or on a machine, is shown to who says why, and the audit trail
// has it: who looked, whose it was, and why.

const (
	openedFor  = 15 * time.Minute // in which the same is not noted again
	mostOpened = 1000             // that are remembered; one that is not is noted again
)

// opening is that somebody looks at a history, and why.
type opening struct {
	by, user, reason string
	machine          license.Machine
}

// openings remembers what was noted lately, so that pages of one history are one record. The
// zero value has nothing.
type openings struct {
	mu   sync.Mutex
	last map[opening]time.Time
}

// has reports whether it was noted lately.
func (o *openings) has(x opening, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	last, there := o.last[x]
	return there && now.Sub(last) < openedFor
}

func (o *openings) add(x opening, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for y, last := range o.last {
		if now.Sub(last) >= openedFor {
			delete(o.last, y)
		}
	}
	if o.last == nil || len(o.last) >= mostOpened {
		o.last = map[opening]time.Time{}
	}
	o.last[x] = now
}

// opens has the audit trail note that somebody looks at the history of a user or a machine,
// or of a user on a machine, before they are shown any of it.
func (e *Endpoint) opens(c *call, user license.UserID, on sought) error {
	if c.administrator.byCookie() && fromElsewhere(c.r) {
		return &trouble{code: api.CodeForbidden, detail: "it comes from a page of another site"}
	}
	q := c.r.URL.Query()
	by, reason := q.Get("by"), strings.TrimSpace(q.Get("reason"))
	if reason == "" {
		return malformed("reason is missing: say why this history is looked at; the audit trail keeps it")
	}
	if err := c.said(&by, reason); err != nil {
		return err
	}
	x := opening{by: by, user: string(user), reason: reason}
	if on != (sought{}) {
		said := license.Machine{ID: on.ID, Name: cmp.Or(on.called, on.Name)}
		var err error
		if x.machine, err = e.actual(user, said); err != nil {
			x.machine = said // which is looked for all the same
		}
	}
	if !plain(x.user) || !plain(x.machine.Name) || !plain(x.machine.ID) {
		return malformed("user, machine or machine_id is longer than 256 bytes or has control characters")
	}
	now := time.Now()
	if e.opened.has(x, now) {
		return nil
	}
	if err := e.inTrail(c.ctx, license.NoteAct{What: "history-read", By: by, Via: string(c.administrator.Way), User: user, Machine: x.machine, Note: reason}); err != nil {
		return err
	}
	e.opened.add(x, now)
	return nil
}
