package license

// WouldStart is what a start would come to, beside uses that no hold was opened for: those of
// traffic that is only observed, each as the session that it would be. Nothing is changed by
// it. The session is the one that would hold, nil: it would hold nothing; the denial is the
// rules' own, or of a use that would be in its way.
func WouldStart(s *State, at Time, c Start, beside []Session) (*Session, *Denial) {
	if d := Check(s, at, c); d != nil {
		return nil, d
	}
	at = max(at, s.head.Now)
	r, d := s.right(&c, at)
	if d != nil || !r.product.needsHold(r.license) || s.startsUnder(c.User, r.license, c.Machine, c.Version, at) != nil {
		return nil, nil
	}
	for i := range beside {
		x := &beside[i]
		if x.User == c.User && !x.Machine.Is(c.Machine) && (s.head.Settings.sessionScope() == ScopeUser || x.License == r.license.ID) {
			return nil, x.inTheWay(r.license)
		}
	}
	return &Session{ID: c.ID, User: c.User, Product: r.product.ID, License: r.license.ID, Machine: c.Machine, Since: at, TTL: c.lease(&s.head.Settings), Relayed: c.Relayed}, nil
}
