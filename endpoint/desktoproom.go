package endpoint

import (
	"errors"
	"sync"
)

// The bounds of what is under way at once. Whoever is known has a share, and so has an
// address from which nobody is: nobody takes all of the room.
const (
	relayRoom      = 512
	relayOfUser    = 16
	relayOfAddress = 64
)

// relaying is the room of requests that are relayed.
type relaying struct {
	mu  sync.Mutex
	all int
	of  map[string]int // by who asks
}

// enter takes a place of somebody, who has most at once; false: there is none.
func (r *relaying) enter(who string, most int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all >= relayRoom || r.of[who] >= most {
		return false
	}
	r.all++
	r.of[who]++
	return true
}

func (r *relaying) leave(who string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all--
	if r.of[who]--; r.of[who] == 0 {
		delete(r.of, who)
	}
}

// passIn relays a request where there is room for it.
func (rl *relay) passIn(x *exchange) {
	who, most := "user "+string(x.desk.user), relayOfUser
	if x.desk.user == "" {
		who, most = "address "+hostOf(x.r.RemoteAddr), relayOfAddress
	}
	if !rl.room.enter(who, most) {
		x.err = &relayError{code: relayBusy}
		return
	}
	defer rl.room.leave(who)
	rl.pass(x)
}

// unasked reports whether the vendor was not asked for want of room, though it may well
// answer: what it would say now may be a no.
func (rl *relay) unasked(x *exchange, why error) bool {
	var e *relayError
	return errors.As(why, &e) && e.code == relayBusy && !x.rt.silence.is(rl.link())
}
