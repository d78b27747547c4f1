package endpoint

import (
	"maps"
	"net/http"
	"path"
	"strings"

	"github.com/gorilla/websocket"

	"sitegate/api"
)

// maxHeaders is how many header lines a request may have: proxies on its way add some.
const maxHeaders = 100

// secure says on every answer what a browser is not to do with it. A page that the
// console serves says more.
func secure(h http.Header) {
	maps.Copy(h, always)
}

// always are the headers of every answer. All share their values, which nobody changes in
// place: Set and Add make others.
var always = http.Header{
	"Cache-Control":                {"no-store"},
	"X-Content-Type-Options":       {"nosniff"},
	"Content-Security-Policy":      {"default-src 'none'; frame-ancestors 'none'"},
	"Referrer-Policy":              {"no-referrer"},
	"Cross-Origin-Resource-Policy": {"same-origin"},
}

// sound refuses what two readers could take for two different requests, and takes out of a
// request what could be taken for something else further on. What net/http refuses
// does not come here.
func (e *Endpoint) sound(r *http.Request) error {
	p := r.URL.Path
	switch {
	case !strings.HasPrefix(r.RequestURI, "/"):
		return malformed("the request's target is not a path")
	case p != "/" && path.Clean(p) != strings.TrimSuffix(p, "/"):
		return &trouble{code: api.CodeNotFound} // the mux would redirect
	case strings.Contains(strings.ToLower(r.URL.RawPath), "%2f"):
		return &trouble{code: api.CodeNotFound} // where does a segment end?
	case len(r.Header["Authorization"]) > 1:
		return malformed("there is more than one Authorization")
	case len(r.Header["Content-Type"]) > 1:
		return malformed("there is more than one Content-Type")
	}
	lines := 0
	for _, values := range r.Header {
		if lines += len(values); lines > maxHeaders {
			return malformed("there are more than 100 header lines")
		}
	}
	if len(r.Header["Cookie"]) > 0 && e.sameOrigin.Check(r) != nil {
		return &trouble{code: api.CodeForbidden, detail: "it comes from a page of another site"}
	}
	r.Trailer = nil
	r.Header.Del("Trailer")
	return nil
}

// forPages reports whether a person asks for a page of the console.
func forPages(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, consolePath) && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// fromElsewhere reports whether a browser says that a page of another site has led it here,
// which it may have done with a link: then the cookie comes along (SameSite=Lax).
func fromElsewhere(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "cross-site" || site == "same-site"
}

// plainHeaders drops headers whose names have an underscore: programs behind a gateway
// often take them for those with a dash.
func plainHeaders(h http.Header) {
	for name := range h {
		if strings.Contains(name, "_") {
			delete(h, name)
		}
	}
}

// switches refuses to switch protocols but for the websocket of a route that has one. What
// shows no token there and does not ask for a websocket is told so: whoever is in front of a
// node and takes the header out, as load balancers do, is found out by it. Who shows one is
// told the same once it is known who they are.
func switches(r *http.Request, rt route) error {
	asks := len(r.Header["Upgrade"]) != 0
	switch {
	case rt.upgrade && !asks && len(r.Header["Authorization"]) == 0:
		return malformed("this path is a websocket's, and the request does not ask for one: the client does not, or something between it and this node has taken the headers Upgrade and Connection out")
	case !asks, rt.upgrade && websocket.IsWebSocketUpgrade(r):
		return nil
	}
	return malformed("this path does not switch to another protocol")
}
