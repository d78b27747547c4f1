package license

// Refused journals a denial that was answered from memory, without the log. The
// leader coalesces them: one per user, machine and reason a minute.
type Refused struct {
	User    UserID  `cbor:"1,keyasint"`
	Machine Machine `cbor:"2,keyasint"` // that was refused
	Denial  Denial  `cbor:"3,keyasint"`
	Client  string  `cbor:"4,keyasint,omitempty"`
}

// Attempted: a machine was refused. The active machine's client is told.
type Attempted struct {
	User    UserID  `cbor:"1,keyasint"`
	Machine Machine `cbor:"2,keyasint"`
	Denial  Denial  `cbor:"3,keyasint"`
	Client  string  `cbor:"4,keyasint,omitempty"`
}

func (c Refused) decide(*State, Time) *Denial {
	if c.User == "" || !validName(string(c.User)) || !c.Machine.valid() || c.Denial.Reason == "" ||
		!validName(string(c.Denial.Reason)) || !validName(c.Client) {
		return deny(BadCommand)
	}
	return nil
}

func (c Refused) do(s *State, _ Time) Outcome {
	s.emit(Attempted(c))
	return Outcome{}
}
