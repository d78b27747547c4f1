package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// nemesis does to a site, one after the other, what befalls sites: each fault
// lasts a while and is then mended. Which, how long and upon which node its seed
// says; only who leads does it not.
type nemesis struct {
	t      testing.TB
	s      *Site
	dice   *rand.Rand
	say    func(what string)
	faults []fault
	done   []string // what it did

	visitor *Node // a machine that comes and goes; nil: it was not here yet
}

// fault is one thing that befalls a site, until it is undone.
type fault struct {
	name string
	do   func(n *nemesis) (undo func())
}

// faults are all of them. Those of a list's nodes name the leader among others, at
// the time they begin.
var faults = []fault{
	{"the leader is killed", func(n *nemesis) func() { return n.kill(n.leader()) }},
	{"a node is killed", func(n *nemesis) func() { return n.kill(n.any()) }},
	{"most nodes are killed", func(n *nemesis) func() { return n.kill(n.shuffled()[:len(n.s.Nodes)/2+1]...) }},
	{"all nodes are killed", func(n *nemesis) func() { return n.kill(n.shuffled()...) }},
	{"the leader is stopped", func(n *nemesis) func() { return n.stop(n.leader()) }},
	{"the leader is paused", func(n *nemesis) func() { return n.pause(n.leader()) }},
	{"a node is paused", func(n *nemesis) func() { return n.pause(n.any()) }},
	{"the leader is alone", func(n *nemesis) func() { l := n.leader(); return n.apart(n.others(l), []int{l}) }},
	{"a node is alone", func(n *nemesis) func() { a := n.any(); return n.apart(n.others(a), []int{a}) }},
	{"nobody hears the leader", func(n *nemesis) func() { l := n.leader(); return n.silence([]int{l}, n.others(l)) }},
	{"the leader hears nobody", func(n *nemesis) func() { l := n.leader(); return n.silence(n.others(l), []int{l}) }},
	{"one node does not hear another", func(n *nemesis) func() { o := n.shuffled(); return n.silence(o[:1], o[1:2]) }},
	{"two halves have only one node in common", func(n *nemesis) func() {
		o := n.shuffled()
		return n.apart(o[:len(o)/2], o[len(o)/2+1:])
	}},
	{"the leader's disk is slow", func(n *nemesis) func() {
		return n.broken(n.leader(), func(f *Faults) { f.DiskMS = 20 + n.dice.Int64N(400) })
	}},
	{"a disk is slow", func(n *nemesis) func() {
		return n.broken(n.any(), func(f *Faults) { f.DiskMS = 20 + n.dice.Int64N(400) })
	}},
	{"the leader's disk hangs", func(n *nemesis) func() {
		return n.hang(n.leader(), 3*time.Second+time.Duration(n.dice.Int64N(int64(9*time.Second))))
	}},
	{"the leader's disk is full", func(n *nemesis) func() { return n.fill(n.leader()) }},
	{"a clock jumps", func(n *nemesis) func() { return n.jump(n.any()) }},
	{"all clocks jump", func(n *nemesis) func() {
		var undo []func()
		for i := range n.s.Nodes {
			undo = append(undo, n.jump(i))
		}
		return func() {
			for _, f := range undo {
				f()
			}
		}
	}},
}

// faultsOfFive make a difference where nodes are more than three.
var faultsOfFive = []fault{
	{"a minority is apart", func(n *nemesis) func() { o := n.shuffled(); return n.apart(o[:len(o)/2], o[len(o)/2:]) }},
	{"a minority hears nobody", func(n *nemesis) func() { o := n.shuffled(); return n.silence(o[len(o)/2:], o[:len(o)/2]) }},
}

// only is the faults of these names.
func only(names ...string) []fault {
	var some []fault
	for _, f := range faults {
		if slices.Contains(names, f.name) {
			some = append(some, f)
		}
	}
	return some
}

// work goes on until ctx ends, and leaves the site whole.
func (n *nemesis) work(ctx context.Context) {
	var order []int
	if len(n.faults) == 0 {
		<-ctx.Done()
	}
	for ctx.Err() == nil {
		nap(ctx, time.Second+time.Duration(n.dice.Int64N(int64(2*time.Second))))
		if ctx.Err() != nil {
			return
		}
		if len(order) == 0 { // every fault once before any comes again
			order = n.dice.Perm(len(n.faults))
		}
		f := n.faults[order[0]]
		order = order[1:]
		n.say(f.name)
		n.done = append(n.done, f.name)
		undo := f.do(n)
		nap(ctx, 300*time.Millisecond+time.Duration(n.dice.Int64N(int64(3*time.Second))))
		undo()
	}
}

