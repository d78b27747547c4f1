package endpoint

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"
)

// What a target's answer over plain HTTP may be.
const (
	maxAnswerHeader = 64 << 10
	answerHeaderIn  = 30 * time.Second
)

type tripKey struct{}

// plainTrip is a request for plain HTTP on its way.
type plainTrip struct {
	*trip
	in     context.Context // ends when the client goes
	via    string
	by     atomic.Pointer[string]
	dialMS atomic.Int64
	no     *refusal // why it was answered here
	err    error
}

// newPlain makes what passes plain HTTP on: each request by a connection of its own, as a
// tunnel is, with what a proxy takes out of both heads taken out.
func (t *Tunnel) newPlain() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			x := r.In.Context().Value(tripKey{}).(*plainTrip)
			r.Out.URL.Host, r.Out.Host = r.In.URL.Host, r.In.URL.Host
			r.Out.URL.RawQuery = r.In.URL.RawQuery // as it was asked for, not as it would be written here
			r.Out.Body, r.Out.ContentLength = http.NoBody, 0
			r.Out.Header.Del("Te") // and trailers are not asked for
			r.Out.Header.Set("Via", x.via)
		},
		Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxAnswerHeader, ResponseHeaderTimeout: answerHeaderIn,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				x := ctx.Value(tripKey{}).(*plainTrip)
				c, err := t.dial(ctx, x.trip, x.via)
				if err == nil {
					by := c.RemoteAddr().String()
					x.by.Store(&by)
					x.dialMS.Store(time.Since(x.begun).Milliseconds())
				}
				return c, err
			}},
		ModifyResponse: t.answered,
		FlushInterval:  -1,
		ErrorLog:       log.New(io.Discard, "", 0), // what fails is in the one line
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) {
			x := r.Context().Value(tripKey{}).(*plainTrip)
			if errors.As(err, &x.no) {
				return
			}
			x.no, x.err = t.failed(x.in, err, x.trip), err
			if x.by.Load() != nil && (x.no.code == dialFailed || x.no.code == dialTimeout) {
				x.no.code, x.no.text = badAnswer, "The license gateway has no answer from "+x.target+" that it can pass on.\n"
			}
		},
	}
}

// forward passes a GET of plain HTTP on to a target that is on the list.
func (t *Tunnel) forward(w http.ResponseWriter, r *http.Request, x *trip) {
	asked, no := plainTarget(r)
	if no == nil {
		no = t.admit(r, asked, x)
	}
	if no != nil {
		t.refuse(w, r, x.id, no, nil)
		return
	}
	defer t.leave(x)
	r.Header.Del("Upgrade") // nothing but HTTP passes
	p := &plainTrip{trip: x, in: r.Context(), via: t.via(r)}
	ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), tripKey{}, p), x.terms.Life)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	out := &counted{ResponseWriter: w, idle: x.terms.Idle, stop: cancel}
	short := t.pass(out, r.WithContext(ctx))
	if out.timer != nil {
		out.timer.Stop()
	}
	if p.no != nil {
		t.refuse(w, r, x.id, p.no, p.err)
		return
	}
	by := ""
	if s := p.by.Load(); s != nil {
		by = *s
	}
	t.metrics.tunnels.WithLabelValues("forwarded").Inc()
	t.metrics.tunnelled.WithLabelValues("down").Add(float64(out.n))
	t.log.Info("request forwarded", x.attrs("status", out.status, "down", out.n, "by", by, "dial_ms", p.dialMS.Load(), "ms", time.Since(x.begun).Milliseconds(), "short", short)...)
	if short {
		panic(http.ErrAbortHandler) // the client must not take it for all
	}
}

// pass does so, and reports whether the answer broke off.
func (t *Tunnel) pass(w http.ResponseWriter, r *http.Request) (short bool) {
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler:
			short = true
		default:
			panic(v)
		}
	}()
	t.plain.ServeHTTP(w, r)
	return false
}

// plainTarget is what a request in absolute form is for.
func plainTarget(r *http.Request) (string, *refusal) {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return "", &refusal{http.StatusMethodNotAllowed, methodNotAllowed, "This is the license gateway's forward proxy: over plain HTTP it passes on GET and HEAD only.\n"}
	case r.URL.Scheme != "http":
		return "", &refusal{http.StatusForbidden, hostNotAllowed, "The license gateway's forward proxy passes on http only; for https, a program asks it to CONNECT.\n"}
	case r.URL.User != nil:
		return "", &refusal{http.StatusForbidden, hostNotAllowed, "The license gateway's forward proxy takes no user name in an address.\n"}
	case r.ContentLength != 0:
		return "", &refusal{http.StatusBadRequest, badRequest, "The license gateway's forward proxy passes on no request that carries something.\n"}
	}
	return targetOf(r.URL), nil
}

// targetOf is the name:port of an address, or what cloudapi.ParseTarget refuses.
func targetOf(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	return u.Host + map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
}

// answered looks at a target's answer before it is passed on. It leads to the targets on
// the list and nowhere else, and asks nobody for a proxy's password.
func (t *Tunnel) answered(resp *http.Response) error {
	x := resp.Request.Context().Value(tripKey{}).(*plainTrip)
	if resp.StatusCode == http.StatusProxyAuthRequired {
		return &refusal{http.StatusBadGateway, badAnswer, x.target + " answers as a proxy would.\nAsk IT to look at what is between the license gateway and it.\n"}
	}
	if resp.StatusCode/100 == 3 && resp.Header.Get("Location") != "" {
		to, err := resp.Request.URL.Parse(resp.Header.Get("Location"))
		if err != nil || to.User != nil {
			return &refusal{http.StatusBadGateway, badAnswer, x.target + " sends you to an address that cannot be read.\n"}
		}
		if _, _, no := x.terms.targets.look(targetOf(to)); no != nil {
			no.text = x.target + " sends you on to another host.\n" + no.text
			return no
		}
	}
	resp.Header.Set("Via", "1.1 "+t.name)
	return nil
}

// counted counts what is written to a client, and ends what goes on for too long without
// a byte.
type counted struct {
	http.ResponseWriter
	idle   time.Duration
	stop   func() // what is passed on
	timer  *time.Timer
	status int
	n      int64
}

func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *counted) WriteHeader(status int) {
	if status >= 200 {
		c.status = status
		c.alive()
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *counted) Write(b []byte) (int, error) {
	c.alive()
	n, err := c.ResponseWriter.Write(b)
	c.n += int64(n)
	return n, err
}

// alive gives both sides the idle time again.
func (c *counted) alive() {
	http.NewResponseController(c.ResponseWriter).SetWriteDeadline(time.Now().Add(c.idle)) // a writer that knows none needs none
	if c.timer == nil {
		c.timer = time.AfterFunc(c.idle, c.stop)
		return
	}
	c.timer.Reset(c.idle)
}
