package license

// What the twin learns of relayed traffic.

func (w *twin) learn(c Learn) Outcome {
	if len(c.Seen) == 0 || len(c.Seen) > 500 {
		return refuse(BadCommand)
	}
	for _, l := range c.Seen {
		if l.User == "" || l.Product == "" || !twinName(string(l.User), string(l.Product), l.Email, l.Country, l.Name, l.Feature) {
			return refuse(BadCommand)
		}
	}
	today := Day(w.now() / (24 * 3_600_000))
	var f LearnedOf
	for _, l := range c.Seen {
		mirrored := false
		for _, x := range w.licenses {
			mirrored = mirrored || x.Assignee == l.User && x.Product == l.Product && w.user(l.User) != nil && w.product(l.Product) != nil
		}
		if mirrored {
			continue
		}
		l.First, l.Last = today, today
		known := twinFind(w.learned, func(x *Learned) bool { return x.User == l.User && x.Product == l.Product })
		if known == nil {
			w.learned = append(w.learned, l)
		} else {
			l.First = known.First
			same := l
			same.Last = known.Last
			if same == *known && known.Last >= today {
				continue
			}
			*known = l
		}
		f.Seen = append(f.Seen, l)
	}
	if f.Seen == nil {
		return Outcome{Repeat: true}
	}
	w.tell(f)
	return Outcome{}
}
