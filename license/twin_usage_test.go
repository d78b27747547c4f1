package license

import "slices"

// The part of the twin that is about usage on its way to the cloud.

func (w *twin) usageSent(c UsageSent) Outcome {
	if c.Through > w.head.Seq || c.After > c.Through || c.Way > 3 {
		return refuse(BadCommand)
	}
	if c.Through > w.head.UsageSent {
		if c.After != w.head.UsageSent {
			return refuse(TooLate)
		}
		if len(c.SetAside) > 100 || len(c.SetAside)+len(w.aside) > 1000 {
			return refuse(BadCommand)
		}
		for i, x := range c.SetAside {
			u := x.Usage
			if u.Record == "" || u.Seq <= c.After || u.Seq > c.Through || i > 0 && u.Seq <= c.SetAside[i-1].Usage.Seq || !twinMachine(u.Machine) ||
				!twinName(u.Record, x.Why, string(u.User), string(u.Product), string(u.License), u.Version, u.Country, u.LicenseType) || len(u.Posted) > 32<<10 {
				return refuse(BadCommand)
			}
		}
	}
	if c.Records != 0 {
		w.heard(w.now())
	}
	if c.Through <= w.head.UsageSent {
		return Outcome{Repeat: true}
	}
	w.acknowledged(c)
	return Outcome{}
}

func (w *twin) acknowledged(c UsageSent) {
	before := w.head.UsageSent
	w.head.UsageSent = c.Through
	w.head.UsageKept = min(w.head.UsageKept+c.Records, w.head.UsageMade)
	w.tell(UsageAcknowledged{Through: c.Through, Records: c.Records, SetAside: uint64(len(c.SetAside)), Way: c.Way, After: before})
	if len(c.SetAside) == 0 {
		return
	}
	f := UsageSetAside{To: w.with(twinLookAfter)}
	for _, x := range c.SetAside {
		x.At = w.now()
		f.Records = append(f.Records, x)
		w.aside = slices.DeleteFunc(w.aside, func(y SetAside) bool { return y.Usage.Record == x.Usage.Record })
		w.aside = append(w.aside, x)
	}
	w.tell(f)
}

func (w *twin) settleUsage(c SettleUsage) Outcome {
	if len(c.Records) == 0 || len(c.Records) > 1000 || !twinName(c.By) || !twinName(c.Records...) || slices.Contains(c.Records, "") {
		return refuse(BadCommand)
	}
	w.heard(w.now())
	var settled []string
	for _, r := range c.Records {
		for i, x := range w.aside {
			if x.Usage.Record == r {
				w.aside = slices.Delete(w.aside, i, i+1)
				settled = append(settled, r)
				break
			}
		}
	}
	if settled == nil {
		return Outcome{Repeat: true}
	}
	w.head.UsageKept = min(w.head.UsageKept+uint64(len(settled)), w.head.UsageMade)
	w.tell(UsageSettled{Records: settled, By: c.By})
	return Outcome{}
}

func (w *twin) noteBacklog(c NoteBacklog) Outcome {
	const huge = 1 << 60
	if c.Bytes > huge || c.Most > huge {
		return refuse(BadCommand)
	}
	b := &w.head.Backlog
	if b.Bytes == c.Bytes && b.Most == c.Most {
		return Outcome{Repeat: true}
	}
	is := func(bytes uint64) BacklogLevel {
		if c.Most == 0 {
			return 0
		}
		var level BacklogLevel
		for i, mark := range []uint64{c.Most / 2, c.Most - c.Most/5, c.Most} {
			if bytes >= mark {
				level = BacklogLevel(i + 1)
			}
		}
		return level
	}
	from := b.Level
	for is(c.Bytes) > b.Level {
		b.Level++
	}
	for is(c.Bytes) < b.Level && is(c.Bytes+c.Most/20) < b.Level {
		b.Level--
	}
	b.Bytes, b.Most = c.Bytes, c.Most
	if from != b.Level {
		b.Since = w.now()
		w.tell(BacklogChanged{From: from, Level: b.Level, Bytes: c.Bytes, Most: c.Most, To: w.with(twinLookAfter)})
	}
	return Outcome{}
}

