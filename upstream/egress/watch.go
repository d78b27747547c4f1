package egress

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

// probeEvery is how often Run looks at proxies: those that failed once their rest is over, and those that nobody has used for so long.
const probeEvery = 30 * time.Second

// Run keeps an eye on the proxies and the PAC file until ctx ends, so that what has changed is known before somebody needs it. It sends what
// a connection would, no faster, and to Config.Probe only.
func (d *Dialer) Run(ctx context.Context) error {
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-next.C:
		}
		d.way.Load().look(ctx)
		next.Reset(firstRest + rand.N(firstRest)) // proxies that rest are due at odd times; nodes keep out of step
	}
}

// look does what is due.
func (w *way) look(ctx context.Context) {
	if w.pac != nil {
		_, _ = w.pac.current(ctx) // it tells of its errors itself
	}
	if w.cfg.Probe == "" {
		return
	}
	host, port, err := splitAddr(w.cfg.Probe)
	if err != nil {
		return
	}
	list := make([]candidate, 0, len(w.proxies))
	for _, p := range w.proxies {
		list = append(list, candidate{p})
	}
	if more, err := w.chain(ctx, host, port); err == nil { // those of the PAC file, too
		for _, c := range more {
			if !slices.Contains(list, c) {
				list = append(list, c)
			}
		}
	}
	var wg sync.WaitGroup
	for _, c := range list {
		if p := c.p; p != nil && p.health.due(time.Now(), probeEvery) && p.health.admit(time.Now()) {
			wg.Go(func() {
				conn, err := w.try(ctx, c, 1, net.JoinHostPort(host, port))
				if err == nil {
					conn.Close()
				}
			})
		}
	}
	wg.Wait()
}

// State is how a proxy is.
type State string

// States.
const (
	Unknown State = "unknown" // nobody has used it yet
	Well    State = "well"
	Resting State = "resting" // it failed, and is left alone where there is another
	Locked  State = "locked"  // it has rejected the configured password, which is not sent for now
	Failing State = "failing" // of the PAC file: the newest cannot be used
)

// ProxyStatus is how one way out is.
type ProxyStatus struct {
	Name    string // the proxy's; of a PAC file: pac
	Kind    Kind   // empty: a PAC file
	Address string
	Learned bool // only the PAC file names it
	State   State
	Since   time.Time // of Resting: when it began; of Well: when it last worked
	Until   time.Time // of Resting and Locked: before then it is not used, or its password not sent
	Scheme  Scheme    // what it was last answered with; empty: it asked for nothing
	Err     error     // what went wrong last; nil: nothing
	// Secret is what has become of its secret, if HasSecret. It stays stopped when the time is over, until one is accepted, or a tunnel comes about without.
	HasSecret   bool
	Secret      SecretState
	SecretUntil time.Time // of a stopped one: it is not sent before this
}

// Stops is how often a secret was rejected once too often, and was not sent for a while, since New.
func (d *Dialer) Stops() uint64 {
	d.creds.mu.Lock()
	defer d.creds.mu.Unlock()
	return d.creds.stops
}

// Status tells how all configured proxies are, those that the PAC file has named, and the PAC file itself.
func (d *Dialer) Status() []ProxyStatus {
	w := d.way.Load()
	all := slices.Clone(w.proxies)
	w.mu.Lock()
	for _, p := range w.learned {
		all = append(all, p)
	}
	w.mu.Unlock()
	slices.SortStableFunc(all[len(w.proxies):], func(a, b *proxy) int {
		if a.addr < b.addr {
			return -1
		}
		return 1
	})
	list := make([]ProxyStatus, 0, len(all)+1)
	now := time.Now()
	for i, p := range all {
		s := p.status(now)
		s.Learned = i >= len(w.proxies)
		list = append(list, s)
	}
	if f := w.pac; f != nil {
		f.mu.Lock()
		s := ProxyStatus{Name: ViaPAC, Address: f.place(), State: Unknown, Since: f.from, Err: f.err}
		switch {
		case f.err != nil:
			s.State = Failing
		case f.script != nil:
			s.State = Well
		}
		f.mu.Unlock()
		list = append(list, s)
	}
	return list
}

func (p *proxy) status(now time.Time) ProxyStatus {
	s := ProxyStatus{Name: p.name(), Kind: p.kind(), Address: p.Address, State: Unknown}
	p.mu.Lock()
	s.Scheme = p.known
	unasked := p.unasked
	p.mu.Unlock()
	h := &p.health
	h.mu.Lock()
	s.Err = h.err
	switch {
	case h.failures > 0:
		s.State, s.Since, s.Until = Resting, h.bad, h.until
	case !h.good.IsZero():
		s.State, s.Since = Well, h.good
	}
	h.mu.Unlock()
	for _, who := range []struct{ proxy, user string }{{p.addr, p.Username}, {kdc, p.principal()}} {
		if who.user == "" {
			continue
		}
		s.HasSecret = true
		if unasked {
			s.Secret = SecretUnasked
			continue
		}
		if state, until := p.w.d.creds.secretOf(who.proxy, who.user); s.Secret != SecretStopped && state != "" {
			s.Secret, s.SecretUntil = state, until
		}
		if until, locked := p.w.d.creds.lockedAt(who.proxy, who.user, now); locked {
			s.State, s.Until = Locked, until
			s.Err = p.lockedError(who.user, &lockedError{until})
		}
	}
	return s
}

func (p *proxy) principal() string {
	if p.Kerberos == nil {
		return ""
	}
	return p.Kerberos.Principal
}

// Candidates are what would be tried for host:port, in order: names of proxies, their addresses where only the PAC file names them, or direct.
func (d *Dialer) Candidates(ctx context.Context, addr string) ([]string, error) {
	host, port, err := splitAddr(addr)
	if err != nil {
		return nil, err
	}
	list, err := d.way.Load().chain(ctx, host, port)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(list))
	for i, c := range list {
		names[i] = c.name()
	}
	return names, nil
}

// candidate is the one of a name.
func (w *way) candidate(name string) (candidate, error) {
	if name == ViaDirect {
		return candidate{}, nil
	}
	if p := w.byName[name]; p != nil {
		return candidate{p}, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.learned {
		if p.name() == name {
			return candidate{p}, nil
		}
	}
	return candidate{}, errors.New("there is no proxy of that name")
}
