package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"sitegate/api"
)

// Session is a product running on this machine. The embedded api.Session is the
// grant as it was given.
type Session struct {
	api.Session

	c      *Client
	ctx    context.Context // ends with Stop, with Lost and with the client
	cancel context.CancelFunc
	work   sync.WaitGroup
	kick   chan struct{} // send a heartbeat now
	lost   chan struct{}
	warn   chan Warning

	mu      sync.Mutex
	lease   lease
	beating bool // a heartbeat is due or under way
	warned  bool
	ending  *api.Ending
	stopped bool
	err     error
}

// Warning tells a program that its session may end.
type Warning struct {
	// Left is how long the session has its right as things are.
	Left time.Duration
	// Ending, where the gateway has told, says why it ends. Nil: heartbeats have
	// not been acknowledged for a third of the lease.
	Ending *api.Ending
}

// StartOption adds to what Start asks for.
type StartOption func(*api.StartRequest)

// WithVersion tells the version of the product, four-part.
func WithVersion(v string) StartOption { return func(r *api.StartRequest) { r.Version = v } }

// WithID asks under an id of the caller's, a UUIDv7; without it Start makes one.
func WithID(id string) StartOption { return func(r *api.StartRequest) { r.ID = id } }

// Start asks for a product on this machine and keeps the session alive until
// Stop. Refusals are *Error: ErrActiveElsewhere, ErrReserved, ErrNotAssigned,
// ErrCloudNeeded and others. ErrUnreachable and ErrNoQuorum come only when ctx
// ends: until then it keeps asking. ErrUnauthorized and ErrSignIn come at once.
func (c *Client) Start(ctx context.Context, product string, opts ...StartOption) (*Session, error) {
	id, err := newID()
	if err != nil {
		return nil, err
	}
	req := api.StartRequest{ID: id, Product: product, Machine: c.cfg.Machine, Client: c.cfg.Client, Fences: true}
	for _, o := range opts {
		o(&req)
	}
	var got api.Session
	asked, err := c.obtain(ctx, api.PathSessions, c.own(api.PathSessions, req.ID), req, &got)
	if err != nil {
		return nil, err
	}
	if got.ID != req.ID || got.TTLMS <= 0 {
		return nil, c.lang.unreachable("", fmt.Errorf("the gateway answered with session %q and a lease of %d ms", got.ID, got.TTLMS))
	}
	s := &Session{Session: got, c: c, lease: newLease(got, asked.first), ending: got.Ending,
		kick: make(chan struct{}, 1), lost: make(chan struct{}), warn: make(chan Warning, 1)}
	s.ctx, s.cancel = context.WithCancel(c.ctx)
	c.mu.Lock()
	c.sessions[s.ID] = s
	c.mu.Unlock()
	s.work.Add(2)
	if !c.spawn(s.guard) || !c.spawn(s.beat) {
		s.cancel()
		c.forget(s)
		return nil, ErrClosed
	}
	if asked.repeated {
		s.Beat() // the lease counts from the first attempt; catch up
	}
	c.notices() // heartbeats travel there, once it is up
	return s, nil
}

func (c *Client) forget(s *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sessions, s.ID)
}

// Lost closes when the program must have stopped using the product: 15 s before
// the lease runs out, or at once when the gateway refuses to renew it. Err tells
// why. It stays open after Stop.
func (s *Session) Lost() <-chan struct{} { return s.lost }

// Err is nil while the session has its right, then why it has not: ErrLeaseLost,
// a reason of the gateway's, or ErrClosed.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Warnings tells of what may end the session. Only the latest is kept for a
// reader who is late.
func (s *Session) Warnings() <-chan Warning { return s.warn }

// Left is how long the session has its right as things are; zero once it is
// lost or stopped. A program may ask just before something that must not happen twice.
func (s *Session) Left() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.stopped {
		return 0
	}
	return max(0, s.lease.end()-s.c.since(s.lease.sent))
}

// Ending is why the session will not be renewed for ever, or nil.
func (s *Session) Ending() *api.Ending {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending
}

// Why is a sentence for the person at the desktop on why the session is not renewed for
// ever, and by whom; empty: it is.
func (s *Session) Why() string {
	e := s.Ending()
	if e == nil {
		return ""
	}
	return s.c.lang.why(e)
}

