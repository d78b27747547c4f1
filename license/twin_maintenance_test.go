package license

// maintain: what was announced last holds, until it is over or taken back.
func (w *twin) maintain(m Maintenance) Outcome {
	const day = 24 * twinHour
	taken := m.From == 0 && m.Until == 0
	fine := m.From >= 0 && m.From < m.Until && m.Until > w.now() && m.Until-m.From <= 7*day && m.From <= w.now()+90*day
	if m.By == "" || !twinName(m.By, m.Note) || !taken && !fine {
		return refuse(BadCommand)
	}
	was := w.head.Maintenance
	if taken {
		w.head.Maintenance = Maintenance{}
		if was.Until <= w.now() {
			return Outcome{Repeat: true}
		}
		w.tell(MaintenanceTold{Maintenance: Maintenance{From: was.From, Until: was.Until, By: m.By, Note: m.Note}, Over: true})
		return Outcome{}
	}
	if was == m {
		return Outcome{Repeat: true}
	}
	w.head.Maintenance = m
	w.tell(MaintenanceTold{Maintenance: m})
	return Outcome{}
}