func (w *twin) exportUsage(c ExportUsage) Outcome {
	switch {
	case c.By == "" || !twinName(c.By) || c.Through > w.head.Seq || c.Through <= c.After:
		return refuse(BadCommand)
	case c.Number != w.head.Exported.Number+1 || c.After != max(w.head.Exported.Through, w.head.UsageSent):
		return refuse(TooLate)
	case len(w.exports) >= 4096:
		return refuse(BadCommand)
	}
	x := Export{Number: c.Number, After: c.After, Through: c.Through, Records: c.Records, Sum: c.Sum, At: w.now(), By: c.By}
	if w.head.Exported.Through > w.head.UsageSent {
		x.Upto = w.head.Exported.Upto + c.Records
	} else {
		x.Upto = w.head.UsageKept + uint64(len(w.aside)) + c.Records
	}
	w.exports = append(w.exports, x)
	w.head.Exported = Exported{Number: c.Number, Through: c.Through, Upto: x.Upto}
	w.tell(UsageExported{Export: x})
	return Outcome{Export: &x}
}

func (w *twin) receiveUsage(c ReceiveUsage) Outcome {
	if !twinName(c.By) || c.Number > w.head.Exported.Number {
		return refuse(BadCommand)
	}
	x := twinFind(w.exports, func(x *Export) bool { return x.Number == c.Number })
	if x != nil {
		if x.Sum != c.Sum || uint64(len(c.Refused)) > x.Records || len(c.Refused) > 100 || len(c.Refused)+len(w.aside) > 1000 {
			return refuse(BadCommand)
		}
		for i, y := range c.Refused {
			u := y.Usage
			if u.Record == "" || u.Seq <= x.After || u.Seq > x.Through || i > 0 && u.Seq <= c.Refused[i-1].Usage.Seq || !twinMachine(u.Machine) ||
				!twinName(u.Record, y.Why, string(u.User), string(u.Product), string(u.License), u.Version, u.Country, u.LicenseType) || len(u.Posted) > 32<<10 {
				return refuse(BadCommand)
			}
		}
	}
	if x == nil || x.Received != 0 {
		return Outcome{Repeat: true}
	}
	x.Received, x.Refused = w.now(), c.Refused
	done := *x
	w.tell(UsageReceived{Number: c.Number, By: c.By})
	w.heard(w.now())
	for len(w.exports) > 0 {
		first := w.exports[0]
		if first.Received == 0 || first.After > w.head.UsageSent {
			break
		}
		w.exports = slices.Delete(w.exports, 0, 1)
		if first.Through > w.head.UsageSent {
			c := UsageSent{Through: first.Through, Way: 3}
			for _, y := range first.Refused {
				if y.Usage.Seq > w.head.UsageSent {
					c.SetAside = append(c.SetAside, y)
				}
			}
			gone := w.head.UsageKept + uint64(len(w.aside)+len(c.SetAside))
			if first.Upto > gone {
				c.Records = first.Upto - gone
			}
			w.acknowledged(c)
		}
	}
	return Outcome{Export: &done}
}

func (w *twin) keepPosting(c KeepPosting) Outcome {
	if c.User != "" && w.wasOf(c.ID) == c.User {
		return Outcome{Repeat: true}
	}
	if r := w.fresh(c.ID, c.User, c.Machine, c.NotAfter); r != "" {
		return refuse(r)
	}
	switch {
	case len(c.Body) < 1 || len(c.Body) > 32<<10 || !twinName(string(c.Product)):
		return refuse(BadCommand)
	case w.head.Backlog.Level == BacklogFull:
		return Outcome{Denial: &Denial{Reason: UsageFull, Product: c.Product}}
	}
	w.bury(c.ID, c.User)
	w.tell(PostingKept{ID: c.ID, User: c.User, Product: c.Product, Machine: c.Machine, Body: c.Body, Listed: c.Listed})
	return Outcome{}
}