// EndsIn is how long the session goes on at most, where the gateway has said that it
// is not renewed for ever (Ending), by the gateway's clock: the countdown of who must
// save. Without an ending it is Left; and it is no longer than Left while heartbeats
// are overdue, since a gateway that does not answer renews nothing until then.
func (s *Session) EndsIn() time.Duration {
	left := s.Left()
	e := s.Ending()
	if e == nil || left == 0 || e.Until.IsZero() {
		return left
	}
	s.mu.Lock()
	stop := min(margin, s.lease.full/4)
	s.mu.Unlock()
	in := max(0, s.c.until(e.Until)-stop)
	if s.Overdue() {
		in = min(in, left)
	}
	return in
}

// Overdue reports whether no heartbeat was acknowledged for a third of the lease.
func (s *Session) Overdue() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.warned && s.err == nil && !s.stopped
}

// Stop gives the license back. The program must no longer use the product. That
// the session was over already is no error. It may be called again after one.
func (s *Session) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.cancel()
	s.work.Wait() // no heartbeat after the stop
	s.c.forget(s)
	_, err := s.c.call(ctx, http.MethodDelete, s.c.own(api.PathSessions, s.ID), nil, nil)
	if errors.Is(err, ErrUnknownSession) || errors.Is(err, ErrAlreadyEnded) {
		return nil
	}
	return err
}

// guard watches the lease.
func (s *Session) guard() {
	defer s.work.Done()
	for {
		s.mu.Lock()
		age := s.c.since(s.lease.sent)
		next := s.lease.next(age)
		if s.ctx.Err() != nil {
			s.mu.Unlock()
			break
		}
		if age >= s.lease.end() {
			s.lose(s.over())
			s.mu.Unlock()
			return
		}
		if age >= s.lease.warn() && !s.warned {
			s.warned = true
			s.tell(age)
		}
		due := age >= s.lease.beat && !s.beating
		s.beating = s.beating || due
		s.mu.Unlock()
		if due {
			s.Beat()
		}
		sleep(s.ctx, s.c.ctx, next)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c.ctx.Err() != nil && !s.stopped {
		s.lose(ErrClosed)
	}
}

// over is why a lease is over that ran out. The caller holds the lock.
func (s *Session) over() *Error {
	if s.ending != nil && s.lease.ttl < s.lease.full { // the gateway has shortened it
		return s.c.lang.refusedBeat("", api.BeatResult{Session: s.ID, Reason: string(ErrAlreadyEnded), Ending: s.ending})
	}
	return s.c.lang.leaseLost()
}

// lose ends the right for good. The caller holds the lock.
func (s *Session) lose(err error) {
	if s.err != nil || s.stopped {
		return
	}
	s.err = err
	close(s.lost)
	s.cancel()
	s.c.forget(s) // whether or not anybody calls Stop
	s.c.log.Warn("session lost", "session", s.ID, "product", s.Product, "err", err)
}

// tell leaves a warning, in place of one not yet read. The caller holds the lock.
func (s *Session) tell(age time.Duration) {
	w := Warning{Left: max(0, s.lease.end()-age), Ending: s.ending}
	select {
	case <-s.warn:
	default:
	}
	s.warn <- w
	s.c.log.Warn("session may end", "session", s.ID, "product", s.Product, "left", w.Left)
}

// Beat sends a heartbeat now rather than when it is due: before something that
// needs a full lease. Left grows once it has been acknowledged.
func (s *Session) Beat() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// beat sends heartbeats when asked to, until one is acknowledged.
func (s *Session) beat() {
	defer s.work.Done()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.kick:
		}
		var b beating
		for n := 0; ; n++ {
			sent, result, err := b.send(s.ctx, s.c, s.ID)
			if s.ctx.Err() != nil {
				return
			}
			if err == nil {
				s.renewed(sent, result)
				break
			}
			e, _ := errors.AsType[*Error](err)
			if e != nil && e.Denied() {
				s.mu.Lock()
				if e.Is(ErrAlreadyEnded) && e.Ending == nil && s.ending != nil { // a request is not told why
					e.ended(s.c.lang, s.ending)
				}
				s.lose(err)
				s.mu.Unlock()
				return
			}
			s.c.log.Info("heartbeat not acknowledged", "session", s.ID, "err", err)
			pause := backoff(n + 1)
			if e != nil {
				pause = max(pause, min(after(e), maxBackoff))
			}
			if !sleep(s.ctx, s.c.ctx, pause) {
				return
			}
		}
	}
}

// renewed counts the lease from when the acknowledged heartbeat was sent.
func (s *Session) renewed(sent instant, r api.Lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beating = false
	if s.err != nil {
		return
	}
	s.lease.sent = sent
	s.lease.ttl = millis(r.TTLMS, maxTTL)
	news := r.Ending != nil && (s.ending == nil || *s.ending != *r.Ending)
	s.ending, s.warned = r.Ending, false
	if news {
		s.tell(s.c.since(sent))
	}
}
