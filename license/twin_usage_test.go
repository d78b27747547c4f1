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
				!twinName(u.Record, x.Why, string(u.User), string(u.Product), string(u.License), u.Version, u.Country, u.LicenseType) {
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
