package notice

import (
	"slices"
	"sync"

	"sitegate/license"
)

// SiteKept is how many notices are kept for those who follow the whole site.
const SiteKept = 10_000

// everyone is what was said lately to anybody, and who follows it. It has no queues: a
// follower keeps its place in the ring, and has a gap where that has gone by.
type everyone struct {
	mu    sync.Mutex
	floor Token // what was told up to here is not kept
	kept  []*Notice
	first int // of kept, once it is full: the oldest
	subs  []*SiteSubscription
}

// SiteSubscription follows what is told to anybody: for who administers the account.
type SiteSubscription struct {
	// Recovered and From are as those of a Subscription.
	Recovered bool
	From      Token

	site  *everyone
	at    Token // everything up to here was taken
	wake  func()
	woken bool
	over  End
}

// SubscribeSite begins to follow the whole site after since; wake is called as a
// Subscriber's Wake is, once until the next Take.
func (h *Hub) SubscribeSite(since Token, wake func()) *SiteSubscription {
	pos := h.Position()
	s := &h.site
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := &SiteSubscription{site: s, wake: wake, at: since, From: since}
	sub.Recovered = since != Token{} && since.Epoch == s.floor.Epoch && since.Seq >= s.floor.Seq && !pos.Before(since)
	if !sub.Recovered {
		sub.at, sub.From = pos, pos
	}
	s.subs = append(s.subs, sub)
	return sub
}

// Take returns what has come since the last call, in the order of the log, and up
// to where that is. What has gone by untaken ends the subscription with a Gap.
func (s *SiteSubscription) Take() (notices []*Notice, to Token, over End) {
	s.site.mu.Lock()
	defer s.site.mu.Unlock()
	s.woken = false
	if s.over == Open && (s.at.Epoch != s.site.floor.Epoch || s.at.Seq < s.site.floor.Seq) {
		s.over = Gap
	}
	if s.over == Open {
		notices = s.site.after(s.at)
		if len(notices) > 0 {
			last := notices[len(notices)-1]
			s.at = Token{last.Epoch, last.Seq}
		}
	}
	return notices, s.at, s.over
}

// Close ends the subscription.
func (s *SiteSubscription) Close() {
	s.site.mu.Lock()
	defer s.site.mu.Unlock()
	s.site.subs = slices.DeleteFunc(s.site.subs, func(o *SiteSubscription) bool { return o == s })
	if s.over == Open {
		s.over = Closed
	}
}

func (s *everyone) start(at Token) {
	s.floor, s.kept, s.first = at, nil, 0
}

// reset forgets everything; who follows has a gap.
func (s *everyone) reset(at Token) {
	s.mu.Lock()
	s.start(at)
	wake := s.toWake()
	s.mu.Unlock()
	for _, f := range wake {
		f()
	}
}

// tell keeps the notices of one event that are not alike but for whom they are told
// to. The hub's publisher alone calls it.
func (s *everyone) tell(ns []Notice) {
	s.mu.Lock()
	for i := range ns {
		n := &ns[i]
		if i > 0 && n.Kind == ns[i-1].Kind {
			continue // to each of the administrators
		}
		if len(s.kept) < SiteKept {
			s.kept = append(s.kept, n)
			continue
		}
		old := s.kept[s.first]
		s.floor = Token{old.Epoch, old.Seq}
		s.kept[s.first] = n
		s.first = (s.first + 1) % SiteKept
	}
	wake := s.toWake()
	s.mu.Unlock()
	for _, f := range wake {
		f()
	}
}

// toWake are the wakes of those who have not been woken. The lock is held.
func (s *everyone) toWake() (wake []func()) {
	for _, sub := range s.subs {
		if !sub.woken {
			sub.woken = true
			wake = append(wake, sub.wake)
		}
	}
	return wake
}

// after returns what came after a token, oldest first. The lock is held.
func (s *everyone) after(at Token) []*Notice {
	var out []*Notice
	for i := len(s.kept) - 1; i >= 0; i-- {
		n := s.kept[(s.first+i)%len(s.kept)]
		if !at.Before(Token{n.Epoch, n.Seq}) {
			break
		}
		out = append(out, n)
	}
	slices.Reverse(out)
	return out
}

// alike is what makes notices of the site one: the same to the same user and machine
// about the same thing.
type alike struct {
	kind    Kind
	user    license.UserID
	about   license.UserID
	machine license.Machine
	product license.ProductID
	license license.LicenseID
	reason  string
	node    string
	proxy   string
	issuer  string
	id      license.ID // an attempt has none
}

// Conflated is a notice and how often it was told alike since the last look.
type Conflated struct {
	*Notice
	Times int
}

// Conflate tells what is alike once, as the latest of it, in the order of the latest.
func Conflate(ns []*Notice) []Conflated {
	times := map[alike]int{}
	for _, n := range ns {
		times[n.alike()]++
	}
	var out []Conflated
	for i := len(ns) - 1; i >= 0; i-- {
		if k := ns[i].alike(); times[k] > 0 {
			out = append(out, Conflated{ns[i], times[k]})
			times[k] = 0
		}
	}
	slices.Reverse(out)
	return out
}

func (n *Notice) alike() alike {
	return alike{n.Kind, n.User, n.About, n.Machine, n.Product, n.License, n.Reason, n.Node, n.Proxy, n.Issuer, n.ID}
}
