package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"sitegate/upstream/egress"
)

// tellHop has what was found about a proxy itself: TCP, TLS, what it asks for, and how it takes each scheme.
func (x *examination) tellHop(h *hop) {
	if h.direct() {
		return
	}
	at := h.first
	if at == nil {
		for _, d := range h.to {
			if h.found[d].done {
				at = d
			}
		}
	}
	h.told = at
	f, tried := h.found[at]
	if !tried {
		x.add(Check{Step: "tcp", Of: h.name, State: Skip, Found: "Not tried: there is too much to try."})
		return
	}
	failed := stageOf(f.Err)
	if f.err != nil {
		x.add(Check{Step: "tcp", Of: h.name, State: Fail, Found: sentence(f.err.Error())})
		return
	}
	row := func(step string, s stage, found string) {
		c := Check{Step: step, Of: h.name, State: Pass, Found: found}
		switch {
		case s == failed:
			c.State = Fail
			c.explain(f.Err)
		case s > failed:
			c.State, c.Found = Skip, "Not tried: see the failure before."
		}
		x.add(c)
	}
	row("tcp", reaching, "Connected to "+cmp.Or(f.Remote, h.proxy.Address)+from(f)+".")
	if t := f.TLSProxy; t != nil || h.proxy.Kind == egress.HTTPS || failed == securing {
		words := "The proxy speaks TLS."
		if t != nil {
			words = fmt.Sprintf("%s, issued by '%s', until %s.", t.Version, t.Issuer, t.NotAfter.UTC().Format(time.DateOnly))
		}
		row("tls", securing, words)
	}
	who := ""
	if f.Product != "" {
		who = " (" + f.Product + ")"
	}
	switch {
	case f.Kind == egress.SOCKS5:
		row("asks", asking, "It speaks SOCKS5.")
		if f.Withheld {
			x.add(Check{Step: "auth", Of: h.name, State: Skip, Found: x.why(h)})
		} else if h.secret() || failed == proving {
			row("auth", proving, "It takes this server, or its user name and password.")
		}
		return
	case f.Status == "" || failed <= asking:
		row("asks", asking, "It answers.")
	case len(f.Offers) > 0:
		row("asks", asking, "It asks for "+strings.Join(f.Offers, ", ")+who+".")
	case strings.HasPrefix(f.Status, "2"):
		row("asks", asking, "It lets this server through without credentials"+who+".")
	default:
		row("asks", asking, "It answers "+f.Status+who+".")
	}
	x.tellSchemes(h, f)
}

// tellSchemes has a row for each scheme that could be used.
func (x *examination) tellSchemes(h *hop, f finding) {
	if f.Withheld {
		x.add(Check{Step: "auth", Of: h.name, State: Skip, Found: x.why(h)})
		return
	}
	works := false
	for _, s := range f.Schemes {
		works = works || s.Tried && taken(s.Err)
	}
	for _, s := range f.Schemes {
		c := Check{Step: "auth", Of: h.name + " " + string(s.Scheme), State: Pass, Found: "The proxy takes it."}
		switch {
		case !s.Tried:
			c.State, c.Found = Skip, "The secret is sent once only, and was."
		case !taken(s.Err):
			c.State = Fail
			c.explain(s.Err)
			if works {
				c.State = Warn // another one does
			}
		}
		x.add(c)
	}
	if len(f.Schemes) == 0 && stageOf(f.Err) == proving {
		c := Check{Step: "auth", Of: h.name, State: Fail}
		c.explain(f.Err)
		x.add(c)
	}
}

// taken says whether credentials were: a destination that is then denied is another matter.
func taken(err error) bool {
	var e *egress.Error
	return err == nil || errors.As(err, &e) && stageOf(err) >= opening
}

// why is why no secret was shown.
func (x *examination) why(h *hop) string {
	switch {
	case !h.until.IsZero():
		return "The proxy has rejected this secret; the node does not send it before " + h.until.UTC().Format(time.RFC3339) + ", and neither does this."
	case h.first == nil:
		return "This proxy is configured twice; its secret was sent by the other name."
	}
	return "A proxy is shown its secret once in a run, and it was for " + h.first.addr + "."
}

// tellDestination has what was found about a destination by one hop: whether it is let through, the certificate, and the answer.
func (x *examination) tellDestination(h *hop, d *destination) {
	of := d.addr + " by " + h.name
	f := h.found[d]
	failed := stageOf(f.Err)
	switch {
	case !f.done, f.err != nil:
		x.add(Check{Step: "connect", Of: of, State: Skip, Found: "Not tried: the proxy comes first."})
		return
	case f.Withheld:
		c := Check{Step: "connect", Of: of, State: Skip, Found: x.why(h)}
		if h.until.IsZero() && h.first != nil {
			c.Action = "To try this one instead: sitegate doctor --to " + d.addr
		}
		x.add(c)
		return
	case failed < opening && d != h.told: // the proxy worked for another one
		c := Check{Step: "connect", Of: of, State: Fail}
		c.explain(f.Err)
		x.add(c)
		return
	case failed < opening:
		x.add(Check{Step: "connect", Of: of, State: Skip, Found: "Not tried: the proxy comes first."})
		return
	}
	c := Check{Step: "connect", Of: of, State: Pass, Found: "Let through."}
	if h.direct() {
		c.Found = "Connected to " + f.Remote + from(f) + "."
	}
	if failed == opening {
		c.State = Fail
		c.explain(f.Err)
		x.add(c)
		return
	}
	x.add(c)
	if failed == greeting {
		c := Check{Step: "answer", Of: of, State: Fail}
		c.explain(f.Err)
		x.add(c)
		return
	}
	x.add(certificate(of, d, f))
	if failed == through {
		for _, c := range f.answers {
			c.Of = of
			x.add(c)
		}
	}
}

// from is the address of this server that the other end sees.
func from(f finding) string {
	if f.Local == "" {
		return ""
	}
	return " from " + f.Local
}

// certificate is about what a destination shows.
func certificate(of string, d *destination, f finding) Check {
	c := Check{Step: "certificate", Of: of, State: Pass}
	if f.TLS != nil {
		c.Found = fmt.Sprintf("%s, %s, issued by '%s', until %s.", f.TLS.Version, cmp.Or(f.TLS.ALPN, "no ALPN"), f.TLS.Issuer, f.TLS.NotAfter.UTC().Format(time.DateOnly))
		if f.TLS.Root != "" && f.TLS.Root != f.TLS.Issuer {
			c.Found = strings.TrimSuffix(c.Found, ".") + fmt.Sprintf(", vouched for by '%s'.", f.TLS.Root)
		}
	}
	switch {
	case f.Err != nil:
		c.State = Fail
		c.explain(f.Err)
	case f.TLS != nil && f.TLS.Inspection != "":
		c.State = Warn
		c.Found = fmt.Sprintf("%s inspects this traffic (issued by '%s'); its root is trusted here.", f.TLS.Inspection, f.TLS.Issuer)
		c.Action = "It works. Better: ask the proxy team to exempt " + d.host() + " from inspection."
	}
	return c
}

// dateOf is the clock of who answered; zero: not told.
func dateOf(h http.Header) time.Time {
	t, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	return t
}
