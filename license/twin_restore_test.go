package license

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// What the twin does after a restore.

// atRest puts a restore among the entries of a script.
type atRest struct{ epoch uint64 }

func (atRest) decide(*State, Time) *Denial { return nil }

func (c atRest) do(s *State, at Time) Outcome {
	s.Restore(Beginning{Epoch: c.epoch, Cluster: s.head.Cluster, At: at, Recovered: true, Node: "gw1", Instance: fmt.Sprint("f", c.epoch), Generation: c.epoch % 3, Members: []string{"GW1", "gw2", "gw7"}})
	return Outcome{}
}

func (w *twin) restore(c atRest) Outcome {
	w.head.Epoch = c.epoch
	w.head.Lockouts, w.head.Alerts = nil, nil
	w.head.KeyViews, w.head.KeysAccepted = nil, nil
	w.head.Bypass = Bypass{}
	w.head.Rekeying = Rekeying{}
	w.head.Restored = Restoration{Seq: w.head.Seq, Recovered: true, Pending: true}
	self := Node{Name: "gw1", Instance: fmt.Sprint("f", c.epoch), Generation: c.epoch % 3, Since: w.now()}
	for _, name := range []string{"GW1", "gw2", "gw7"} {
		if w.node(name) == nil {
			w.nodes = append(w.nodes, Node{Name: name, Since: w.now()})
		}
	}
	for i := range w.nodes {
		n := &w.nodes[i]
		if n.Removed == 0 {
			n.Removed, n.By, n.Note = w.now(), "restore", "the cluster went on from another node's data"
		}
	}
	w.nodes = append(slices.DeleteFunc(w.nodes, func(n Node) bool { return strings.EqualFold(n.Name, "gw1") }), self)
	return Outcome{}
}

func (w *twin) resume(c Resume) Outcome {
	r := w.head.Restored
	switch {
	case c.Epoch != w.head.Epoch, !r.Pending && r.At == 0:
		return refuse(BadCommand)
	case !r.Pending:
		return Outcome{Repeat: true}
	}
	r.Pending, r.At, r.Until = false, w.now(), w.now()+Time(w.longest()/time.Millisecond)
	w.head.Restored = r
	w.tell(Resumed{Epoch: c.Epoch, Recovered: true, Until: r.Until})
	return Outcome{}
}

// longest is the longest lease at the site.
func (w *twin) longest() time.Duration {
	if w.head.Settings.Relay {
		return 4*time.Hour + 10*time.Minute
	}
	return time.Hour
}

func (w *twin) reread(c Reread) Outcome {
	bad := len(c.Found)+len(c.Gone) > 1000
	for _, x := range c.Found {
		bad = bad || x.ID == ID{} || x.User == "" || x.License == "" || !twinMachine(x.Machine) ||
			!twinName(string(x.User), string(x.Product), string(x.License))
	}
	switch r := w.head.Restored; {
	case bad:
		return refuse(BadCommand)
	case c.Epoch != w.head.Epoch || r.At == 0 || r.Read:
		return refuse(TooLate)
	}
	w.heard(w.now())
	for _, id := range c.Gone {
		w.settle(w.borrower(id))
		if x := w.checkout(id); x != nil && x.Token <= w.head.Restored.Seq {
			w.giveBack(Return{ID: id, User: x.User, Machine: x.Machine})
		}
	}
	for _, f := range c.Found {
		w.settle(f.User)
		if f.Until <= w.now() || w.checkout(f.ID) != nil || w.session(f.ID) != nil || w.wasOf(f.ID) != "" {
			continue
		}
		x := Checkout{ID: f.ID, User: f.User, Product: f.Product, License: f.License, Machine: f.Machine, Since: min(f.Since, w.now()),
			Until: f.Until, Token: w.head.Seq + 1, Remind: w.nextReminder(f.Until)}
		w.checkouts = append(w.checkouts, x)
		w.tell(CheckoutFound{Checkout: x})
		if !w.single(x.Product) {
			continue
		}
		for i := range w.sessions {
			y := &w.sessions[i]
			if y.User == x.User && w.oneMachine(y) && !sameMachine(y.Machine, x.Machine) && (w.checkoutsHoldUser() || y.License == x.License) &&
				(y.Notice == nil || y.Notice.Until > w.now()) {
				w.ends(y, Ending{Reason: "conflict", Machine: x.Machine, Until: w.byThen(y, w.now())})
				w.tell(Conflicted{Session: *y})
			}
		}
	}
	if c.Last {
		w.head.Restored.Read = true
		w.tell(CheckoutsRead{Epoch: c.Epoch})
	}
	return Outcome{}
}

