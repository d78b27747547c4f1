package license

// Found gives a new site its identity: the first command of a first leader.
type Found struct {
	Cluster string `cbor:"1,keyasint"` // a UUID; part of every usage record's id
	Level   uint32 `cbor:"2,keyasint"` // what every member of the cluster can do; at least 1
	// Seed is 32 random bytes, from which the salts of the audit trail's pseudonyms follow.
	Seed Digest `cbor:"320,keyasint,omitzero"`
}

func (c Found) decide(s *State, _ Time) *Denial {
	if c.Cluster == "" || !validName(c.Cluster) || c.Level < 1 || c.Level > Level {
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
	s.head.Cluster, s.head.Epoch, s.head.Level, s.head.UsedFrom = c.Cluster, 1, c.Level, at
	s.head.Audit.Secret = c.Seed
	return Outcome{}
}
