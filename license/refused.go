package license

// Refused journals a denial that was answered from memory, without the log. The
// leader coalesces them: one per user, machine, reason and Offline a minute.
type Refused struct {
	User    UserID  `cbor:"1,keyasint"`
	Machine Machine `cbor:"2,keyasint"` // that was refused
	Denial  Denial  `cbor:"3,keyasint"`
	Client  string  `cbor:"4,keyasint,omitempty"`
	// Relayed: the vendor's answer, which allowed it, was withheld from the vendor's own
	// client. Offline: by what the vendor has signed, that client may work on all the same,
	// so that this refusal cannot hold it.
	Relayed bool `cbor:"200,keyasint,omitempty"`
	Offline bool `cbor:"201,keyasint,omitempty"`
}

// Attempted: a machine was refused. The active machine's client is told.
type Attempted struct {
	User    UserID  `cbor:"1,keyasint"`
	Machine Machine `cbor:"2,keyasint"`
	Denial  Denial  `cbor:"3,keyasint"`
	Client  string  `cbor:"4,keyasint,omitempty"`
	Relayed bool    `cbor:"200,keyasint,omitempty"`
	Offline bool    `cbor:"201,keyasint,omitempty"`
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
	if c.Denial.Reason == MachineClone {
		s.emit(CloneSeen{User: c.User, Machine: c.Machine, To: s.told(administrators)})
	}
	return Outcome{}
}
