package endpoint

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// hand puts a frame into the inbox and makes sure that somebody looks.
func (c *conn) hand(data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.code != 0:
	case len(c.inbox) == maxInbox:
		c.code, c.why = api.CloseBudget, "too many frames wait for an answer"
		c.start()
	default:
		c.inbox = append(c.inbox, data)
		if !c.working {
			c.working = true
			c.ss.wg.Go(c.work)
		}
	}
}

// work deals with the inbox, one frame after the other.
func (c *conn) work() {
	for {
		c.mu.Lock()
		if len(c.inbox) == 0 || c.over {
			c.working = false
			c.mu.Unlock()
			return
		}
		data := c.inbox[0]
		c.inbox = c.inbox[1:]
		c.mu.Unlock()

		answer, err := c.hear(data)
		if err != nil {
			c.close(api.CloseBadFrame, err.Error())
			continue
		}
		c.tell(prepare(answer))
	}
}

// hear deals with one frame of the client, and returns the answer.
func (c *conn) hear(data []byte) (api.Frame, error) {
	var f api.Frame
	if err := unmarshal(data, &f); err != nil {
		return f, errors.New("a frame that cannot be read")
	}
	bare := f
	bare.Type, bare.Beat, bare.Auth = "", nil, nil
	switch {
	case !reflect.DeepEqual(bare, api.Frame{}):
	case f.Type == api.FrameBeat && f.Beat != nil && f.Auth == nil:
		leases, err := c.beat(f.Beat)
		return api.Frame{Type: api.FrameLease, Lease: leases}, err
	case f.Type == api.FrameAuth && f.Auth != nil && f.Beat == nil:
		return api.Frame{Type: api.FrameAuthed, Authed: c.auth(f.Auth)}, nil
	}
	return f, errors.New("clients send beat and auth frames")
}

// beat renews the sessions of a heartbeat. The answer is made only after the
// leader has acknowledged, or could not be asked.
func (c *conn) beat(b *api.Beat) (*api.Leases, error) {
	if len(b.Sessions) > api.MaxBeatSessions {
		return nil, errors.New("a beat is of at most 32 sessions")
	}
	caller := c.caller.Load()
	user := caller.User
	renewals := make([]license.Renewal, len(b.Sessions))
	for i, s := range b.Sessions {
		id, err := license.ParseID(s)
		if err != nil {
			return nil, errors.New("a session that is no UUID")
		}
		renewals[i] = license.Renewal{Session: id, User: user, Machine: c.machine, Proof: caller.Proof}
	}
	out := &api.Leases{N: b.N, Leases: []api.BeatResult{}}
	e := c.ss.e
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	if caller.byKey() && c.place != "" {
		e.gw.View(func(s *license.State) { e.keySeen(s, caller, c.place) })
	}
	leases, err := e.gw.Renew(ctx, renewals)
	if err == nil && len(leases) != len(renewals) {
		err = errLeases(len(leases), len(renewals))
	}
	e.metrics.beats.WithLabelValues(result(err)).Inc()
	if err != nil {
		out.Error = codeOf(err)
		e.log.Warn("heartbeat was not acknowledged", "user", string(user), "machine", c.machine.Name, "err", err)
		return out, nil
	}
	for i, l := range leases {
		r := api.BeatResult{Session: renewals[i].Session.String(), TTLMS: l.TTL.Milliseconds(), Ending: ending(l.Notice)}
		if l.Denial != nil {
			r.TTLMS, r.Reason = 0, string(l.Denial.Reason)
		}
		out.Leases = append(out.Leases, r)
	}
	return out, nil
}

// auth takes the next access token of the same user. One that is not taken changes
// nothing: the connection goes on to the end of the one before.
func (c *conn) auth(a *api.Auth) *api.Authed {
	e, was := c.ss.e, c.caller.Load()
	out := &api.Authed{N: a.N}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	who, err := e.auth.check(ctx, a.Token, func() error {
		if _, ok := e.limits.take(was.Issuer + " " + string(was.User)); !ok {
			return &trouble{code: api.CodeTooMany}
		}
		return nil
	})
	var no *authError
	var t *trouble
	switch {
	case errors.As(err, &no):
		out.Error = no.why
	case errors.As(err, &t) && t.code == api.CodeTooMany:
		out.Error = api.CodeTooMany
	case err != nil:
		out.Error = tokenKey // it cannot be judged now
	case who.User != was.User || who.Issuer != was.Issuer && !who.byKey() && !was.byKey() || who.byKey() && who.Machine != c.machine.ID:
		out.Error = tokenUser
	}
	e.metrics.auths.WithLabelValues(cmp.Or(out.Error, "ok")).Inc()
	if out.Error != "" {
		return out
	}
	c.caller.Store(who.lasting())
	c.ss.judge([]*conn{c})
	out.ExpiresMS = max(0, e.auth.left(&who, time.Now())).Milliseconds()
	return out
}
