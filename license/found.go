package license

// Found gives a new site its identity: the first command of a first leader.
type Found struct {
	Cluster string `cbor:"1,keyasint"` // a UUID; part of every usage record's id
}

func (c Found) decide(s *State, _ Time) *Denial {
	if c.Cluster == "" || !validName(c.Cluster) {
		return deny(BadCommand)
	}
	if s.head.Cluster != "" && s.head.Cluster != c.Cluster {
		return deny(IDInUse)
	}
	return nil
}

func (c Found) do(s *State, _ Time) Outcome {
	if s.head.Cluster != "" {
		return Outcome{Repeat: true}
	}
	s.head.Cluster, s.head.Epoch, s.head.Level = c.Cluster, 1, Level
	return Outcome{}
}

// Level is what this program can do; a cluster works at the lowest of its
// members'. The rules' behaviour depends on the state's Level wherever it
// changed.
const Level = 1
