// Package console is what IT looks at: pages of a site as it is now, made on the node and
// kept up to date while they are open.
//
// A page shows what the API answers to whoever looks at it, and an act on a page is a
// request of the API's, in their name and with their role: the console decides nothing and
// sees nothing that the API does not give. It asks in this process, with the request that
// the page was asked for by.
//
// Pages are made of one template, work without scripts, and load nothing from elsewhere.
// A small module brings times into the browser's zone, searches while somebody types, and
// fetches the page anew when the site's event stream says that something has happened: what
// is shown is always what the server would show now, so that a page left open neither
// grows nor goes astray.
//
// The package leaves to others: who somebody is (endpoint), what may be done (license).
package console

import (
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"sitegate/api"
)

// Base is where the console is, on whatever door; Static is what all its pages load, for
// anybody.
const (
	Base   = "/console/"
	Static = Base + "static/"
)

// The roles of administrators; the words are those of the API.
const (
	Viewer   = "viewer"   // reads
	Operator = "operator" // acts on sessions, checkouts and licenses
	Admin    = "admin"    // acts on nodes
)

// Administrator is who looks at a page.
type Administrator struct {
	Name string // of the account; what acts are recorded as done by
	Role string // one of the roles
	// SignOut is where a form is sent by which they sign out; empty: they need not.
	SignOut string
	// Password is the page where they change their password; empty: they have none here.
	Password string
}

// May reports whether the administrator has a role, or one above it.
func (a Administrator) May(role string) bool { return rank(a.Role) >= rank(role) }

func rank(role string) int {
	switch role {
	case Viewer:
		return 1
	case Operator:
		return 2
	case Admin:
		return 3
	}
	return 0
}

// Config is what a Console is made of. All but SignIn is needed.
type Config struct {
	// API answers what pages ask, as a door of this node would answer the administrator.
	API http.Handler
	// Who finds who asks for a page. With a problem they were turned away, as a rule in the
	// middle of something, since who only looks is led elsewhere before.
	Who func(*http.Request) (Administrator, *api.Problem)
	// SignIn is where who is not known may sign in, with the page as ?next=; empty: nowhere.
	SignIn string
	Logger *slog.Logger
}

// Console serves the pages. New makes one.
type Console struct {
	cfg    Config
	mux    *http.ServeMux
	layout *template.Template
	cross  *http.CrossOriginProtection
	issued *once
}

//go:embed static/* page.html
var files embed.FS

// New makes a console.
func New(cfg Config) (*Console, error) {
	if cfg.API == nil || cfg.Who == nil || cfg.Logger == nil {
		return nil, errors.New("console: API, Who and Logger must be set")
	}
	layout, err := template.New("page.html").Funcs(template.FuncMap{"stamp": stamp, "second": second, "rfc": rfc, "slug": slug}).ParseFS(files, "page.html")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	c := &Console{cfg: cfg, mux: http.NewServeMux(), layout: layout, cross: http.NewCrossOriginProtection(), issued: newOnce()}
	static, err := fs.Sub(files, "static")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	c.mux.Handle("GET "+Static, http.StripPrefix(Static, http.FileServerFS(static)))
	c.mux.HandleFunc("GET "+Base+"live", c.live)
	c.mux.HandleFunc("GET "+Base+"language", c.language)
	for _, p := range c.pages() {
		c.mux.HandleFunc("GET "+Base+p.path, c.show(p))
	}
	for _, a := range c.acts() {
		c.mux.HandleFunc("GET "+Base+a.path, c.form(a))
		c.mux.HandleFunc("POST "+Base+a.path, c.act(a))
	}
	c.mux.HandleFunc("GET "+Base+"capped.csv", c.cappedCSV)
	c.mux.HandleFunc("GET "+Base+"audit.csv", c.auditCSV)
	c.mux.HandleFunc("GET "+Base+"usage.csv", c.usageCSV)
	c.mux.HandleFunc("GET "+Base+"usage.json", c.usageJSON)
	c.mux.HandleFunc("GET "+Base+"report.csv", c.reportCSV)
	c.mux.HandleFunc(Base, c.missing)
	return c, nil
}

// policy lets a page have what comes with it, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP answers below Base.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if strings.HasPrefix(r.URL.Path, Static) {
		h.Set("Cache-Control", "no-cache") // it is asked for anew, and not sent anew
		c.mux.ServeHTTP(w, r)
		return
	}
	if err := c.cross.Check(r); err != nil {
		http.Error(w, "This came from another site's page, and nothing was done.", http.StatusForbidden)
		return
	}
	who, refusal := c.cfg.Who(r)
	if refusal != nil {
		c.refused(w, r, refusal)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, formMost(r))
	c.mux.ServeHTTP(w, r.WithContext(withVisit(r.Context(), newVisit(c, r, who))))
}

// maxForm bounds what a form may bring, but for the one with files of the vendor's portal: a
// file of a bulk checkout is the most.
const maxForm = 2 << 20

// formMost is how many bytes the form of a request may have.
func formMost(r *http.Request) int64 {
	if r.URL.Path == Base+importPath {
		return maxPortalForm
	}
	return maxForm
}

// slug is an id as an element may have it: that of a row stays the same while it is shown.
func slug(id string) string {
	for _, b := range []byte(id) {
		if (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && (b < '0' || b > '9') && b != '-' && b != '_' {
			return seal(id)
		}
	}
	return id
}

// rfc and stamp are a moment as programs and people read it without a script.
func rfc(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// second is stamp to the second.
func second(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
