package license

// Found gives a new site its identity: the first command of a first leader.
type Found struct {
	Cluster string `cbor:"1,keyasint"` // a UUID; part of every usage record's id
	// Level is what every member of the cluster can do. Zero is 1, from before it
	// was part of the command.
	Level uint32 `cbor:"40,keyasint,omitempty"`
}

func (c Found) decide(s *State, _ Time) *Denial {
	if c.Cluster == "" || !validName(c.Cluster) || c.Level > Level {
		return deny(BadCommand)
	}
	if s.head.Cluster != "" && s.head.Cluster != c.Cluster {
		return deny(IDInUse)
	}
	return nil
}

func (c Found) do(s *State, at Time) Outcome {
	if s.head.Cluster != "" {
		return Outcome{Repeat: true}
	}
	s.head.Cluster, s.head.Epoch, s.head.Level = c.Cluster, 1, max(c.Level, 1)
	if c.Level >= levelDuties {
		s.head.UsedFrom = at
	}
	return Outcome{}
}

// Level is what this program can do; a cluster works at the lowest of its
// members'. The rules' behaviour depends on the state's Level wherever it
// changed.
const Level = 2

// levelDuties is the first level at which IT is told of what it must see to (a
// checkout whose right is gone, a user who is gone though assigned, new and
// changed licenses), and a license remembers when it was last used.
const levelDuties = 2

// levelEntitlement is the first level with the whole order of entitlement and with
// the reminders of a license's end; see right and RemindTerm.
const levelEntitlement = 2

// levelRenewed is the first level at which a checkout that is renewed by a machine
// without its id is decided on by the id the machine was known by, and at which
// the id of a checkout is not taken anew while a session still names it.
const levelRenewed = 2
