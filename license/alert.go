package license

import (
	"cmp"
	"slices"
)

// MaxAlerts is how many alerts a site keeps at once; more are refused until some are over.
const MaxAlerts = 256

// MaxAlertWays is by how many ways one alert may be told of.
const MaxAlertWays = 16

// Alert is something that administrators are told of by mail and the like, for as long as
// it lasts and until they were told that it is over. It decides nothing.
type Alert struct {
	Kind    string `cbor:"410,keyasint"`
	Subject string `cbor:"411,keyasint,omitempty"` // what of the kind: a node, a day; empty: the site
	Detail  string `cbor:"412,keyasint,omitempty"` // as it was when it began, without names of people
	Since   Time   `cbor:"413,keyasint,omitempty"`
	Over    Time   `cbor:"414,keyasint,omitempty"` // zero: it lasts
	// Told are the ways by which it was told that it began, Ended those by which it was
	// told that it is over; both in order. The lists are replaced as a whole.
	Told  []string `cbor:"415,keyasint,omitempty"`
	Ended []string `cbor:"416,keyasint,omitempty"`
}

// NoteAlert says that something lasts that administrators are to be told of, or (Over) lasts
// no more. The nodes find out; what one of them has said already changes nothing.
type NoteAlert struct {
	Kind    string `cbor:"410,keyasint"`
	Subject string `cbor:"411,keyasint,omitempty"`
	Detail  string `cbor:"412,keyasint,omitempty"`
	Over    bool   `cbor:"413,keyasint,omitempty"`
}

// AlertTold says that an alert was told of by a way: that it began, or (Over) that it is
// over. Done: nobody is left to be told, and it is forgotten. Only the leader proposes it.
type AlertTold struct {
	Kind    string `cbor:"410,keyasint"`
	Subject string `cbor:"411,keyasint,omitempty"`
	Since   Time   `cbor:"412,keyasint"` // which of those that followed each other
	Way     string `cbor:"413,keyasint,omitempty"`
	Over    bool   `cbor:"414,keyasint,omitempty"`
	Done    bool   `cbor:"415,keyasint,omitempty"`
}

// AlertRaised: an alert began.
type AlertRaised struct {
	Alert Alert `cbor:"410,keyasint"`
}

// AlertEnded: it is over.
type AlertEnded struct {
	Alert Alert `cbor:"410,keyasint"`
}

func (AlertRaised) fact() {}
func (AlertEnded) fact()  {}

// findAlert is where an alert is in the list, or would be.
func (s *State) findAlert(kind, subject string) (int, bool) {
	return slices.BinarySearchFunc(s.head.Alerts, Alert{Kind: kind, Subject: subject}, func(a, b Alert) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Subject, b.Subject))
	})
}

// changeAlerts gives the list to change: readers may still have the one that was there.
func (s *State) changeAlerts(change func([]Alert) []Alert) {
	list := change(slices.Clone(s.head.Alerts))
	if len(list) == 0 {
		list = nil
	}
	s.head.Alerts = list
}

func (c NoteAlert) decide(s *State, _ Time) *Denial {
	if !validNode(c.Kind) || !validName(c.Subject) || !validName(c.Detail) {
		return deny(BadCommand)
	}
	if _, there := s.findAlert(c.Kind, c.Subject); !there && !c.Over && len(s.head.Alerts) >= MaxAlerts {
		return deny(BadCommand)
	}
	return nil
}

// do leaves alone what lasts, and what is over until everybody was told: whoever sees it
// begin again says so again.
func (c NoteAlert) do(s *State, at Time) Outcome {
	i, there := s.findAlert(c.Kind, c.Subject)
	switch {
	case !c.Over && !there:
		a := Alert{Kind: c.Kind, Subject: c.Subject, Detail: c.Detail, Since: at}
		s.changeAlerts(func(list []Alert) []Alert { return slices.Insert(list, i, a) })
		s.emit(AlertRaised{Alert: a})
		return Outcome{}
	case c.Over && there && s.head.Alerts[i].Over == 0:
		s.changeAlerts(func(list []Alert) []Alert { list[i].Over = at; return list })
		s.emit(AlertEnded{Alert: s.head.Alerts[i]})
		return Outcome{}
	}
	return Outcome{Repeat: true}
}

func (c AlertTold) decide(s *State, _ Time) *Denial {
	i, there := s.findAlert(c.Kind, c.Subject)
	if !validNode(c.Kind) || !validName(c.Subject) || !validName(c.Way) || c.Way == "" && !c.Done {
		return deny(BadCommand)
	}
	if !there || s.head.Alerts[i].Since != c.Since {
		return nil // forgotten: this was told again
	}
	a := &s.head.Alerts[i]
	if (c.Over || c.Done) && a.Over == 0 || !c.Done && len(a.ways(c.Over)) >= MaxAlertWays {
		return deny(BadCommand)
	}
	return nil
}

// ways are those by which it was told that it began, or that it is over.
func (a *Alert) ways(over bool) []string {
	if over {
		return a.Ended
	}
	return a.Told
}

func (c AlertTold) do(s *State, _ Time) Outcome {
	i, there := s.findAlert(c.Kind, c.Subject)
	if !there || s.head.Alerts[i].Since != c.Since {
		return Outcome{Repeat: true}
	}
	if c.Done {
		s.changeAlerts(func(list []Alert) []Alert { return slices.Delete(list, i, i+1) })
		return Outcome{}
	}
	told := s.head.Alerts[i].ways(c.Over)
	at, known := slices.BinarySearch(told, c.Way)
	if known {
		return Outcome{Repeat: true}
	}
	told = slices.Insert(slices.Clone(told), at, c.Way)
	s.changeAlerts(func(list []Alert) []Alert {
		if c.Over {
			list[i].Ended = told
		} else {
			list[i].Told = told
		}
		return list
	})
	return Outcome{}
}