// leader is who leads, or else any node.
func (n *nemesis) leader() int {
	for _, node := range n.s.Nodes {
		if node.Ended() {
			continue
		}
		if st, err := n.s.Status(node); err == nil {
			for i, l := range n.s.Nodes {
				if l.Name == st.Cluster.Leader {
					return i
				}
			}
		}
	}
	return n.any()
}

func (n *nemesis) any() int        { return n.dice.IntN(len(n.s.Nodes)) }
func (n *nemesis) shuffled() []int { return n.dice.Perm(len(n.s.Nodes)) }

func (n *nemesis) others(than ...int) []int {
	var o []int
	for i := range n.s.Nodes {
		if !slices.Contains(than, i) {
			o = append(o, i)
		}
	}
	return o
}

func (n *nemesis) kill(nodes ...int) func() {
	for _, i := range nodes {
		n.s.Nodes[i].Kill()
	}
	return n.start(nodes)
}

func (n *nemesis) stop(node int) func() {
	n.s.Nodes[node].Stop(n.t)
	return n.start([]int{node})
}

func (n *nemesis) start(nodes []int) func() {
	return func() {
		for _, i := range nodes {
			n.s.Start(n.t, i)
		}
	}
}

func (n *nemesis) pause(node int) func() {
	n.s.Nodes[node].Pause()
	return n.s.Nodes[node].Resume
}

// silence: what some send does not arrive at the others.
func (n *nemesis) silence(from, to []int) func() {
	for _, f := range from {
		for _, t := range to {
			n.s.Partition(f, t)
		}
	}
	return n.s.Heal
}

func (n *nemesis) apart(a, b []int) func() {
	n.silence(a, b)
	return n.silence(b, a)
}

func (n *nemesis) broken(node int, change func(*Faults)) func() {
	before := *n.s.Nodes[node].faults
	n.s.Fault(n.t, node, change)
	return func() { n.s.Fault(n.t, node, func(f *Faults) { *f = before }) }
}

// fill fills the disk under a node's log. A node that has ended by itself is
// started again when there is room.
func (n *nemesis) fill(node int) func() {
	mend := n.broken(node, func(f *Faults) { f.DiskFull = true })
	return func() {
		mend()
		if n.s.Nodes[node].Ended() {
			n.s.Start(n.t, node)
		}
	}
}

// hang has a node's disk not come back for so long: from two seconds on it hands
// over, from ten on it ends by itself and is started again.
func (n *nemesis) hang(node int, d time.Duration) func() {
	mend := n.broken(node, func(f *Faults) { f.DiskMS = d.Milliseconds() })
	return func() {
		mend()
		// A write that is under way hangs on, and ends the node when that is 10 s. A node that
		// ends takes its time, and is not ready meanwhile.
		hung, late := time.Now().Add(d+time.Second), time.Now().Add(d+20*time.Second)
		for d > 7*time.Second && !n.s.Nodes[node].Ended() && (time.Now().Before(hung) || !n.ready(node) && time.Now().Before(late)) {
			time.Sleep(50 * time.Millisecond)
		}
		if n.s.Nodes[node].Ended() {
			n.s.Start(n.t, node)
		}
	}
}

func (n *nemesis) ready(node int) bool { return n.s.ready(n.s.Nodes[node]) == nil }

// jump sets a node's clock, by moments or by years.
func (n *nemesis) jump(node int) func() {
	by := []time.Duration{30 * time.Second, -30 * time.Second, time.Hour, -time.Hour, 10 * 365 * 24 * time.Hour, -56 * 365 * 24 * time.Hour}
	return n.broken(node, func(f *Faults) { f.ClockMS = by[n.dice.IntN(len(by))].Milliseconds() })
}

// account is what the nemesis did, in order.
func (n *nemesis) account() string {
	return fmt.Sprintf("%d faults: %s", len(n.done), strings.Join(n.done, ", "))
}
