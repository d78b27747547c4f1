package endpoint

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// Administrator is who administers, as they were authenticated.
type Administrator struct {
	// Name is what is recorded of what they do. Whoever came in by the socket without
	// being known there has none.
	Name string
	Role license.Authority
	// Scopes are what their API token is good for, of what the role allows; zero: all of it.
	Scopes license.TokenScopes
	Way    Way

	secret license.Digest // of the API token or the sign-in that they have shown; zero: none
	token  *Caller        // what is known of the access token that they have shown; nil: none
}

// Way is how an administrator has shown who they are.
type Way string

// The ways.
const (
	BySocket  Way = "socket"  // the operator's socket; the name is the system's user
	ByToken   Way = "token"   // an API token; the name is "token " and its own
	ByAccount Way = "account" // a local account
	ByOIDC    Way = "oidc"    // an access token of the site's issuer, whose claims give the role
)

// AdminIssuer is the issuer whose access tokens may give a role here.
type AdminIssuer struct {
	Issuer
	// Claim holds the roles: its name, or, with dots, the path to it. A text, or a list of
	// them.
	Claim string
	// Roles are the values of the claim that give an authority; the highest holds.
	Roles map[string]license.Authority
	// Code signs people in at the console by this issuer; nil: only tokens do.
	Code *CodeFlow
}

// role is the highest authority that values of the claim give; zero: none.
func (i *AdminIssuer) role(values []string) (highest license.Authority) {
	for _, v := range values {
		highest = max(highest, i.Roles[v])
	}
	return highest
}

// textsOf are the texts that a token's claims have under a name.
func textsOf(claims map[string]any, name string) (values []string) {
	v, there := claims[name]
	for at := claims; !there; {
		first, rest, deeper := strings.Cut(name, ".")
		if !deeper {
			v = at[first]
			break
		}
		if at, deeper = at[first].(map[string]any); !deeper {
			return nil
		}
		v, there = at[rest]
		name = rest
	}
	switch v := v.(type) {
	case string:
		values = []string{v}
	case []any:
		for _, x := range v {
			if s, ok := x.(string); ok {
				values = append(values, s)
			}
		}
	}
	return values
}

type socketUser struct{}

// WithSocketUser says which of the system's users is at the other end of the operator's
// socket. It is for the server's ConnContext.
func WithSocketUser(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, socketUser{}, name)
}

// admitSocket lets everybody in: who can open the socket administers.
func (e *Endpoint) admitSocket(c *call) error {
	name, _ := c.ctx.Value(socketUser{}).(string)
	c.administrator = Administrator{Name: name, Role: license.Admin, Way: BySocket}
	return nil
}

// admitAdministrator finds out who administers, and whether they may do what a route is for,
// and do it now.
func (e *Endpoint) admitAdministrator(c *call, rt route) error {
	who, err := e.administers(c, func() error { return e.heard(c) })
	if err != nil {
		err = e.stranger(c, err)
		if _, bad := errors.AsType[*authError](err); bad {
			err = signInFirst(c.r, err)
		}
		return err
	}
	c.administrator = who
	if wait, ok := e.limits.take("administrator " + string(who.Way) + " " + who.Name); !ok {
		e.metrics.limited.Inc()
		return &trouble{code: api.CodeTooMany, after: wait}
	}
	return who.may(rt)
}

// may says why an administrator may not do what a route is for, or nil.
func (a Administrator) may(rt route) error {
	if needed := max(rt.role, license.Viewer); a.Role < needed {
		return &trouble{code: api.CodeForbidden, variant: "/role", detail: "needed: " + needed.String()}
	}
	if !a.Scopes.Allow(rt.oneOf()) {
		return &trouble{code: api.CodeForbidden, variant: "/scope", detail: "needed: " + strings.Join(rt.oneOf().Names(), " or ")}
	}
	return nil
}

// administers finds out who administers, on the network. before is asked once it is
// clear that something must be verified.
func (e *Endpoint) administers(c *call, before func() error) (Administrator, error) {
	if _, there := c.r.Header["Authorization"]; !there {
		if value, ok := shownCookie(c.r); ok {
			who, err := e.byCookie(value, attended(c.r))
			return who, strange(err, before)
		}
	}
	token, err := bearer(c.r)
	if err != nil {
		return Administrator{}, err
	}
	return e.byBearer(c.ctx, token, before)
}

// strange asks before once a secret was not found, which costs no more than a look: who is
// known goes on whatever strangers do beside them.
func strange(err error, before func() error) error {
	if err == nil {
		return nil
	}
	if late := before(); late != nil {
		return late
	}
	return err
}

// byBearer finds out who administers by what is no cookie.
func (e *Endpoint) byBearer(ctx context.Context, token string, before func() error) (Administrator, error) {
	if strings.HasPrefix(token, prefixAPIToken) {
		who, err := e.byAPIToken(token)
		return who, strange(err, before)
	}
	if e.admins != nil {
		caller, err := e.admins.check(ctx, token, before)
		if err == nil {
			return Administrator{Name: caller.named(), Way: ByOIDC, Role: e.cfg.Administrators.role(caller.claimed), token: &caller}, nil
		}
		if bad, ok := errors.AsType[*authError](err); !ok || bad.why != tokenIssuer && bad.why != tokenAudience {
			return Administrator{}, err
		}
	}
	// Somebody who may use what the site has, and not administer it, is told so.
	caller, err := e.auth.check(ctx, token, before)
	if err != nil {
		return Administrator{}, err
	}
	return Administrator{Name: caller.named(), Way: ByOIDC, token: &caller}, nil
}

