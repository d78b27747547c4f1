package license

// current is the level of the rules as they are. Who changes a rule, or what is
// stored, raises it by one and lets the rule decide in the old way while the state's
// level, State.Head().Level, is lower: a log is decided again as it was, and members
// of two versions decide alike. What this program can do is Level. Until the first version
// is tagged level 1 is open: rules change under it, and builds from before and after such a
// change do not belong in one cluster.
const current = 1

// RaiseLevel has the cluster work at a higher level from here on. Its leader proposes
// it when every member runs a program that can do it; a program that cannot stops at
// this entry. There is no way back from it but a restore.
type RaiseLevel struct {
	Level   uint32 `cbor:"130,keyasint"`
	Program string `cbor:"131,keyasint,omitempty"` // the version of the leader's program, which can do it
}

// LevelRaised: programs that cannot do the level are of no use to this site any more.
type LevelRaised struct {
	From    uint32   `cbor:"130,keyasint,omitempty"`
	Level   uint32   `cbor:"131,keyasint"`
	Program string   `cbor:"132,keyasint,omitempty"` // a version that can do it
	To      []UserID `cbor:"133,keyasint,omitempty"` // the administrators, as they were then
}

func (LevelRaised) fact() {}

func (c RaiseLevel) decide(*State, Time) *Denial {
	if c.Level < 1 || c.Level > Level || !validName(c.Program) {
		return deny(BadCommand)
	}
	return nil
}

func (c RaiseLevel) do(s *State, _ Time) Outcome {
	from := s.head.Level
	if c.Level <= from {
		return Outcome{Repeat: true}
	}
	s.head.Level, s.head.Program = c.Level, c.Program
	s.emit(LevelRaised{From: from, Level: c.Level, Program: c.Program, To: s.told(administrators)})
	return Outcome{}
}
