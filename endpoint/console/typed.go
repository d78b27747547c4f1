package console

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode"
)

// typing is what somebody has written into a form, as far as it could be read.
type typing struct {
	fields url.Values
	files  bool // there were some, which are not kept
	cut    bool // its end could not be read
}

// typedFields are the fields of our forms that somebody fills in, in the order in which they
// are shown, with their labels. A test holds them against all forms. What else a request
// brings is not shown: anybody may send it.
var typedFields = []struct{ name, label string }{{"reason", "form.reason"}, {"to", "move.to"}, {"until", "col.until"}, {"for", "join.for"}, {"product", "col.product"}, {"csv", "bulk.csv"}}

// mostParts is more than a form of ours has.
const mostParts = 20

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
	for n := 0; err == nil; n++ {
		if n == mostParts {
			t.cut = true
			break
		}
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
	for _, x := range typedFields {
		if text := t.fields.Get(x.name); text != "" {
			p.Sections = append(p.Sections, section{ID: "typed-" + x.name, Heading: v.t("form.typed") + ": " + v.t(x.label), Copy: asWritten(text)})
		}
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
