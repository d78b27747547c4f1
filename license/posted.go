package license

import "slices"

// The vendor's own client posts what it uses to the vendor, each run of a product under a
// correlation id of its own. On the way, such a posting renews the session that
// the run belongs to, and the last run's end stops it. Where the vendor cannot be
// reached, the site takes the posting over: from then on it is usage that waits, as
// it came.

// MaxRuns is how many runs of a product a session counts. Once there was one more, it
// counts no others and ends with its lease: none that was counted makes room for another.
const MaxRuns = 16

// uncounted is among a session's runs once there were more than are counted, or one from
// elsewhere. No report is of it, and so none ends it.
const uncounted = ""

// KeptBy reports whether a run keeps the session already, so that there is nothing to
// report of its going on.
func (x *Session) KeptBy(run string) bool {
	return slices.Contains(x.Runs, run) || slices.Contains(x.Runs, uncounted)
}

// Report says that a run of a product is part of a relayed session, or has ended. It comes
// with its user's token, and names the machine itself. Whoever has the token could make a run up
// for another machine, and end it there before that machine's own was heard of. So
// a run that is posted from another address than the session was granted to ends nothing,
// and once there was one, the session ends with its lease.
type Report struct {
	Session ID      `cbor:"220,keyasint"`
	User    UserID  `cbor:"221,keyasint"`
	Machine Machine `cbor:"222,keyasint"`
	Run     string  `cbor:"223,keyasint"` // its correlation id
	Ends    bool    `cbor:"224,keyasint,omitempty"`
	From    string  `cbor:"270,keyasint,omitempty"` // the address it came from, as Start.From
}

func (c Report) subject(*State) UserID { return c.User }

func (c Report) decide(s *State, _ Time) *Denial {
	if c.Run == "" || !validName(c.Run) || !validName(c.From) || c.User == "" || !c.Machine.valid() {
		return deny(BadCommand)
	}
	x := s.Session(c.Session)
	switch {
	case x == nil:
		return deny(UnknownSession)
	case !x.Relayed || x.User != c.User || !x.Machine.Is(c.Machine):
		return deny(NotYours)
	case !c.Ends && s.runsElsewhere(x, c.Run):
		return deny(NotYours)
	}
	return nil
}

// runsElsewhere reports whether the run is part of a session of its user on another
// machine.
func (s *State) runsElsewhere(x *Session, run string) bool {
	return slices.ContainsFunc(s.Active(x.User).Sessions, func(y Session) bool {
		return !y.Machine.Is(x.Machine) && slices.Contains(y.Runs, run)
	})
}

// do changes who is known to run, which nobody is told of, or stops the session.
func (c Report) do(s *State, at Time) Outcome {
	x := s.Session(c.Session)
	elsewhere := x.From != "" && c.From != x.From
	if c.Ends != slices.Contains(x.Runs, c.Run) || !c.Ends && x.KeptBy(c.Run) || c.Ends && elsewhere {
		return Outcome{Repeat: true}
	}
	if c.Ends && len(x.Runs) == 1 {
		return Stop{ID: c.Session, User: c.User, Machine: c.Machine}.do(s, at)
	}
	a := s.open(c.User)
	x = &a.Sessions[slices.IndexFunc(a.Sessions, func(y Session) bool { return y.ID == c.Session })]
	runs := slices.Clone(x.Runs) // copies of the session are with others
	if c.Ends {
		x.Runs = slices.DeleteFunc(runs, func(r string) bool { return r == c.Run })
		return Outcome{}
	}
	if len(runs) == MaxRuns || elsewhere {
		c.Run = uncounted
	}
	x.Runs = append(runs, c.Run)
	return Outcome{}
}

// MaxPosted is how many bytes a posting may have that the site takes over.
const MaxPosted = 32 << 10

// KeepPosting takes a posting of the vendor's client over, which it is told has been
// taken: from here on it is the site's to deliver.
type KeepPosting struct {
	ID      ID        `cbor:"220,keyasint"`
	User    UserID    `cbor:"221,keyasint"` // whose token it came with
	Product ProductID `cbor:"222,keyasint,omitempty"`
	Machine Machine   `cbor:"223,keyasint"`
	Body    []byte    `cbor:"224,keyasint"`           // as it came
	Listed  bool      `cbor:"225,keyasint,omitempty"` // it is a list, of the use of features
	// NotAfter is when it is too late to take it over. It is at most a tombstone's life
	// away, so that the same again is known for as long as it can come.
	NotAfter Time `cbor:"226,keyasint,omitempty"`
}

// PostingKept: a posting waits for the vendor.
type PostingKept struct {
	ID      ID        `cbor:"220,keyasint"`
	User    UserID    `cbor:"221,keyasint"`
	Product ProductID `cbor:"222,keyasint,omitempty"`
	Machine Machine   `cbor:"223,keyasint"`
	Body    []byte    `cbor:"224,keyasint"`
	Listed  bool      `cbor:"225,keyasint,omitempty"`
}

func (PostingKept) fact() {}

// Taken reports whether the posting was taken over before: who asks again did not hear
// the answer.
func (c KeepPosting) Taken(s *State, at Time) bool {
	return c.User != "" && s.ended(c.ID, max(at, s.head.Now)) == c.User
}

// decide refuses a posting where there is no room left: its client keeps it then, and
// comes again.
func (c KeepPosting) decide(s *State, at Time) *Denial {
	if c.Taken(s, at) {
		return nil
	}
	if d := s.fresh(c.ID, c.User, c.Machine, at, c.NotAfter); d != nil {
		return d
	}
	if len(c.Body) == 0 || len(c.Body) > MaxPosted || !validName(string(c.Product)) {
		return deny(BadCommand)
	}
	return s.meterable(c.Product, "")
}

func (c KeepPosting) do(s *State, at Time) Outcome {
	if c.Taken(s, at) {
		return Outcome{Repeat: true}
	}
	p := s.person(c.User)
	if p == nil {
		p = &person{user: User{ID: c.User}} // whom only the vendor knows
	}
	s.bury(c.ID, p)
	s.emit(PostingKept{ID: c.ID, User: c.User, Product: c.Product, Machine: c.Machine, Body: c.Body, Listed: c.Listed})
	return Outcome{}
}

// usage is what waits for the vendor by it.
func (f PostingKept) usage(e Event) Usage {
	return Usage{Seq: e.Seq, Record: recordID(f.ID, e.Seq), Kind: UsagePosted, ID: f.ID, User: f.User, Product: f.Product, Machine: f.Machine,
		Started: e.At, Ended: e.At, Token: e.Seq, Posted: f.Body, Listed: f.Listed}
}
