package endpoint

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"sitegate/api"
	"sitegate/license"
)

// Pages adds a part of the console for administrators who have a role, like Administer. A
// browser that is turned away is given to the pages, too, with why (RefusalOf): what
// somebody has typed is in that request, and nowhere else. Who was only going to look is
// led to the sign-in, and programs get a problem document. What the pages do in somebody's
// name is asked of the API, which looks what their token is for.
func (e *Endpoint) Pages(pattern string, needed license.Authority, h http.Handler) {
	rt := administered(pattern, needed, license.AnyScope, h)
	rt.pages = h
	e.byRole(rt)
}

// Public adds what belongs to pages and tells nothing of the site, as their style: nobody is
// asked who they are. Who was turned away with a page needs it, too.
func (e *Endpoint) Public(pattern string, h http.Handler) {
	method, path, _ := strings.Cut(pattern, " ")
	rt := route{method: method, path: path, who: anyone, do: func(c *call) (reply, error) {
		h.ServeHTTP(c.w, c.r)
		return reply{done: true}, nil
	}}
	e.mux.Handle(pattern, e.serve(rt, func(c *call) error {
		if value, ok := shownCookie(c.r); ok { // a look; what must be verified would cost more than the answer
			if who, err := e.byCookie(value, false); err == nil {
				c.administrator = who
				return nil
			}
		}
		return e.toll(c, costAnswer)
	}))
	e.op.Handle(pattern, e.serve(rt, e.admitSocket))
}

type refusalKey struct{}

// RefusalOf is why who asks for a page was turned away, in a handler behind Pages; nil:
// they were let in.
func RefusalOf(ctx context.Context) *api.Problem {
	p, _ := ctx.Value(refusalKey{}).(*api.Problem)
	return p
}

// maxTyped bounds what of a form is read of somebody who was turned away, and maxLongTyped,
// which is what the console takes of who is signed in, of a few of them at once.
const (
	maxTyped     = 256 << 10
	maxLongTyped = 2 << 20
	longTypedMax = 4
)

// turnsAway has the pages say why somebody is turned away; false: that is not for them.
func (e *Endpoint) turnsAway(c *call, rt route, err error) bool {
	_, elsewhere := errors.AsType[redirected](err)
	stranger := c.administrator.Way == ""
	if rt.pages == nil || elsewhere || errors.Is(c.r.Context().Err(), context.Canceled) || !strings.Contains(c.r.Header.Get("Accept"), "text/html") {
		return false
	}
	p, challenge := e.describe(c, err)
	if stranger && p.Code == api.CodeTooMany { // a page is more than they are worth
		return false
	}
	c.w.reason = p.Code
	if challenge != "" {
		c.w.Header().Set("WWW-Authenticate", challenge)
	}
	if p.RetryAfterMS > 0 {
		c.w.Header().Set("Retry-After", strconv.FormatInt((p.RetryAfterMS+999)/1000, 10))
	}
	most := int64(maxTyped)
	select {
	case e.longTyped <- struct{}{}:
		defer func() { <-e.longTyped }()
		most = maxLongTyped
	default:
	}
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, most)
	ctx := context.WithValue(c.r.Context(), administratorKey{}, c.administrator)
	rt.pages.ServeHTTP(c.w, c.r.WithContext(context.WithValue(ctx, refusalKey{}, &p)))
	return true
}
