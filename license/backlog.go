package license

// BacklogLevel says how much of the room for usage that waits for the cloud is taken.
// The numbers are in logs.
type BacklogLevel uint8

// The levels.
const (
	BacklogOK   BacklogLevel = 0
	BacklogHalf BacklogLevel = 1 // half of it
	BacklogHigh BacklogLevel = 2 // four fifths
	// BacklogFull: what is started now could not be metered any more, and is not.
	BacklogFull BacklogLevel = 3
)

// String is the word for it: ok, half, high or full.
func (l BacklogLevel) String() string {
	return [...]string{"ok", "half", "high", "full"}[min(l, BacklogFull)]
}

// Backlog is the usage that waits for the cloud, as the leader has measured it. The
// zero Backlog is that of a site with no bound.
type Backlog struct {
	Level BacklogLevel `cbor:"1,keyasint,omitempty"`
	Bytes uint64       `cbor:"2,keyasint,omitempty"` // of the journal that is kept for it, with what runs
	Most  uint64       `cbor:"3,keyasint,omitempty"` // how many there may be; zero: as many as there are
	Since Time         `cbor:"4,keyasint,omitempty"` // of the level
}

// NoteBacklog says how much usage waits for the cloud. Only the leader proposes it.
type NoteBacklog struct {
	Bytes uint64 `cbor:"1,keyasint,omitempty"`
	Most  uint64 `cbor:"2,keyasint,omitempty"`
}

// BacklogChanged: another part of the room for usage is taken than before. The
// administrators are told.
type BacklogChanged struct {
	From  BacklogLevel `cbor:"1,keyasint,omitempty"`
	Level BacklogLevel `cbor:"2,keyasint,omitempty"`
	Bytes uint64       `cbor:"3,keyasint,omitempty"`
	Most  uint64       `cbor:"4,keyasint,omitempty"`
	To    []UserID     `cbor:"5,keyasint,omitempty"` // the administrators, as they were then
}

// levelOf is the level of so many bytes of so many.
func levelOf(bytes, most uint64) BacklogLevel {
	switch {
	case most == 0:
		return BacklogOK
	case bytes >= most:
		return BacklogFull
	case bytes >= most-most/5:
		return BacklogHigh
	case bytes >= most/2:
		return BacklogHalf
	}
	return BacklogOK
}

// Next is the level that follows on this one with so many bytes of so many. A level is
// left for a lower one once a twentieth more would still be below it, so that nobody is
// told of it again and again.
func (b Backlog) Next(bytes, most uint64) BacklogLevel {
	level := levelOf(bytes, most)
	if level < b.Level {
		level = min(b.Level, levelOf(bytes+most/20, most))
	}
	return level
}

// meterable refuses what the site could not meter any more: nothing that is used is
// ever dropped, so it must not begin.
func (s *State) meterable(p ProductID, l LicenseID) *Denial {
	if s.head.Backlog.Level < BacklogFull {
		return nil
	}
	return &Denial{Reason: UsageFull, Product: p, License: l}
}

func (c NoteBacklog) decide(*State, Time) *Denial {
	if c.Bytes > 1<<60 || c.Most > 1<<60 {
		return deny(BadCommand)
	}
	return nil
}

func (c NoteBacklog) do(s *State, at Time) Outcome {
	b := &s.head.Backlog
	if b.Bytes == c.Bytes && b.Most == c.Most {
		return Outcome{Repeat: true}
	}
	from := b.Level
	b.Level, b.Bytes, b.Most = b.Next(c.Bytes, c.Most), c.Bytes, c.Most
	if b.Level != from {
		b.Since = at
		s.emit(BacklogChanged{From: from, Level: b.Level, Bytes: b.Bytes, Most: b.Most, To: s.told(administrators)})
	}
	return Outcome{}
}
