package license

// Restoration is what a site has to wait for that went on from a backup or from
// one node that was left: what was granted in the time that is lost is not known here.
// Sessions of that time run until Until at the latest; checkouts until the cloud
// has told of them. The zero Restoration is that of a site that never lost anything.
type Restoration struct {
	At    Time `cbor:"1,keyasint,omitempty"` // when the site went on
	Until Time `cbor:"2,keyasint,omitempty"` // when every lease of before is over
	// Read: the checkouts are those of the cloud's books, or an administrator has
	// accepted them as they are.
	Read bool `cbor:"3,keyasint,omitempty"`
	// Seq is the last event that is left of before.
	Seq uint64 `cbor:"4,keyasint,omitempty"`
	// Recovered: from a node that was left, not from a backup.
	Recovered bool `cbor:"5,keyasint,omitempty"`
	// Pending: no leader has gone on from it yet.
	Pending bool `cbor:"6,keyasint,omitempty"`
}

// Over reports whether there is nothing (more) to wait for.
func (r Restoration) Over(at Time) bool {
	return !r.Pending && (r.At == 0 || r.Read && at >= r.Until)
}

// Beginning is what a state goes on as after a restore.
type Beginning struct {
	Epoch     uint64 // later than any the site has had
	Cluster   string // the site's identity from now on
	At        Time   // by the clock of who restores
	Recovered bool   // from a node that was left, not from a backup
	// Node is the one node there is now, Instance its data folder, and Generation that
	// of its certificate.
	Node, Instance string
	Generation     uint64
	// Members are the nodes there were, whether the state remembers them or not.
	Members []string
}

// Restore makes a state of before one to go on from, with all the site has to wait
// for. All nodes but the one it goes on from have to join again: what they know is of
// another epoch. From a backup no credential is left, since any may have been taken back
// after it. It is the one change that no command makes, for a state at rest; the
// first leader's Resume begins the wait.
func (s *State) Restore(b Beginning) {
	h := &s.head
	h.Epoch, h.Cluster, h.Now = b.Epoch, b.Cluster, max(h.Now, b.At)
	h.Restored = Restoration{Seq: h.Seq, Recovered: b.Recovered, Pending: true}
	h.Lockouts, h.Alerts, h.KeyViews, h.KeysAccepted = nil, nil, nil, nil // who is left says it anew
	h.Bypass = Bypass{}                                                   // as who needs one does
	h.Rekeying = Rekeying{}                                               // the CA is that of who is left; its node trusts no other
	s.changed.head = true
	if !b.Recovered { // what was taken back since the backup is not to let anybody in again
		for secret := range s.credentials {
			s.dropCredential(secret)
		}
	}
	for _, name := range b.Members {
		if s.Node(name) == nil {
			s.setNode(Node{Name: name, Since: h.Now})
		}
	}
	for _, n := range Nodes(s) {
		if n.Removed == 0 {
			n.Removed, n.By, n.Note = h.Now, "restore", "the cluster went on from another node's data"
			s.setNode(n)
		}
	}
	s.setNode(Node{Name: b.Node, Instance: b.Instance, Generation: b.Generation, Since: h.Now})
}

// Resume begins the wait after a restore or a recovery: the first command of its
// first leader.
type Resume struct {
	Epoch uint64 `cbor:"1,keyasint"`
}

// Resumed: the site went on from a backup, or from one node. Nothing capped is
// granted before Until.
type Resumed struct {
	Epoch     uint64 `cbor:"1,keyasint"`
	Recovered bool   `cbor:"2,keyasint,omitempty"`
	Until     Time   `cbor:"3,keyasint,omitempty"`
}

func (c Resume) decide(s *State, _ Time) *Denial {
	if c.Epoch != s.head.Epoch || s.head.Restored == (Restoration{}) {
		return deny(BadCommand)
	}
	return nil
}

func (c Resume) do(s *State, at Time) Outcome {
	r := &s.head.Restored
	if !r.Pending {
		return Outcome{Repeat: true}
	}
	r.Pending, r.At, r.Until = false, at, at.Add(s.head.Settings.LongestLease())
	s.emit(Resumed{Epoch: c.Epoch, Recovered: r.Recovered, Until: r.Until})
	return Outcome{}
}

// Reread brings the checkouts of the cloud's books into a state that was restored.
// Several may follow each other; the last one ends it.
type Reread struct {
	Epoch uint64 `cbor:"1,keyasint"`
	// Found are checkouts of the cloud's books that the state does not have.
	Found []Checkout `cbor:"2,keyasint,omitempty"`
	// Gone are checkouts of the state that the cloud's books do not have: they were
	// returned in the time that is lost.
	Gone []ID `cbor:"3,keyasint,omitempty"`
	Last bool `cbor:"4,keyasint,omitempty"`
}

// CheckoutFound: the cloud has a checkout of this site that a restored state did
// not have.
type CheckoutFound struct {
	Checkout Checkout `cbor:"1,keyasint"`
}

