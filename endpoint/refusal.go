package endpoint

import (
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
)

// The codes of what the forward proxy denies by its own lists; the header
// X-Sitegate-Error has them.
const (
	hostNotAllowed   = "host_not_allowed" // by the list or by a route
	useRelay         = "use-relay"        // it is for the relay, which enforces
	clientNotAllowed = "client_not_allowed"
	privateAddress   = "private_address" // a name that leads inside
	methodNotAllowed = "method_not_allowed"
	badRequest       = "bad_request"
	proxyLoop        = "loop" // the request has been here before
	tooManyTunnels   = "too_many_tunnels"
	goingAway        = "closing"
	clientGone       = "client_gone" // before there was an answer
	dialFailed       = "dial_failed"
	dialTimeout      = "dial_timeout"
	badAnswer        = "bad_answer" // of the target, over plain HTTP
	noRequest        = "no_request" // nothing in time, too much, or nothing that can be read
)

// refusal is an answer of the forward proxy: a page for a person, and a word for a program.
type refusal struct {
	status int
	code   string
	text   string
}

func (no *refusal) Error() string { return no.code }

var refusalPage = template.Must(template.New("refusal").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>License gateway: {{.Title}}</title>
<style>body{font:1rem/1.5 sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}small{color:#555}</style></head>
<body><h1>{{.Title}}</h1>
{{range .Lines}}<p>{{.}}</p>
{{end}}<p><small>{{.Code}} · {{.ID}}</small></p>
</body></html>
`))

// refuse answers why not, and logs it once: never 407, which would make clients ask for
// a password that there is none of. A browser is shown the answer to a GET; of CONNECT it
// shows nobody anything, and programs print text.
func (t *Tunnel) refuse(w http.ResponseWriter, r *http.Request, id string, no *refusal, cause error) {
	t.metrics.tunnels.WithLabelValues(no.code).Inc()
	attrs := []any{"id", id, "client", host(r.RemoteAddr), "host", destination(r), "status", no.status, "reason", no.code}
	if cause != nil {
		attrs = append(attrs, "err", cause)
	}
	level := slog.LevelWarn
	if no.code == clientGone || !t.lines.Allow() {
		level = slog.LevelDebug
	}
	t.log.Log(r.Context(), level, "tunnel refused", attrs...)
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Sitegate-Error", no.code)
	h.Set("Cache-Control", "no-store")
	switch no.status {
	case http.StatusMethodNotAllowed:
		h.Set("Allow", "CONNECT, GET, HEAD")
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		h.Set("Retry-After", "5")
	}
	if r.Method == http.MethodConnect || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(no.status)
		fmt.Fprint(w, no.text)
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	w.WriteHeader(no.status)
	lines := strings.Split(strings.TrimSpace(no.text), "\n")
	refusalPage.Execute(w, struct { // who has gone reads no page
		Title, Code, ID string
		Lines           []string
	}{http.StatusText(no.status), no.code, id, lines})
}

// destination is what a request was for, without what a log should not have: paths and queries
// of pages are nobody's business.
func destination(r *http.Request) string {
	if r.Method != http.MethodConnect && r.URL.IsAbs() {
		return printable(r.URL.Host)
	}
	switch {
	case r.Method == http.MethodConnect:
		return printable(r.RequestURI)
	case r.URL.Path == pathPAC || r.URL.Path == pathWPAD:
		return r.URL.Path
	}
	return "-" // a path of this proxy itself
}
