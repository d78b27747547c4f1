package license

import (
	"slices"
	"strings"
)

// noteAlert keeps alerts in a list that is put in order anew each time.
func (w *twin) noteAlert(c NoteAlert) Outcome {
	var there *Alert
	for i := range w.head.Alerts {
		if w.head.Alerts[i].Kind == c.Kind && w.head.Alerts[i].Subject == c.Subject {
			there = &w.head.Alerts[i]
		}
	}
	switch {
	case c.Kind == "" || !twinName(c.Kind, c.Subject, c.Detail), !c.Over && there == nil && len(w.head.Alerts) == 256:
		return refuse("bad-command")
	case c.Over && there != nil && there.Over == 0:
		ended := *there
		ended.Over = w.now()
		w.setAlert(ended, false)
		w.tell(AlertEnded{Alert: ended})
		return Outcome{}
	case c.Over || there != nil:
		return Outcome{Repeat: true}
	}
	a := Alert{Kind: c.Kind, Subject: c.Subject, Detail: c.Detail, Since: w.now()}
	w.setAlert(a, false)
	w.tell(AlertRaised{Alert: a})
	return Outcome{}
}

// setAlert replaces an alert, or adds it, or drops it.
func (w *twin) setAlert(a Alert, gone bool) {
	var list []Alert
	for _, b := range w.head.Alerts {
		if b.Kind != a.Kind || b.Subject != a.Subject {
			list = append(list, b)
		}
	}
	if !gone {
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b Alert) int { // no kind has a zero byte in it
		return strings.Compare(a.Kind+"\x00"+a.Subject, b.Kind+"\x00"+b.Subject)
	})
	w.head.Alerts = list
}

func (w *twin) alertTold(c AlertTold) Outcome {
	if c.Kind == "" || !twinName(c.Kind, c.Subject, c.Way) || c.Way == "" && !c.Done {
		return refuse("bad-command")
	}
	for _, a := range w.head.Alerts {
		if a.Kind != c.Kind || a.Subject != c.Subject || a.Since != c.Since {
			continue
		}
		list := a.Told
		if c.Over {
			list = a.Ended
		}
		switch {
		case a.Over == 0 && (c.Over || c.Done):
			return refuse("bad-command")
		case c.Done:
			w.setAlert(a, true)
			return Outcome{}
		case len(list) == 16:
			return refuse("bad-command")
		case slices.Contains(list, c.Way):
			return Outcome{Repeat: true}
		}
		list = append([]string{c.Way}, list...)
		slices.Sort(list)
		if c.Over {
			a.Ended = list
		} else {
			a.Told = list
		}
		w.setAlert(a, false)
		return Outcome{}
	}
	return Outcome{Repeat: true}
}
