package console

import (
	"bytes"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sitegate/api"
	"sitegate/phrase"
)

// page is what is shown. The template shows any of it the same way everywhere.
type page struct {
	Key      string // of the navigation
	Title    string
	Lead     string
	Done     string // what has just been done
	Alert    *alert
	Stats    []stat
	Line     *line
	Search   *search
	Sections []section
	Form     *form
	Actions  []link
	Bare     bool // nobody is signed in: no navigation
	Still    bool // it is not kept up to date
}

// alert is a problem, in the words of the API.
type alert struct {
	Title, Detail string
	Next          []string
	ID            string // of the request
}

type stat struct {
	Label, Value, Sub string
	Tone              string // good, warn, bad or empty
	Part, Whole       int    // a bar, where there is a whole
}

// line is a drawing of how something went, with what it is.
type line struct {
	Caption string
	Drawn   template.HTML
}

// search is what a list is narrowed by.
type search struct {
	Action, Label, Value string // Label is that of words; empty: none are searched for
	Filters              []filter
	Count                string
}

// filter is one choice of some, or a day.
type filter struct {
	Name, Label string
	Options     []option
	Day         bool
	Value       string // of a day, as 2026-11-21
}

type option struct {
	Value, Label string
	Chosen       bool
}

type section struct {
	ID, Heading, Note string
	Tone              string // of the note
	Table             *table
	Empty             string // where the table has no rows
	Facts             []fact
	Ask               *ask
	Copy              string // text to be copied
	Chart             template.HTML
	Actions           []link
	Next              link
}

// ask is what somebody has to say before a section is shown.
type ask struct {
	Action             string
	Hidden             map[string]string
	Label, Help, Value string
	Submit             string
}

type fact struct {
	Label string
	cell
}

type table struct {
	Caption string
	Columns []string
	Rows    []row
}

type row struct {
	ID    string
	Faint bool
	Cells []cell
}

type cell struct {
	Text, Sub, Href string
	At              time.Time
	Ago             bool // how long ago, beside when
	Second          bool // to the second
	Tags            []tag
	Links           []link
	Code            bool
	Number          bool
}

type tag struct{ Text, Tone string }

type link struct {
	Text, Href string
	Tone       string // danger
	Label      string // for who does not see what is beside it
}

// form asks for what an act needs, and says what the act does.
type form struct {
	Action, Submit, Cancel string
	Danger                 bool
	Does                   []string // what it does
	Facts                  []fact
	Hidden                 map[string]string
	Fields                 []field
	Multi                  bool   // brings a file
	Again                  bool   // it stays where it is when it was sent, to be sent again
	Busy                   string // what is said while it is under way
}

type field struct {
	Name, Label, Help, Value, Kind string // text, area, date, select, file
	Options                        []option
	Required                       bool
	Most                           int
}

// view is a page with what is around it.
type view struct {
	*page
	v      *visit
	Base   string
	Lang   string
	Langs  []option
	Here   string
	Who    Administrator
	Status *api.Status
	Nav    []group
	Chips  []chip
	Bypass *bypassing
	Now    time.Time
}

// bypassing is what every page says while a bypass lasts.
type bypassing struct {
	Until    time.Time
	By, Note string
}

// T is a text of the console, for the template.
func (v view) T(key string, with ...any) string { return v.v.t(key, with...) }

type group struct {
	Text  string
	Links []navLink
}

type navLink struct {
	Text, Href string
	Here       bool
}

type chip struct{ Label, Text, Tone, Href string }

// show answers with a page.
func (c *Console) show(p pageOf) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := visitOf(r)
		sought := r.URL.Query().Get("q")
		long := len(sought) > maxSearch || !utf8.ValidString(sought)
		if long {
			v.r = searchingNothing(r)
		}
		shown, err := p.make(v)
		v.r = r
		if err != nil {
			v.trouble(w, p.key, err)
			return
		}
		if long && shown.Search != nil && shown.Search.Label != "" {
			shown.Search.Value, shown.Search.Count = clean(sought), ""
			shown.Sections = []section{{ID: "long", Empty: v.t("search.long")}}
		}
		shown.Key = p.key
		if key := r.URL.Query().Get("done"); has("done." + key) {
			shown.Done = v.t("done." + key)
		}
		v.render(w, http.StatusOK, shown)
	}
}

