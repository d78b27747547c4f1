package console

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sitegate/api"
)

// actOf is something that can be done: its form is asked for and sent at its path.
type actOf struct {
	path string // below Base, as http.ServeMux takes it
	key  string // of its texts
	page string // of the navigation
	role string // that it needs
	// see finds what the act is about as it is now. A *gone error says that there is nothing
	// to be done any more.
	see func(*visit) (*subject, error)
	// do does it. It may show a page of its own, in place of going back. Nil: give does.
	do func(*visit, *subject) (*page, error)
	// give answers with a file.
	give func(http.ResponseWriter, *visit)
}

// subject is what an act is about.
type subject struct {
	title  string // other than what its button says
	of     string // the name of what it is about
	facts  []fact
	does   []string // what will happen
	fields []field
	back   string // where to go afterwards
	done   string // a text that begins with "done."
	state  string // what must not have changed since the form was made
	multi  bool
	note   bool // it takes a reason
	own    bool // which no user reads
	must   bool // which may not be left out
	danger bool
}

// gone: what an act is about is not there (any more).
type gone struct{ key string }

func (g *gone) Error() string { return g.key }

// maxReason is the longest reason, in bytes, that the API takes.
const maxReason = 256

// takes reports whether the API takes a reason.
func takes(reason string) bool {
	return len(reason) <= maxReason && utf8.ValidString(reason) && !strings.ContainsFunc(reason, unicode.IsControl)
}

// form shows what an act will do, and asks for what it needs.
func (c *Console) form(a actOf) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := visitOf(r)
		if !v.may(w, a) {
			return
		}
		s, ok := v.seen(w, a)
		if ok {
			v.render(w, http.StatusOK, v.formOf(a, s, nil))
		}
	}
}

// may reports whether who looks may do something at all; if not, they were told so.
func (v *visit) may(w http.ResponseWriter, a actOf) bool {
	if v.who.May(a.role) {
		return true
	}
	v.render(w, http.StatusForbidden, &page{Key: a.page, Title: v.t("act." + a.key), Alert: &alert{Title: v.t("forbidden.title"), Detail: v.t("forbidden.role", v.t("role."+a.role))}})
	return false
}

// seen is what an act is about, unless that was answered.
func (v *visit) seen(w http.ResponseWriter, a actOf) (*subject, bool) {
	s, err := a.see(v)
	var g *gone
	switch {
	case errors.As(err, &g):
		v.render(w, http.StatusGone, v.typed(&page{Key: a.page, Title: v.t("act." + a.key), Lead: v.t("gone." + g.key), Actions: []link{{Text: v.t("back"), Href: at("")}}}))
		return nil, false
	case err != nil:
		status, problem := v.alertOf(err)
		v.render(w, status, v.typed(&page{Key: a.page, Title: v.t("act." + a.key), Alert: problem}))
		return nil, false
	}
	return s, true
}

func (v *visit) formOf(a actOf, s *subject, problem *alert) *page {
	f := &form{Action: v.r.URL.RequestURI(), Submit: v.t("act." + a.key), Cancel: s.back, Danger: s.danger, Does: s.does, Facts: s.facts, Multi: s.multi, Again: a.give != nil,
		Hidden: map[string]string{"saw": seal(s.state), "once": cmp.Or(v.r.PostFormValue("once"), newNonce())}}
	if key := "busy." + a.key; has(key) {
		f.Busy = v.t(key)
	}
	for _, x := range s.fields {
		if value := v.r.PostFormValue(x.Name); value != "" {
			x.Value = value
			for i := range x.Options {
				x.Options[i].Chosen = x.Options[i].Value == value
			}
		}
		f.Fields = append(f.Fields, x)
	}
	if s.note {
		help := v.t("form.reason.help")
		if s.own {
			help = v.t("form.reason.help.own")
		}
		at := slices.IndexFunc(f.Fields, func(x field) bool { return x.Kind == "area" || x.Kind == "file" })
		if at < 0 { // what may be long comes last: its end may be cut off
			at = len(f.Fields)
		}
		f.Fields = slices.Insert(f.Fields, at, field{Name: "reason", Kind: "area", Label: v.t("form.reason"), Help: help, Value: v.r.PostFormValue("reason"), Required: s.must, Most: maxReason})
	}
	return &page{Key: a.page, Title: v.titleOf(a, s), Form: f, Alert: problem}
}

// titleOf says what is done, and to what.
func (v *visit) titleOf(a actOf, s *subject) string {
	switch {
	case s.title != "":
		return s.title
	case s.of != "":
		return v.t("act."+a.key) + ": " + s.of
	}
	return v.t("act." + a.key)
}

// act does what a form was sent for, unless something else has happened meanwhile.
func (c *Console) act(a actOf) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := visitOf(r)
		if !v.may(w, a) {
			return
		}
		if err := parse(r); err != nil {
			v.render(w, http.StatusBadRequest, &page{Key: a.page, Title: v.t("act." + a.key), Alert: &alert{Title: v.t("error.title"), Detail: v.t("form.too-large")}})
			return
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // the form is all there, and what it is for may take long
		s, ok := v.seen(w, a)
		if !ok {
			return
		}
		reason := v.reason()
		switch {
		case r.PostForm.Get("saw") != seal(s.state):
			v.render(w, http.StatusConflict, v.formOf(a, s, &alert{Title: v.t("form.stale.title"), Detail: v.t("form.stale")}))
			return
		case s.must && reason == "":
			v.render(w, http.StatusUnprocessableEntity, v.formOf(a, s, &alert{Title: v.t("form.reason"), Detail: v.t("form.reason.missing")}))
			return
		case !takes(reason):
			v.render(w, http.StatusUnprocessableEntity, v.formOf(a, s, &alert{Title: v.t("form.reason"), Detail: v.t("form.reason.bad")}))
			return
		}
		if a.give != nil {
			a.give(w, v)
			return
		}
		shown, err := a.do(v, s)
		switch {
		case err != nil:
			status, problem := v.alertOf(err)
			v.render(w, status, v.formOf(a, s, problem))
		case shown != nil:
			shown.Key = a.page
			v.render(w, http.StatusOK, shown)
		default:
			u, _ := url.Parse(s.back)
			q := u.Query()
			q.Set("done", s.done)
			u.RawQuery = q.Encode()
			http.Redirect(w, r, u.String(), http.StatusSeeOther)
		}
	}
}

// parse reads a form, a file in it, too.
func parse(r *http.Request) error {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
		return r.ParseMultipartForm(formMost(r))
	}
	return r.ParseForm()
}

// reason is why somebody does something, in a line: what was written in several is joined.
func (v *visit) reason() string {
	return strings.TrimSpace(lineBreaks.Replace(v.r.PostFormValue("reason")))
}

var lineBreaks = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ", "\t", " ")

// said is the body of a request that says who does something, and why.
func (v *visit) said() api.ReleaseRequest {
	return api.ReleaseRequest{By: v.who.Name, Note: v.reason()}
}

// seal is what a form keeps of the state that it has shown.
func seal(state string) string {
	sum := sha256.Sum256([]byte(state))
	return hex.EncodeToString(sum[:12])
}

// back is where a form was opened from, or where it belongs.
func (v *visit) back(otherwise string) string {
	if b := v.r.URL.Query().Get("back"); b == "refusals" || b == "checkouts" || b == "capped" {
		return at(b)
	}
	return otherwise
}