// CheckoutsRead: after a restore, the site's checkouts are those of the cloud's
// books again.
type CheckoutsRead struct {
	Epoch uint64 `cbor:"1,keyasint"`
}

func (c Reread) decide(s *State, _ Time) *Denial {
	if len(c.Found)+len(c.Gone) > MaxChanges {
		return deny(BadCommand)
	}
	for i := range c.Found {
		x := &c.Found[i]
		if x.ID.IsZero() || x.User == "" || x.License == "" || !x.Machine.valid() ||
			!validName(string(x.User)) || !validName(string(x.Product)) || !validName(string(x.License)) {
			return deny(BadCommand)
		}
	}
	if r := s.head.Restored; c.Epoch != s.head.Epoch || r.At == 0 || r.Read {
		return deny(TooLate)
	}
	return nil
}

func (c Reread) do(s *State, at Time) Outcome {
	s.contact(at)
	for _, id := range c.Gone {
		s.settle(s.borrower(id))
		if x := s.Checkout(id); x != nil && x.Token <= s.head.Restored.Seq {
			Return{ID: id, User: x.User}.do(s, at)
		}
	}
	for i := range c.Found {
		s.settle(c.Found[i].User)
		s.adopt(&c.Found[i], at)
	}
	if c.Last {
		s.head.Restored.Read = true
		s.emit(CheckoutsRead{Epoch: c.Epoch})
	}
	return Outcome{}
}

// adopt takes up a checkout by the cloud's word. A session of before that another
// machine has in its way lost its right in the time that is lost.
func (s *State) adopt(f *Checkout, at Time) {
	if _, known := s.ids[f.ID]; known || f.Until <= at {
		return
	}
	x := Checkout{ID: f.ID, User: f.User, Product: f.Product, License: f.License, Machine: f.Machine, Since: min(f.Since, at),
		Until: f.Until, Token: s.head.Seq + 1, Remind: nextReminder(f.Until, at)}
	a := s.open(x.User)
	a.Checkouts = append(a.Checkouts, x)
	s.ids[x.ID] = use{of: s.person(x.User)}
	s.planCheckout(&x)
	s.emit(CheckoutFound{Checkout: x})
	if !s.single(x.Product) {
		return
	}
	byUser := s.head.Settings.checkoutScope() == ScopeUser
	for i := range a.Sessions {
		y := &a.Sessions[i]
		if s.kept(y) && !y.Machine.Is(x.Machine) && (byUser || y.License == x.License) && y.Renewable(at) {
			s.emit(Conflicted{Session: s.putOnNotice(y, Ending{Reason: EndConflict, Machine: x.Machine, Until: at})})
		}
	}
}

// AcceptRestore says that an administrator has seen to what is checked out, where
// the cloud cannot tell: the state's checkouts are taken as they are.
type AcceptRestore struct {
	By   string `cbor:"1,keyasint"`
	Note string `cbor:"2,keyasint"` // how they made sure; not empty
}

// RestoreAccepted: an administrator has accepted the checkouts of a restored state.
type RestoreAccepted struct {
	By   string `cbor:"1,keyasint"`
	Note string `cbor:"2,keyasint"`
}

func (c AcceptRestore) decide(s *State, _ Time) *Denial {
	if c.By == "" || c.Note == "" || !validName(c.By) || !validName(c.Note) {
		return deny(BadCommand)
	}
	if s.head.Restored.At == 0 {
		return deny(TooLate)
	}
	return nil
}

func (c AcceptRestore) do(s *State, _ Time) Outcome {
	if s.head.Restored.Read {
		return Outcome{Repeat: true}
	}
	s.head.Restored.Read = true
	s.emit(RestoreAccepted(c))
	return Outcome{}
}

// kept reports whether the rule of one machine is for the session.
func (s *State) kept(x *Session) bool {
	return x.Holds || !x.UnderCheckout.IsZero() && s.single(x.Product)
}

// single is Product.Single; what is not in the mirror is taken to be capped.
func (s *State) single(id ProductID) bool {
	p := s.products[id]
	return p == nil || p.Single()
}

// awaitsRestore refuses what could still be another machine's by a grant that is
// lost. It tells until when where that is known.
func (s *State) awaitsRestore(p ProductID, lic LicenseID, at Time) *Denial {
	r := s.head.Restored
	if r.Over(at) {
		return nil
	}
	d := &Denial{Reason: AfterRestore, Product: p, License: lic}
	if r.Read {
		d.Until = r.Until
	}
	return d
}

// repeats refuses to say once more that something was granted before a restore:
// who asks has not heard of it, and it may have ended since, and be another's.
func (s *State) repeats(token uint64, p ProductID, lic LicenseID, at Time) *Denial {
	if token > s.head.Restored.Seq {
		return nil
	}
	return s.awaitsRestore(p, lic, at)
}

// doubts refuses to renew a session of before a restore whose client may not have
// noticed that it had ended.
func (s *State) doubts(x *Session, at Time) *Denial {
	if x.Fences || !s.kept(x) {
		return nil
	}
	return s.repeats(x.Token, x.Product, x.License, at)
}