// maxSearch is how many bytes of what is searched for the API takes.
const maxSearch = 200

// searchingNothing is a request for the same page, but for the words that are searched for.
func searchingNothing(r *http.Request) *http.Request {
	other := r.Clone(r.Context())
	q := other.URL.Query()
	q.Del("q")
	other.URL.RawQuery = q.Encode()
	return other
}

// trouble shows a page that could not be made.
func (v *visit) trouble(w http.ResponseWriter, key string, err error) {
	status, a := v.alertOf(err)
	v.render(w, status, &page{Key: key, Title: v.t("error.title"), Alert: a})
}

// alertOf words an error.
func (v *visit) alertOf(err error) (int, *alert) {
	var f *failed
	if errors.As(err, &f) {
		return f.Status, &alert{Title: f.Title, Detail: f.Detail, Next: f.Next, ID: f.RequestID}
	}
	v.c.cfg.Logger.Error("a page of the console could not be made", "path", v.r.URL.Path, "err", err)
	return http.StatusInternalServerError, &alert{Title: v.t("error.title"), Detail: v.t("error.lead")}
}

// render writes a page, whole or not at all.
func (v *visit) render(w http.ResponseWriter, status int, p *page) {
	shown := view{page: p, v: v, Base: Base, Lang: v.lang.String(), Here: v.r.URL.RequestURI(), Who: v.who, Now: time.Now()}
	for _, l := range phrase.Langs() {
		shown.Langs = append(shown.Langs, option{l.String(), say(l, "language.name"), l == v.lang})
	}
	if !p.Bare {
		shown.Nav = v.navigation(p.Key)
		if s, err := v.status(); err == nil {
			shown.Status, shown.Chips = s, v.chips(s)
			if b := s.Bypass; b != nil {
				shown.Bypass = &bypassing{b.Until, clean(b.By), clean(b.Note)}
			}
		}
	}
	var b bytes.Buffer
	if err := v.c.layout.Execute(&b, shown); err != nil {
		v.c.cfg.Logger.Error("a page of the console could not be written", "path", v.r.URL.Path, "err", err)
		http.Error(w, v.t("error.lead"), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", v.lang.String())
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // a browser that is gone is nobody's error
}

// at is a place of the console.
func at(path string, query ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(query); i += 2 {
		if query[i+1] != "" {
			q.Set(query[i], query[i+1])
		}
	}
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return Base + path
}

// userPage and machinePage are where somebody's, or something's, history is.
func userPage(id string) string { return of("users", id, "") }

// of is the place of what goes by an id, or of what can be done about it.
func of(path, id, act string) string { return api.Of(Base+path, id, act) }

func machinePage(m api.Machine) string { return at("machine", "name", m.Name, "id", m.ID) }

// maxShown is how much of a name is shown, and maxSentence of a sentence, in characters.
const (
	maxShown    = 256
	maxSentence = 2000
)

// clean is somebody's text as it can be shown: without what turns text around or breaks
// lines, and not endless.
func clean(s string) string { return cleanTo(s, maxShown) }

// sentence is clean for what the API says in sentences, which are longer.
func sentence(s string) string { return cleanTo(s, maxSentence) }

// lines is clean for what has several of them.
func lines(s string) string {
	out := strings.Split(s, "\n")
	for i := range out {
		out[i] = cleanTo(strings.TrimSuffix(out[i], "\r"), maxSentence)
	}
	return strings.Join(out, "\n")
}

func cleanTo(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	cut := false
	if utf8.RuneCountInString(s) > most {
		s, cut = string([]rune(s)[:most]), true
	}
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '\uFFFD'
		}
		return r
	}, s)
	if cut {
		s += "…"
	}
	return s
}
