package license

// The part of the twin that is about the level of the cluster.

func (w *twin) raiseLevel(c RaiseLevel) Outcome {
	if c.Level == 0 || Level < c.Level || !twinName(c.Program) {
		return refuse("bad-command")
	}
	was := w.head.Level
	if was < c.Level {
		w.head.Level, w.head.Program = c.Level, c.Program
		w.tell(LevelRaised{From: was, Level: c.Level, Program: c.Program, To: w.with(twinLookAfter)})
		return Outcome{}
	}
	return Outcome{Repeat: true}
}
