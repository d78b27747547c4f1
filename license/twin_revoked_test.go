package license

// What the twin knows of what the vendor has taken back; it never has so much that there is no
// room.

func (w *twin) noteRevoked(c NoteRevoked) Outcome {
	if len(c.Users) == 0 || len(c.Users) > 500 {
		return refuse(BadCommand)
	}
	for _, r := range c.Users {
		if r.User == "" || !twinName(string(r.User)) || r.At <= 0 {
			return refuse(BadCommand)
		}
	}
	var f PoliciesRevoked
	for _, r := range c.Users {
		if day := w.now() + 24*3_600_000; r.At > day {
			r.At = day
		}
		known := twinFind(w.revoked, func(x *Revocation) bool { return x.User == r.User })
		switch {
		case known == nil:
			w.revoked = append(w.revoked, r)
		case known.At >= r.At:
			continue
		default:
			known.At = r.At
		}
		f.Users = append(f.Users, r)
	}
	if f.Users == nil {
		return Outcome{Repeat: true}
	}
	w.tell(f)
	return Outcome{}
}
