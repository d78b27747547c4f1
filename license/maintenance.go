package license

import "time"

// MaxMaintenance bounds how long maintenance may be announced for, and MaxNotice how
// long before.
const (
	MaxMaintenance = 7 * 24 * time.Hour
	MaxNotice      = 90 * 24 * time.Hour
)

// Maintenance is when people are to expect work on the gateway. It decides nothing:
// what runs goes on, and what is asked is answered as far as the nodes can.
type Maintenance struct {
	From  Time   `cbor:"190,keyasint,omitempty"`
	Until Time   `cbor:"191,keyasint,omitempty"` // zero: none is announced
	By    string `cbor:"192,keyasint,omitempty"` // who
	Note  string `cbor:"193,keyasint,omitempty"` // what people are told
}

// Maintain announces maintenance, in the place of what was announced before; without
// an Until it takes that back.
type Maintain struct {
	Maintenance Maintenance `cbor:"190,keyasint"`
}

// MaintenanceTold: maintenance was announced or, where it is Over, taken back.
type MaintenanceTold struct {
	Maintenance Maintenance `cbor:"190,keyasint"`
	Over        bool        `cbor:"191,keyasint,omitempty"`
}

func (MaintenanceTold) fact() {}

func (c Maintain) decide(_ *State, at Time) *Denial {
	m := c.Maintenance
	switch {
	case m.By == "" || !validName(m.By) || !validName(m.Note):
		return deny(BadCommand)
	case m.Until == 0 && m.From == 0:
		return nil
	case m.From < 0 || m.Until <= m.From || m.Until <= at || m.Until.Sub(m.From) > MaxMaintenance || m.From > at.Add(MaxNotice):
		return deny(BadCommand)
	}
	return nil
}

func (c Maintain) do(s *State, at Time) Outcome {
	was, m := s.head.Maintenance, c.Maintenance
	switch {
	case m.Until == 0 && was.Until <= at: // there is none, or it is over
		s.head.Maintenance = Maintenance{}
		return Outcome{Repeat: true}
	case m.Until == 0:
		s.head.Maintenance = Maintenance{}
		was.By, was.Note = m.By, m.Note
		s.emit(MaintenanceTold{Maintenance: was, Over: true})
	case m == was:
		return Outcome{Repeat: true}
	default:
		s.head.Maintenance = m
		s.emit(MaintenanceTold{Maintenance: m})
	}
	return Outcome{}
}