// again finds out whether somebody who was let in for what a route is for still would be: for
// what goes on for long. It waits for nothing, and is no use of what they have shown.
func (e *Endpoint) again(a Administrator, rt route) (err error) {
	switch {
	case a.Way == BySocket:
	case a.token != nil:
		if a.left(time.Now()) <= 0 || a.token.key != nil && a.token.key.withdrawn.Load() {
			err = &authError{tokenExpired}
		}
	case a.Way == ByToken:
		a, err = e.ofAPIToken(a.secret, false)
	default:
		a, err = e.ofSignIn(a.secret, false)
	}
	if err != nil {
		return err
	}
	return a.may(rt)
}

// left is how long what an administrator has shown lets them go on, as far as that is known
// beforehand.
func (a Administrator) left(now time.Time) time.Duration {
	if a.token == nil {
		return signInLife
	}
	return a.token.left(now, now) + tokenGrace
}

// named is who a caller is to people: their address where their issuer vouches for it.
func (c Caller) named() string {
	if c.Email == "" || c.Unverified {
		return string(c.User)
	}
	return c.Email
}

// Administer adds to what administrators who have a role may ask for, on the network and
// on the operator's socket: what is no line of the API's table. The handler is told
// who asks (AdministratorOf); others get a problem document. It must be called before the
// endpoint serves. Of an API token that has scopes it takes one of these. A browser is
// served only what it was not led to by a page of another site: a GET may do something here.
func (e *Endpoint) Administer(pattern string, needed license.Authority, oneOf license.TokenScopes, h http.Handler) {
	rt := administered(pattern, needed, oneOf, h)
	serve := rt.do
	rt.do = func(c *call) (reply, error) {
		if c.administrator.byCookie() && fromElsewhere(c.r) {
			return reply{}, &trouble{code: api.CodeForbidden, detail: "it comes from a page of another site"}
		}
		return serve(c)
	}
	e.byRole(rt)
}

// byCookie reports whether who administers has shown the console's cookie.
func (a Administrator) byCookie() bool {
	return a.Way == ByAccount || a.Way == ByOIDC && a.token == nil
}

func administered(pattern string, needed license.Authority, oneOf license.TokenScopes, h http.Handler) route {
	method, path, _ := strings.Cut(pattern, " ")
	return route{method: method, path: path, who: byRole, role: needed, scopes: oneOf, long: true, large: true, do: func(c *call) (reply, error) {
		h.ServeHTTP(c.w, c.r.WithContext(context.WithValue(c.ctx, administratorKey{}, c.administrator)))
		return reply{done: true}, nil
	}}
}

// byRole has both doors serve a route for administrators.
func (e *Endpoint) byRole(rt route) {
	pattern := rt.method + " " + rt.path
	e.mux.Handle(pattern, e.serve(rt, func(c *call) error { return e.admitAdministrator(c, rt) }))
	e.op.Handle(pattern, e.serve(rt, e.admitSocket))
	e.in.Handle(pattern, e.serve(rt, e.admitWithin(rt)))
}

// admitWithin lets in again who was let in for what asks now. Such reads are not logged:
// what asks them is.
func (e *Endpoint) admitWithin(rt route) func(*call) error {
	return func(c *call) error {
		c.administrator = AdministratorOf(c.r.Context())
		c.w.quiet = c.r.Method == http.MethodGet
		return c.administrator.may(rt)
	}
}

type administratorKey struct{}

// AdministratorOf is who administers, in a handler behind Administer; the zero value:
// nobody is known.
func AdministratorOf(ctx context.Context) Administrator {
	a, _ := ctx.Value(administratorKey{}).(Administrator)
	return a
}

// By is what is recorded of who does something, where the request says who asks for it.
// On the network that is who was authenticated, whatever it says. On the socket it may
// name somebody, and the system's user stands behind that.
func (a Administrator) By(said string) string {
	switch {
	case a.Way != "" && a.Way != BySocket, said == "":
		return a.Name
	case a.Name == "", a.Name == said, strings.HasSuffix(said, " as "+a.Name):
		return said
	}
	return said + " (" + a.Name + ")"
}

// because is said for what takes something from somebody or a node out of service: it wants a
// reason, too.
func (c *call) because(by *string, note string) error {
	if err := c.said(by, note); err != nil {
		return err
	}
	return c.reason(note)
}

// reason checks why something is done that wants a reason. On the node's own machine it may
// be left out, for scripts that stop a node.
func (c *call) reason(note string) error {
	switch way := c.administrator.Way; {
	case !plain(note):
		return malformed("note is longer than 256 bytes or has control characters")
	case strings.TrimSpace(note) == "" && way != "" && way != BySocket:
		return malformed("note is missing: say why, for the audit trail")
	}
	return nil
}

// said settles who does something, and checks who that is and why.
func (c *call) said(by *string, note string) error {
	if !plain(*by) || !plain(note) {
		return malformed("by or note is longer than 256 bytes or has control characters")
	}
	*by = c.administrator.By(*by)
	if *by == "" || !plain(*by) {
		return malformed("by is missing, or longer than 256 bytes with the user who asks")
	}
	return nil
}
