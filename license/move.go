package license

import "time"

// A named license may be moved freely for MoveFree after its assignment, then not
// for MoveLock, then again; each move begins anew (R10).
const (
	MoveFree = 24 * time.Hour
	MoveLock = 30 * 24 * time.Hour
)

// Move assigns a license to another user. The cloud must have agreed: a site alone
// never assigns.
type Move struct {
	License LicenseID `cbor:"1,keyasint"`
	To      UserID    `cbor:"2,keyasint"`
	By      string    `cbor:"3,keyasint,omitempty"` // who
	Note    string    `cbor:"4,keyasint,omitempty"` // why
	Agreed  bool      `cbor:"5,keyasint,omitempty"`
	// From is who had it when the cloud was asked: its feed may tell of the move before
	// the cloud's answer is proposed.
	From UserID `cbor:"8,keyasint,omitempty"`
	// Cannot: this cloud takes no moves from a site.
	Cannot   bool `cbor:"6,keyasint,omitempty"`
	NotAfter Time `cbor:"7,keyasint,omitempty"`
}

// Moved: an administrator has assigned a license to another user.
type Moved struct {
	License LicenseID `cbor:"1,keyasint"`
	Product ProductID `cbor:"2,keyasint,omitempty"`
	From    UserID    `cbor:"3,keyasint,omitempty"` // empty: it was unassigned
	To      UserID    `cbor:"4,keyasint"`
	By      string    `cbor:"5,keyasint,omitempty"`
	Note    string    `cbor:"6,keyasint,omitempty"`
}

// subject is the user who loses the license.
func (c Move) subject(s *State) UserID {
	if l := s.licenses[c.License]; l != nil {
		return l.Assignee
	}
	return ""
}

func (c Move) decide(s *State, at Time) *Denial {
	if c.License == "" || c.To == "" || c.By == "" || !validName(string(c.License)) || !validName(string(c.To)) ||
		!validName(c.By) || !validName(c.Note) || !validName(string(c.From)) {
		return deny(BadCommand)
	}
	l := s.licenses[c.License]
	if l == nil {
		return &Denial{Reason: UnknownLicense, License: c.License}
	}
	if l.Assignee == c.To && !NotFound(s, l) {
		return nil
	}
	no := func(r Reason, about UserID, until Time) *Denial {
		return &Denial{Reason: r, Product: l.Product, License: l.ID, Person: about, Until: until}
	}
	if c.NotAfter != 0 && at > c.NotAfter {
		return deny(TooLate)
	}
	if l.Ends != 0 && at >= l.Ends {
		return no(LicenseEnded, "", l.Ends)
	}
	if NotFound(s, l) {
		return no(UserNotFound, l.Assignee, 0)
	}
	switch to := s.User(c.To); {
	case to == nil:
		return no(UnknownUser, c.To, 0)
	case to.Blocked:
		return no(UserBlocked, c.To, 0)
	case to.OtherAccount:
		return no(OtherAccount, c.To, 0)
	case to.Country == "": // R2
		return no(NoCountry, c.To, 0)
	}
	if until := lockedUntil(l, at); until != 0 {
		return no(MoveLocked, l.Assignee, until)
	}
	switch {
	case c.Cannot:
		return no(CloudCannot, "", 0)
	case !c.Agreed:
		return no(CloudNeeded, "", 0)
	}
	return nil
}

func (c Move) do(s *State, at Time) Outcome {
	l := *s.licenses[c.License]
	if l.Assignee == c.To {
		if c.Agreed && c.From != c.To {
			s.emit(Moved{License: l.ID, Product: l.Product, From: c.From, To: c.To, By: c.By, Note: c.Note})
		}
		return Outcome{License: &l, Repeat: true}
	}
	s.contact(at)
	before := l.Assignee
	s.emit(Moved{License: l.ID, Product: l.Product, From: l.Assignee, To: c.To, By: c.By, Note: c.Note})
	l.Assignee, l.AssignedAt = c.To, at
	moved := l
	s.setLicense(l.ID, &moved, false)
	s.seeToCover()
	l = moved
	s.offer(before) // who waits may have another license of the product
	return Outcome{License: &l}
}

// lockedUntil is until when an assigned license cannot be moved; zero: it can. A
// license of which the cloud does not say when it was assigned is for the cloud to
// decide on.
func lockedUntil(l *License, at Time) Time {
	if l.Assignee == "" || l.AssignedAt == 0 || at < l.AssignedAt.Add(MoveFree) {
		return 0
	}
	if until := l.AssignedAt.Add(MoveFree + MoveLock); at < until {
		return until
	}
	return 0
}

// RemovalWarning is one license that would be lost with a user who is removed from
// the account (R11).
type RemovalWarning struct {
	License LicenseID
	Product ProductID
	Ends    Time
	// LockedUntil is when it can be moved again; zero: now.
	LockedUntil Time
	// Lost: the user is gone already, and only the vendor can move it.
	Lost      bool
	Checkouts []Checkout // of the license, that should be returned first
	Sessions  int        // of the license, that would lose their right
}

// RemovalWarnings lists what must be seen to before a user is removed from the
// account. Empty: nothing is lost by it.
func RemovalWarnings(s *State, at Time, user UserID) []RemovalWarning {
	at = max(at, s.head.Now)
	var warnings []RemovalWarning
	for _, l := range s.Assigned(user) {
		id := l.ID
		if l.Ends != 0 && at >= l.Ends {
			continue
		}
		w := RemovalWarning{License: id, Product: l.Product, Ends: l.Ends, LockedUntil: lockedUntil(l, at), Lost: NotFound(s, l)}
		if a := s.Active(user); a != nil {
			for i := range a.Checkouts {
				if x := a.Checkouts[i]; x.License == id && x.Until > at {
					w.Checkouts = append(w.Checkouts, x)
				}
			}
			for i := range a.Sessions {
				if a.Sessions[i].License == id {
					w.Sessions++
				}
			}
		}
		warnings = append(warnings, w)
	}
	return warnings
}
