package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"sitegate/api"
	"sitegate/phrase"
)

// visit is one look at the console: who looks, in which language, and how they ask.
type visit struct {
	c    *Console
	r    *http.Request
	who  Administrator
	lang phrase.Lang
	site *api.Status // as it was asked for, for the page and for what is around it; nil: not yet
}

type visitKey struct{}

func withVisit(ctx context.Context, v *visit) context.Context {
	return context.WithValue(ctx, visitKey{}, v)
}

func visitOf(r *http.Request) *visit {
	v := r.Context().Value(visitKey{}).(*visit)
	v.r = r
	return v
}

// langCookie keeps a language that was chosen.
const langCookie = "sitegate-language"

func newVisit(c *Console, r *http.Request, who Administrator) *visit {
	v := &visit{c: c, r: r, who: who, lang: phrase.Accept(r.Header.Get("Accept-Language"))}
	if k, err := r.Cookie(langCookie); err == nil {
		if l, ok := phrase.Parse(k.Value); ok {
			v.lang = l
		}
	}
	return v
}

// t is a text of the console in the visitor's language.
func (v *visit) t(key string, with ...any) string { return say(v.lang, key, with...) }

// fromElsewhere reports whether a browser says that a page of another site has led it here:
// what the address says is then not what the visitor says.
func fromElsewhere(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "cross-site" || site == "same-site"
}

// failed is an answer of the API that is none: its problem.
type failed struct{ api.Problem }

func (f *failed) Error() string { return f.Code + ": " + f.Detail }

// id is that of what the page is about.
func (v *visit) id() string {
	if id := v.r.PathValue("id"); id != api.InQuery {
		return id
	}
	return v.r.URL.Query().Get("id")
}

// get asks the API.
func (v *visit) get(path string, query url.Values, into any) error {
	if len(query) > 0 {
		path += "?" + query.Encode() // which none has that is made of an id
	}
	return v.ask("GET", path, nil, into)
}

// status is the site's, asked for once. Nobody changes it.
func (v *visit) status() (*api.Status, error) {
	if v.site == nil {
		var s api.Status
		if err := v.get(api.PathStatus, nil, &s); err != nil {
			return nil, err
		}
		v.site = &s
	}
	return v.site, nil
}

// post has the API do something, after which the site may be otherwise.
func (v *visit) post(path string, body, into any) error {
	v.site = nil
	return v.ask("POST", path, body, into)
}

// ask makes a request of the API's, in the name of who looks.
func (v *visit) ask(method, path string, body, into any) error {
	var rd io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		rd = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(v.r.Context(), method, path, rd)
	if err != nil {
		return fmt.Errorf("asking for %s: %w", path, err)
	}
	v.lend(r)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	w := &answer{header: http.Header{}}
	v.c.cfg.API.ServeHTTP(w, r)
	if w.status >= 400 {
		if w.status == http.StatusUnprocessableEntity && into != nil && w.header.Get("Content-Type") != api.ProblemType {
			return json.Unmarshal(w.body.Bytes(), into) // a report of what is wrong
		}
		return w.failure(method, path)
	}
	if into == nil || w.body.Len() == 0 {
		return nil
	}
	return json.Unmarshal(w.body.Bytes(), into)
}

// lend gives a request of the API's what it takes over of the page's; who asks is in its
// context.
func (v *visit) lend(r *http.Request) {
	r.RemoteAddr, r.Host, r.TLS, r.RequestURI = v.r.RemoteAddr, v.r.Host, v.r.TLS, r.URL.RequestURI()
	if value := v.r.Header.Get("Last-Event-ID"); value != "" {
		r.Header.Set("Last-Event-ID", value)
	}
	r.Header.Set("Accept-Language", v.lang.String())
}

// answer is what the API writes.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// failure is the problem that is the answer.
func (w *answer) failure(method, path string) error {
	f := &failed{}
	if err := json.Unmarshal(w.body.Bytes(), &f.Problem); err != nil || f.Code == "" {
		return fmt.Errorf("%s %s was answered with %d", method, path, w.status)
	}
	return f
}

func (w *answer) Header() http.Header { return w.header }

func (w *answer) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *answer) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// live passes the site's event stream on.
func (c *Console) live(w http.ResponseWriter, r *http.Request) {
	v := visitOf(r)
	ask, err := http.NewRequestWithContext(r.Context(), "GET", api.PathSiteEvents, nil)
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	v.lend(ask)
	c.cfg.API.ServeHTTP(w, ask)
}

// language keeps the language that somebody chooses, and goes back.
func (c *Console) language(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if l, ok := phrase.Parse(q.Get("to")); ok {
		http.SetCookie(w, &http.Cookie{Name: langCookie, Value: l.String(), Path: Base, MaxAge: 365 * 24 * 3600, HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode})
	}
	http.Redirect(w, r, within(q.Get("back")), http.StatusSeeOther)
}

// within is a place of the console, or its first page. It has no reason: whoever was led to a
// page of another's choosing did not say it, and may well choose their language there.
func within(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, Base) || strings.ContainsAny(path, "\\\r\n") {
		return Base
	}
	if q := u.Query(); q.Has("reason") {
		q.Del("reason")
		u.RawQuery = q.Encode()
		return u.String()
	}
	return path
}

// refused is what who was turned away is told. What they have typed is there to be copied.
func (c *Console) refused(w http.ResponseWriter, r *http.Request, why *api.Problem) {
	v := newVisit(c, r, Administrator{})
	p := &page{Key: "refused", Title: v.t("refused.title"), Bare: true, Alert: &alert{Title: sentence(why.Title), Detail: sentence(why.Detail), Next: why.Next, ID: why.RequestID}}
	if why.Status == http.StatusUnauthorized {
		p.Title, p.Lead, p.Alert = v.t("signed-out.title"), v.t("signed-out.lead"), nil
		if c.cfg.SignIn != "" {
			p.Actions = []link{{Text: v.t("sign-in"), Tone: "primary", Href: c.cfg.SignIn + "?" + url.Values{"next": {r.URL.RequestURI()}}.Encode()}}
		}
	}
	if r.Method == http.MethodPost {
		v.typed(p)
	}
	v.render(w, why.Status, p)
}

func (c *Console) missing(w http.ResponseWriter, r *http.Request) {
	v := visitOf(r)
	v.render(w, http.StatusNotFound, &page{Key: "missing", Title: v.t("missing.title"), Lead: v.t("missing.lead")})
}
