package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"sitegate/upstream/egress"
)

// hop is a way to one destination or several: a proxy, or directly.
type hop struct {
	name  string
	proxy egress.Proxy // as it is configured; of a PAC file's own: its address alone
	to    []*destination
	// first is the destination that this hop's secret is used for; nil: none, and nothing is known of the hop.
	first *destination
	told  *destination // the one whose attempt told about the hop itself
	until time.Time    // the node does not send the secret before this; zero: it does

	found map[*destination]finding
}

// finding is one attempt.
type finding struct {
	egress.Finding
	err     error // the attempt made no sense
	done    bool
	answers []Check // what was asked behind TLS
	clocks  []clockReading
}

func (h *hop) direct() bool { return h.name == egress.ViaDirect }

// secret says whether the hop has anything that it might be shown.
func (h *hop) secret() bool { return h.proxy.Username != "" || h.proxy.Kerberos != nil }

// hops asks which ways lead to each destination. What no way leads to is told.
func (x *examination) hops(ctx context.Context) []*hop {
	if x.dialer == nil {
		return nil
	}
	var list []*hop
	at := map[string]*hop{}
	pac := Check{Step: "pac", State: Pass}
	if p := x.Way.PAC; p != nil {
		pac.Of = p.URL + p.File
	}
	for i := range x.destinations {
		d := &x.destinations[i]
		names, err := x.dialer.Candidates(ctx, d.addr)
		if err != nil {
			c := Check{Step: "pac", Of: d.addr, State: Fail, Found: sentence(err.Error())}
			c.explain(err)
			if c.Code != string(egress.PACFailed) {
				c.Step = "route"
			}
			x.add(c)
			pac.State = Fail
			continue
		}
		pac.Found += fmt.Sprintf("%s: %s. ", d.addr, strings.Join(names, ", "))
		for _, n := range names {
			h := at[n]
			if h == nil {
				h = &hop{name: n, proxy: egress.Proxy{Address: n}, found: map[*destination]finding{}}
				for _, p := range x.Way.Proxies {
					if proxyName(p) == n {
						h.proxy = p
					}
				}
				at[n], list = h, append(list, h)
			}
			if h.to = append(h.to, d); h.first == nil || d.addr == x.To {
				h.first = d
			}
		}
	}
	if x.Way.PAC != nil && pac.State == Pass {
		pac.Found = strings.TrimSpace(pac.Found)
		x.add(pac)
	}
	shown := map[string]bool{} // one proxy under two names has one secret
	for _, h := range list {
		if until, locked := x.locked(h.proxy.Address); locked {
			h.until = until
		}
		if h.secret() && shown[h.proxy.Address] {
			h.first = nil
		}
		shown[h.proxy.Address] = true
	}
	for _, p := range x.Way.Proxies {
		if at[proxyName(p)] == nil {
			x.add(Check{Step: "route", Of: proxyName(p), State: Skip, Found: "Nothing that is known by name goes this way."})
		}
	}
	return list
}

// names looks up the names that this server has to resolve itself: of proxies, of where the PAC file is, and of what is reached directly.
func (x *examination) names(ctx context.Context, hops []*hop) {
	var names, others []string
	add := func(to *[]string, host string) {
		if host != "" && net.ParseIP(host) == nil && !slices.Contains(*to, host) {
			*to = append(*to, host)
		}
	}
	if p := x.Way.PAC; p != nil {
		add(&names, nameOf(p.URL))
	}
	for _, h := range hops {
		host, _, _ := net.SplitHostPort(h.proxy.Address)
		if !h.direct() {
			add(&names, host)
		}
		for _, d := range h.to {
			if h.direct() {
				add(&names, d.host())
			} else {
				add(&others, d.host())
			}
		}
	}
	others = slices.DeleteFunc(others, func(host string) bool { return slices.Contains(names, host) })
	checks := make([]Check, len(names))
	each(len(names), func(i int) {
		ctx, cancel := context.WithTimeout(ctx, lookupTime)
		defer cancel()
		list, err := x.Lookup(ctx, names[i])
		c := Check{Step: "dns", Of: names[i], State: Pass, Found: "Resolves to " + strings.Join(list[:min(len(list), 4)], ", ") + "."}
		if err != nil {
			c.State, c.Found, c.Action = Fail, "It does not resolve on this server.", "Check the name in the configuration, then this server's DNS."
			if why, ok := egress.Unresolved(err); ok {
				c.Found = sentence("It does not resolve on this server: " + why)
			}
			if slow := (*net.DNSError)(nil); ctx.Err() != nil || errors.As(err, &slow) && slow.IsTimeout {
				c.Action = "Ask the network team: this server to its DNS servers, port 53."
			}
		}
		checks[i] = c
	})
	for _, c := range checks {
		x.add(c)
	}
	switch {
	case len(others) > 0:
		x.add(Check{Step: "dns", State: Skip, Found: "Not needed here, since proxies resolve them: " + strings.Join(others, ", ") + "."})
	case len(names) == 0:
		x.add(Check{Step: "dns", State: Skip, Found: "Nothing has to be resolved here."})
	}
}

