package console

import (
	"cmp"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// typing is what somebody has written into a form, as far as it could be read.
type typing struct {
	fields url.Values
	files  bool // there were some, which are not kept
	cut    bool // its end could not be read
}

// notTyped are the fields of forms that nobody fills in.
var notTyped = []string{"saw", "once", "confirm", "bulk", "diff", "kept"}

// typedFields are those that may be filled in, in the order in which they are shown, with
// their labels. A test holds them against all forms.
var typedFields = []struct{ name, label string }{{"reason", "form.reason"}, {"to", "move.to"}, {"until", "col.until"}, {"for", "join.for"}, {"product", "col.product"}, {"csv", "bulk.csv"}}

// typedIn is what was written into the form that a request has sent. What of it is too long
// to be read ends where that is: files come last in our forms, and the longest text before
// them.
func typedIn(r *http.Request) typing {
	if r.PostForm != nil {
		return typing{fields: r.PostForm, files: r.PostForm.Get("kept") != "" || r.MultipartForm != nil && len(r.MultipartForm.File) > 0}
	}
	t := typing{fields: url.Values{}}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
		b, err := io.ReadAll(r.Body)
		t.cut = err != nil
		text := string(b)
		if i := strings.LastIndexByte(text, '%'); i >= 0 && i > len(text)-3 { // half a letter
			text = text[:i]
		}
		t.fields, _ = url.ParseQuery(text) // what is no form has no fields
		t.files = t.fields.Get("kept") != ""
		return t
	}
	parts, err := r.MultipartReader()
	for err == nil {
		part, failed := parts.NextPart()
		if failed != nil {
			t.cut = failed != io.EOF
			break
		}
		if part.FileName() != "" {
			t.files = true
			continue
		}
		var b []byte
		b, err = io.ReadAll(part)
		t.fields.Add(part.FormName(), string(b))
		t.files, t.cut = t.files || part.FormName() == "kept", err != nil
	}
	return t
}

// typed shows what somebody has written into a form that there is no more, to be copied.
func (v *visit) typed(p *page) *page {
	t := typedIn(v.r)
	place := func(name string) int {
		return slices.IndexFunc(typedFields, func(x struct{ name, label string }) bool { return x.name == name })
	}
	var names []string
	for name := range t.fields {
		if !slices.Contains(notTyped, name) && t.fields.Get(name) != "" {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(uint(place(a)), uint(place(b))), cmp.Compare(a, b)) // those nobody knows come last
	})
	for _, name := range names {
		label := clean(name)
		if i := place(name); i >= 0 {
			label = v.t(typedFields[i].label)
		}
		p.Sections = append(p.Sections, section{ID: "typed-" + slug(name), Heading: v.t("form.typed") + ": " + label, Copy: asWritten(t.fields.Get(name))})
	}
	if t.files || t.cut {
		key := "form.typed.files"
		if t.cut {
			key = "form.typed.cut"
		}
		p.Sections = append(p.Sections, section{ID: "typed", Note: v.t(key)})
	}
	return p
}

// asWritten is a text whole, with its lines and tabs, and without what turns text around.
func asWritten(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return -1
		case r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)):
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
