package license

import (
	"slices"
	"strings"
)

// noteLockout keeps what nodes say in a list that is put in order anew each time.
func (w *twin) noteLockout(c NoteLockout) Outcome {
	list := &w.head.Lockouts
	if c.Node == "" || c.Proxy == "" || !twinName(c.Node, c.Proxy) || c.Until != 0 && len(*list) == 256 {
		return refuse("bad-command")
	}
	if n := w.node(c.Node); n != nil && n.Removed != 0 {
		return Outcome{Denial: &Denial{Reason: "node-removed", Node: n.Name, Since: n.Removed, Who: n.By, Note: n.Note}}
	}
	for i, l := range *list {
		if !strings.EqualFold(l.Node, c.Node) || l.Proxy != c.Proxy {
			continue
		}
		if c.Until != 0 {
			return Outcome{Repeat: true}
		}
		rest := append(append([]Lockout{}, (*list)[:i]...), (*list)[i+1:]...)
		if *list = rest; len(rest) == 0 {
			*list = nil
		}
		w.tell(SecretResumed{Lockout: l, To: w.with(twinLookAfter)})
		return Outcome{}
	}
	if c.Until == 0 {
		return Outcome{Repeat: true}
	}
	l := Lockout{Node: c.Node, Proxy: c.Proxy, Until: c.Until, Since: w.now()}
	all := append(append([]Lockout{}, *list...), l)
	slices.SortFunc(all, func(a, b Lockout) int {
		if a, b := strings.ToLower(a.Node), strings.ToLower(b.Node); a != b {
			return strings.Compare(a, b)
		}
		return strings.Compare(a.Proxy, b.Proxy)
	})
	*list = all
	w.tell(SecretStopped{Lockout: l, To: w.with(twinLookAfter)})
	return Outcome{}
}

// nodeGone forgets what a node has said.
func (w *twin) nodeGone(node string) {
	var left []Lockout
	for _, l := range w.head.Lockouts {
		if !strings.EqualFold(l.Node, node) {
			left = append(left, l)
		}
	}
	w.head.Lockouts = left
	var views []KeyView
	for _, v := range w.head.KeyViews {
		if !strings.EqualFold(v.Node, node) {
			views = append(views, v)
		}
	}
	gone := w.head.KeyViews
	w.head.KeyViews = views
	for _, v := range gone {
		held := func(x KeyView) bool { return x.Issuer == v.Issuer && len(x.Held) > 0 }
		if !strings.EqualFold(v.Node, node) || slices.ContainsFunc(views, held) {
			continue
		}
		var still []AcceptedKeys
		for _, a := range w.head.KeysAccepted {
			if a.Issuer != v.Issuer {
				still = append(still, a)
			}
		}
		w.head.KeysAccepted = still
		if len(v.Held) > 0 {
			w.tell(KeysResumed{Issuer: v.Issuer, To: w.with(twinLookAfter)})
		}
	}
}
