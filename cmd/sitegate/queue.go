package main

import (
	"container/heap"
	"net"
	"net/netip"
	"sync"
)

// queue is where connections wait until they are let in: of each network in the order in
// which they came, and of all networks one after the other, so that who comes alone does not
// wait behind the thousands of another. A network of which many are inside that have asked
// for nothing yet waits until some have: half a handshake costs nothing to begin, and
// memory to wait for. Who comes when its network has as many waiting as it may is not taken.
type queue struct {
	each   int // of one network waiting, at most
	silent int // and inside without having asked; zero: any number

	mu      sync.Mutex
	waiting turns
	of      map[netip.Prefix]*line
	now     uint64 // the turn of who was let in last
	came    uint64
	some    chan struct{} // holds one while anybody waits
}

// line is one network: who waits, and who is inside and silent.
type line struct {
	last    uint64 // the turn of who came last
	waiting int
	silent  int
	held    []turn // whose turn it was while too many were silent
}

// turn is one who waits. Turns are counted for each network from when it came; equals go in
// the order in which they came.
type turn struct {
	conn     net.Conn
	from     netip.Prefix
	at, came uint64
}

func newQueue(each, silent int) *queue {
	return &queue{each: each, silent: silent, of: map[netip.Prefix]*line{}, some: make(chan struct{}, 1)}
}

// put has a connection wait. False: too many of its network do.
func (q *queue) put(c net.Conn, from netip.Prefix) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.of[from]
	if l == nil {
		l = &line{}
		q.of[from] = l
	}
	if l.waiting >= q.each {
		return false
	}
	l.last = max(l.last, q.now) + 1
	l.waiting++
	q.came++
	heap.Push(&q.waiting, turn{c, from, l.last, q.came})
	q.signal()
	return true
}

// next is whose turn it is, who counts as silent until left; nil: nobody may come in now.
func (q *queue) next() net.Conn {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) > 0 {
		t := heap.Pop(&q.waiting).(turn)
		l := q.of[t.from]
		if q.silent > 0 && l.silent >= q.silent {
			l.held = append(l.held, t)
			continue
		}
		q.now = max(q.now, t.at)
		l.waiting--
		if q.silent > 0 {
			l.silent++
		} else if l.waiting == 0 {
			delete(q.of, t.from)
		}
		q.signal()
		return t.conn
	}
	return nil
}

// count is how many of a network wait.
func (q *queue) count(from netip.Prefix) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l := q.of[from]; l != nil {
		return l.waiting
	}
	return 0
}

// left is for one that has been let in and is not silent any more, or gone.
func (q *queue) left(from netip.Prefix) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.of[from]
	if l == nil {
		return
	}
	l.silent--
	if len(l.held) > 0 {
		heap.Push(&q.waiting, l.held[0])
		l.held[0] = turn{}
		l.held = l.held[1:]
		q.signal()
	}
	if l.waiting == 0 && l.silent == 0 {
		delete(q.of, from)
	}
}

// signal has some hold one if anybody waits. The lock is held.
func (q *queue) signal() {
	if len(q.waiting) == 0 {
		return
	}
	select {
	case q.some <- struct{}{}:
	default:
	}
}

// close ends the wait of all, who are hung up on.
func (q *queue) close() {
	q.mu.Lock()
	all := q.waiting
	q.waiting = nil
	for from, l := range q.of {
		all = append(all, l.held...)
		l.waiting, l.held = 0, nil
		if l.silent == 0 {
			delete(q.of, from)
		}
	}
	q.mu.Unlock()
	for _, t := range all {
		t.conn.Close()
	}
}

// turns are a heap: the next first.
type turns []turn

func (t turns) Len() int { return len(t) }
func (t turns) Less(i, j int) bool {
	return t[i].at < t[j].at || t[i].at == t[j].at && t[i].came < t[j].came
}
func (t turns) Swap(i, j int) { t[i], t[j] = t[j], t[i] }
func (t *turns) Push(x any)   { *t = append(*t, x.(turn)) }
func (t *turns) Pop() any {
	old := *t
	last := old[len(old)-1]
	old[len(old)-1] = turn{}
	*t = old[:len(old)-1]
	return last
}
