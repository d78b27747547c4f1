package integration

import (
	"os"
	"time"
)

// What the nemesis does to the list of members. Each step is asked for again until the
// site does it: nodes that were just started, and have no leader yet, refuse it.

// memberFaults are those.
var memberFaults = []fault{
	{"a node is removed, and joins again", func(n *nemesis) func() { return n.removed(n.any()) }},
	{"the leader is removed, and joins again", func(n *nemesis) func() { return n.removed(n.leader()) }},
	{"a machine joins, and goes", func(n *nemesis) func() { return n.guest() }},
}

// memberLimit is how long a step may take.
const memberLimit = 90 * time.Second

// removed takes a node out of the cluster for good; its folder is emptied, and undo
// lets it in again, as a new machine of its name.
func (n *nemesis) removed(node int) (undo func()) {
	o := n.others(node)
	gone, by := n.s.Nodes[node], o[n.dice.IntN(len(o))]
	Eventually(n.t, memberLimit, gone.Name+" is removed", func() error {
		_, err := n.s.operate(n.t, by, "", "remove", gone.Name, "--note", "nemesis")
		return err
	})
	select {
	case <-gone.done: // it hears of it, and ends
	case <-time.After(time.Second): // or it does not: it lags, or has just been started
		gone.Kill()
	}
	return func() {
		gone.unmake(n.t)
		n.joins(gone, by)
		n.s.votes(n.t, by, gone.Name, true)
	}
}

// guest has a machine that is none of the site's join and, at undo, leave, or be removed
// after it was killed. No client asks it.
func (n *nemesis) guest() (undo func()) {
	if n.visitor == nil {
		n.visitor = n.s.NewMachine(n.t, "guest")
		n.visitor.Link = NewLink(n.t, freePortOn(n.t, n.visitor.IP))
	}
	v, by := n.visitor, n.any()
	n.joins(v, by)
	if n.dice.IntN(2) == 0 {
		n.s.votes(n.t, by, v.Name, true)
	}
	return func() {
		if n.dice.IntN(2) == 0 {
			v.Kill()
			Eventually(n.t, memberLimit, v.Name+" is removed", func() error {
				_, err := n.s.operate(n.t, by, "", "remove", v.Name, "--note", "nemesis")
				return err
			})
			return
		}
		Eventually(n.t, memberLimit, v.Name+" leaves", func() error {
			if v.Ended() {
				return nil
			}
			_, err := n.s.operateOn(n.t, v, "", "leave")
			return err
		})
		v.Wait(n.t, memberLimit)
	}
}

// joins empties a machine's data folder and has it join by a token of another node.
func (n *nemesis) joins(new *Node, by int) {
	if err := os.RemoveAll(new.data()); err != nil {
		n.t.Fatal(err)
	}
	var token string
	Eventually(n.t, memberLimit, "a token", func() (err error) {
		token, err = n.s.operate(n.t, by, "", "token")
		return err
	})
	Eventually(n.t, memberLimit, new.Name+" joins", func() error {
		_, err := n.s.operateOn(n.t, new, token, "join", "--token-file", "-", "--peer-listen", new.Link.to, "--peer-advertise", new.Link.Addr())
		return err
	})
	n.s.start(n.t, new)
}