func (w *twin) acceptRestore(c AcceptRestore) Outcome {
	switch {
	case c.By == "" || c.Note == "" || !twinName(c.By, c.Note):
		return refuse(BadCommand)
	case w.head.Restored.At == 0:
		return refuse(TooLate)
	case w.head.Restored.Read:
		return Outcome{Repeat: true}
	}
	w.head.Restored.Read = true
	w.tell(RestoreAccepted(c))
	return Outcome{}
}

// oneMachine: the session is of what may be on one machine only.
func (w *twin) oneMachine(x *Session) bool {
	return x.Holds || x.UnderCheckout != ID{} && w.single(x.Product)
}

// waits refuses what is capped while it is not known what was granted in the time
// that is lost.
func (w *twin) waits(p ProductID, lic LicenseID) *Denial {
	r := w.head.Restored
	never := r == Restoration{}
	switch {
	case never || !r.Pending && r.Read && w.now() >= r.Until:
		return nil
	case r.Read:
		return &Denial{Reason: "restored", Product: p, License: lic, Until: r.Until}
	}
	return &Denial{Reason: "restored", Product: p, License: lic}
}

// restored is what an administrator, a leader and the cloud do after a restore.
func (s *script) restored(state *State) Command {
	head := state.head
	if r := head.Restored; !r.Pending && (r.At == 0 || r.Over(s.at) && s.pick(8) == 0) || s.pick(30) == 29 {
		return oneOf[Command](s, atRest{head.Epoch + 1}, AcceptRestore{By: "ida", Note: "asked"}, Reread{Epoch: head.Epoch, Last: true}, Resume{Epoch: head.Epoch})
	} else if r.Pending {
		return Resume{Epoch: head.Epoch - uint64(s.pick(8))/7}
	}
	c := Reread{Epoch: head.Epoch, Last: s.pick(6) == 0}
	for range s.pick(3) {
		x := Checkout{ID: s.id(), User: s.user(), Product: s.product(), Machine: s.machine(), Until: s.at.Add(oneOf(s, time.Hour, time.Minute, 24*time.Hour, 4*24*time.Hour, 0))}
		x.License = oneOf(s, s.license(), s.license(), "")
		if own := state.Assigned(x.User); len(own) > 0 && s.pick(4) > 0 {
			l := oneOf(s, own...)
			x.License, x.Product = l.ID, l.Product
		}
		if known := state.Checkout(s.checkedOut(state)); known != nil && s.pick(6) == 0 {
			x = *known
		}
		c.Found = append(c.Found, x)
	}
	for range s.pick(3) {
		if id := s.checkedOut(state); !slices.Contains(c.Gone, id) {
			c.Gone = append(c.Gone, id)
		}
	}
	return oneOf[Command](s, c, c, c, AcceptRestore{By: oneOf(s, "ida", ""), Note: "asked"})
}

func (w *twin) acceptTime(c AcceptTime) Outcome {
	switch r := w.head.Restored; {
	case c.By == "" || !twinName(c.By, c.Note):
		return refuse(BadCommand)
	case !r.Pending && r.At == 0, r.Until <= w.now():
	default:
		return Outcome{Denial: &Denial{Reason: AfterRestore, Until: r.Until}}
	}
	f := TimeAccepted{From: c.From, To: w.now(), By: c.By, Note: c.Note}
	w.tell(f)
	return Outcome{Time: &f}
}
