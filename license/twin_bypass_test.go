package license

// letPass: what was asked last holds, for a quarter of an hour.
func (w *twin) letPass(c LetPass) Outcome {
	if c.By == "" || c.Note == "" || !twinName(c.By, c.Note) {
		return refuse(BadCommand)
	}
	over := w.bypassOver()
	if c.Over && w.head.Bypass == (Bypass{}) {
		return Outcome{Repeat: !over}
	}
	if !c.Over {
		b := Bypass{w.now(), w.now() + twinHour/4, c.By, c.Note}
		w.head.Bypass = b
		w.tell(BypassTold{Bypass: b, To: w.with(twinLookAfter)})
		return Outcome{Bypass: &b}
	}
	told := BypassTold{Bypass: w.head.Bypass, Over: true, By: c.By, Note: c.Note, To: w.with(twinLookAfter)}
	w.head.Bypass = Bypass{}
	w.tell(told)
	return Outcome{}
}

// bypassOver ends a bypass whose time is up, and says whether there was one.
func (w *twin) bypassOver() bool {
	b := w.head.Bypass
	if b == (Bypass{}) || w.now() < b.Until {
		return false
	}
	w.head.Bypass = Bypass{}
	w.tell(BypassTold{Bypass: b, Over: true, To: w.with(twinLookAfter)})
	return true
}