// wayOut tries all hops, each with its first destination, and then the others without credentials.
func (x *examination) wayOut(ctx context.Context, hops []*hop) {
	if x.dialer == nil {
		x.add(Check{Step: "tcp", State: Skip, Found: "Not tried: the configuration comes first."})
		return
	}
	type attempt struct {
		h *hop
		d *destination
	}
	var first, more []attempt
	for _, h := range hops {
		for _, d := range h.to {
			switch {
			case len(first)+len(more) >= maxAttempts:
			case d == h.first:
				first = append(first, attempt{h, d})
			default:
				more = append(more, attempt{h, d})
			}
		}
	}
	var mu sync.Mutex
	try := func(list []attempt) {
		each(len(list), func(i int) {
			a := list[i]
			f := x.try(ctx, a.h, a.d)
			mu.Lock()
			defer mu.Unlock()
			a.h.found[a.d] = f
			x.clocks = append(x.clocks, f.clocks...)
		})
	}
	try(first)
	more = slices.DeleteFunc(more, func(a attempt) bool {
		return a.h.first != nil && !a.h.direct() && stageOf(a.h.found[a.h.first].Err) <= asking // the hop itself does not work
	})
	try(more)
	for _, h := range hops {
		x.tellHop(h)
	}
	for i := range x.destinations {
		for _, h := range hops {
			if slices.Contains(h.to, &x.destinations[i]) {
				x.tellDestination(h, &x.destinations[i])
			}
		}
	}
}

// try looks at a destination by a hop.
func (x *examination) try(ctx context.Context, h *hop, d *destination) finding {
	f, begun := finding{done: true}, time.Now()
	p := egress.Probe{Candidate: h.name, Address: d.addr, TLS: true, Withhold: d != h.first || !h.until.IsZero(), Time: 3*proxyTime + x.Hold}
	asks := x.asks(d, func(c Check, date time.Time) {
		f.answers = append(f.answers, c)
		if !date.IsZero() {
			f.clocks = append(f.clocks, clockReading{of: d.host(), ahead: outside(date, begun, time.Now())})
		}
	})
	read := time.Time{} // when the proxy had told its time; what follows may take long
	p.Then = func(ctx context.Context, over http.RoundTripper) { read = time.Now(); asks(ctx, over) }
	if d.mail != nil {
		p.Before, p.Speak = startTLS(d), speakMail(d, func(c Check) { f.answers = append(f.answers, c) })
	}
	f.Finding, f.err = x.dialer.Check(ctx, p)
	if d.mail != nil {
		f.Err = mailError(d, f.Err)
	}
	for _, s := range f.Schemes {
		if s.Tried && s.Err != nil && taken(s.Err) { // a scheme that works says more than a stronger one that does not
			f.Err = s.Err
		}
	}
	if read.IsZero() {
		read = time.Now()
	}
	if !f.Date.IsZero() {
		f.clocks = append(f.clocks, clockReading{of: h.name, ahead: outside(f.Date, begun, read), proxy: true})
	}
	return f
}

// each calls f for 0 to n-1, some at once.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	free := make(chan struct{}, atOnce)
	for i := range n {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			f(i)
		})
	}
	wg.Wait()
}

// stage is how far an attempt got: the step that failed.
type stage int

const (
	reaching  stage = iota // TCP
	securing               // TLS with the proxy
	asking                 // what it says without credentials
	proving                // with credentials
	opening                // the destination, by the proxy or directly
	greeting               // a mail server, before TLS
	verifying              // TLS with the destination
	through
)

// stageOf is where an error belongs.
func stageOf(err error) stage {
	var e *egress.Error
	if err == nil {
		return through
	}
	if !errors.As(err, &e) {
		return opening // the time was over
	}
	switch e.Code {
	case egress.ProxyDNSFailed, egress.ProxyConnectRefused, egress.ProxyConnectTimeout, egress.ProxyConnectFailed:
		return reaching
	case egress.ProxyTLSFailed:
		return securing
	case egress.ProxyBadAnswer, egress.ProxyNoAnswer:
		return asking
	case egress.ProxyAuthRequired, egress.ProxyAuthRejected, egress.ProxySecretUnusable, egress.KerberosClockSkew, egress.KerberosSPN, egress.KerberosFailed:
		return proving
	case mailSilent, mailNoTLS:
		return greeting
	case egress.TLSIntercepted, egress.TLSNameMismatch, egress.TLSExpired, egress.TLSFailed:
		return verifying
	}
	return opening
}

// explain takes code, sentence and action of an error.
func (c *Check) explain(err error) {
	var e *egress.Error
	if errors.As(err, &e) {
		c.Code, c.Found, c.Action = string(e.Code), sentence(e.Message), e.Action
		return
	}
	c.Found = sentence(err.Error())
	if errors.Is(err, context.DeadlineExceeded) {
		c.Found, c.Action = "There was no answer in time.", "Run it again; if it is the same, ask the network team about this hop."
	}
}
