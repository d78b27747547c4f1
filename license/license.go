package license

// Entry is one command of the log with the cluster time its leader stamped.
type Entry struct {
	At      Time
	Command Command
}

// Command is one of the imperatives of this package: Start, Stop, Expire,
// CheckOut, Return, EndCheckout, RemindCheckout, WriteOff, CheckInConfirmed,
// Release, Wait, EndWait, EndReservation, Mirror, Link, Configure, Confirm,
// Conflict, Refused, UsageSent, Found, Move, Block, Unblock, ReleaseUser, SignOut,
// RemindTerm, Remind, Request, WarnEnding, LetGo, Decline, Offer, WouldRefuse, Report, KeepPosting,
// IssueToken, Join, Enroll, RemoveNode, Resume, Reread, AcceptRestore,
// HoldBack, AcceptShrink, AcceptTime, RaiseLevel, SettleUsage,
// NoteBacklog, ExportUsage, ReceiveUsage, Import, NoteLockout, Maintain,
// NoteCloud, Learn, NoteRevoked, BindKey, SeeKey, BarKey, ForgetKey, GiveCredential, UseCredential,
// EndCredential, SetLocalAccount, RemoveLocalAccount, NoteAct, EraseNames, ExportAudit, TrimAudit,
// NoteAlert, AlertTold, NoteKeys, AcceptKeys, LetPass, EndBypass, NoteReport,
// Rekey, EndRekey, KeepPeaks, Forget, Book.
type Command interface {
	// decide is the read-only first half: whether the command must be refused at
	// this time. Apply has done before what is due for the command's user.
	decide(s *State, at Time) *Denial
	// do carries out what decide has let pass and emits the facts.
	do(s *State, at Time) Outcome
}

// settler is a command that concerns one user: what is due for that user is
// settled before the command is decided.
type settler interface{ subject(s *State) UserID }

// Outcome is what became of a command.
type Outcome struct {
	Denial *Denial // nil: done

	Session  *Session      // of Start, Stop, Release, LetGo: a copy
	Checkout *Checkout     // of CheckOut, Return, WriteOff, CheckInConfirmed, Book: a copy
	Waiter   *Waiter       // of Wait, Request, Decline: a copy; nil where nothing stands in the way any more
	License  *License      // of Move: a copy
	Node     *Node         // of Join, RemoveNode: a copy
	Held     *Held         // of AcceptShrink: a copy
	Export   *Export       // of ExportUsage, ReceiveUsage: a copy
	Time     *TimeAccepted // of AcceptTime
	Key      *MachineKey   // of BindKey: a copy
	Mark     *AuditMark    // of ExportAudit: a copy
	Bypass   *Bypass       // of LetPass that begins one: a copy
	Repeat   bool          // had been done before; nothing has changed
}

// Event is a fact: what a command, or time, has changed. Seq grows by one with
// each event of the site; (epoch, seq) is its resume token.
type Event struct {
	Seq  uint64
	At   Time
	Fact Fact
}

// Fact is one of the past tenses of this package.
type Fact interface{ fact() }

func (Started) fact()           {}
func (Stopped) fact()           {}
func (Expired) fact()           {}
func (Released) fact()          {}
func (CheckedOut) fact()        {}
func (Returned) fact()          {}
func (CheckoutEnded) fact()     {}
func (CheckoutEnding) fact()    {}
func (WrittenOff) fact()        {}
func (CheckedIn) fact()         {}
func (WaitBegan) fact()         {}
func (WaitEnded) fact()         {}
func (Reserved) fact()          {}
func (ReservationEnded) fact()  {}
func (Mirrored) fact()          {}
func (Assigned) fact()          {}
func (Unassigned) fact()        {}
func (LinkChanged) fact()       {}
func (Configured) fact()        {}
func (Confirmed) fact()         {}
func (Conflicted) fact()        {}
func (Attempted) fact()         {}
func (UsageAcknowledged) fact() {}
func (Moved) fact()             {}
func (Blocked) fact()           {}
func (Unblocked) fact()         {}
func (UserReleased) fact()      {}
func (SignedOut) fact()         {}
func (CheckoutFlagged) fact()   {}
func (UserMissing) fact()       {}
func (LicenseChanged) fact()    {}
func (LicenseEnds) fact()       {}
func (TermExtended) fact()      {}
func (Reminded) fact()          {}
func (Requested) fact()         {}
func (TakeoverBegan) fact()     {}
func (EndingWarned) fact()      {}
func (TakeoverLifted) fact()    {}
func (GivenUp) fact()           {}
func (Declined) fact()          {}
func (WouldHaveRefused) fact()  {}
func (TokenIssued) fact()       {}
func (Joined) fact()            {}
func (Enrolled) fact()          {}
func (NodeRemoved) fact()       {}
func (Resumed) fact()           {}
func (CheckoutFound) fact()     {}
func (CheckoutsRead) fact()     {}
func (RestoreAccepted) fact()   {}
func (MirrorHeld) fact()        {}
func (ShrinkAccepted) fact()    {}
func (MirrorResumed) fact()     {}
func (UsageSetAside) fact()     {}
func (UsageSettled) fact()      {}
func (BacklogChanged) fact()    {}
func (UsageExported) fact()     {}
func (UsageReceived) fact()     {}
func (MirrorQuarantined) fact() {}
func (GrantedAlone) fact()      {}
func (LinkSlowed) fact()        {}
func (LinkStaled) fact()        {}

// Apply decides one entry and carries it out. It changes s in place; the events
// are the facts in the order they came about. Apply never fails: a command that
// may not be done gives an Outcome with a Denial and leaves only what time had
// made due.
func Apply(s *State, e Entry) (Outcome, []Event) {
	s.begin(e.At)
	s.subject = nil
	if c, ok := e.Command.(settler); ok {
		user := c.subject(s)
		s.subject = s.concerned(user, e.Command)
		s.settle(user)
	}
	if d := e.Command.decide(s, s.head.Now); d != nil {
		return Outcome{Denial: d}, s.end()
	}
	out := e.Command.do(s, s.head.Now)
	return out, s.end()
}

// Check says what Apply would refuse now, without changing anything and without
// a log entry. A nil result is a maybe: Apply decides anew, and Check has no
// opinion of a user for whom time has made something due that is not done yet.
func Check(s *State, at Time, c Command) *Denial {
	at = max(at, s.head.Now)
	d := c.decide(s, at)
	if d == nil || d.Reason == BadCommand {
		return d
	}
	if c, ok := c.(settler); ok && len(s.dueOf(c.subject(s), at)) > 0 {
		return nil
	}
	return d
}
