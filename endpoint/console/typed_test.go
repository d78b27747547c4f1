package console

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"sitegate/api"
)

// filled are the fields of a form that somebody fills in, each with what they would write.
func filledIn(form string) url.Values {
	values := url.Values{}
	for _, m := range regexp.MustCompile(`<(textarea|input|select) id="i-[^"]*"([^>]*)`).FindAllStringSubmatch(form, -1) {
		name := regexp.MustCompile(` name="([^"]*)"`).FindStringSubmatch(m[2])[1]
		switch {
		case strings.Contains(m[2], `type="file"`):
		case strings.Contains(m[2], `type="date"`):
			values.Set(name, "2026-12-24")
		case name == "csv":
			values.Set(name, "user\tmachine\nada\tWS-1\n"+strings.Repeat("x", 3000))
		default:
			values.Set(name, "I wrote <"+name+"> & more")
		}
	}
	return values
}

// bodyOf is a form as a browser sends it: in parts where it may bring a file.
func bodyOf(t *testing.T, form string, values url.Values) (body io.Reader, kind string) {
	t.Helper()
	if !strings.Contains(form, `enctype="multipart/form-data"`) {
		return strings.NewReader(values.Encode()), "application/x-www-form-urlencoded"
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, m := range regexp.MustCompile(` name="([^"]*)"`).FindAllStringSubmatch(form[strings.Index(form, "<form class=\"act-form\""):], -1) {
		if v := values.Get(m[1]); v != "" {
			_ = w.WriteField(m[1], v)
		}
	}
	if _, err := w.CreateFormFile("file", ""); err != nil { // as where none was chosen
		t.Fatal(err)
	}
	w.Close()
	return &b, w.FormDataContentType()
}

// Whatever was written into a form is still there when who wrote it is turned away, when what
// it was about has gone, and when the API fails.
func TestNothingThatWasTypedIsLost(t *testing.T) {
	s := full()
	c := newTestConsole(t, s, admin)
	nobody := newTestConsole(t, s, Administrator{})
	forms := 0
	for _, path := range everywhere {
		form := visitPage(c, "GET", path, "en", nil).Body.String()
		values := filledIn(form)
		if len(values) == 0 {
			continue
		}
		forms++
		shows := func(what string, c *Console, saw string) {
			t.Helper()
			sent := url.Values{"saw": {saw}}
			for name := range values {
				sent[name] = values[name]
			}
			body, kind := bodyOf(t, form, sent)
			r := httptest.NewRequest("POST", Base+path, body)
			r.Header.Set("Content-Type", kind)
			w := httptest.NewRecorder()
			c.ServeHTTP(w, r)
			for name, value := range values {
				select_ := strings.Contains(form, `<select id="i-`+name+`"`)
				if page := html.UnescapeString(w.Body.String()); !strings.Contains(page, value[0]) && !(select_ && w.Code != 401) {
					t.Errorf("%s: %s, and %q of %s is lost: %d %.3000s", path, what, value, name, w.Code, page)
				}
			}
			for name := range values {
				known := false
				for _, x := range typedFields {
					known = known || x.name == name
				}
				if !known {
					t.Errorf("%s has the field %s, of which nobody says what it is called when it is shown again", path, name)
				}
			}
		}
		saw := regexp.MustCompile(`name="saw" value="([^"]*)"`).FindStringSubmatch(form)[1]
		shows("not signed in", nobody, saw)
		if values.Get("reason") != "" { // the others have nothing to look at
			shows("it is stale", c, "other")
		}
		s.problem = &api.Problem{Code: "no-quorum", Status: 503, Title: "No quorum"}
		if !strings.HasPrefix(path, "cluster/backup/file") {
			shows("the API fails", c, saw)
		}
		s.problem = nil
	}
	if forms < 12 {
		t.Errorf("there are %d forms with fields", forms)
	}
	gone := full()
	gone.answers[api.PathOpen] = api.OpenList{}
	w := visitPage(newTestConsole(t, gone, admin), "POST", "sessions/0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e6f/free", "en", url.Values{"reason": {"she is on leave"}})
	if w.Code != 410 || !strings.Contains(w.Body.String(), "she is on leave") {
		t.Errorf("what it was about has gone: %d %s", w.Code, w.Body)
	}
}

// Of a form that is too long to be read the beginning is kept, and it is said that there is
// more; the reason comes before what may be long.
func TestOfALongFormTheBeginningIsKept(t *testing.T) {
	nobody := newTestConsole(t, full(), Administrator{})
	long := strings.Repeat("ada,WS-1\n", 40_000)
	for _, most := range []int64{256 << 10, 2 << 20} {
		for _, parts := range []bool{false, true} {
			var body bytes.Buffer
			kind := "application/x-www-form-urlencoded"
			if parts {
				w := multipart.NewWriter(&body)
				_ = w.WriteField("reason", "a new ship")
				_ = w.WriteField("csv", long)
				f, _ := w.CreateFormFile("file", "more.csv")
				fmt.Fprint(f, long)
				w.Close()
				kind = w.FormDataContentType()
			} else {
				body.WriteString("reason=a+new+ship&csv=" + url.QueryEscape(long))
			}
			r := httptest.NewRequest("POST", Base+"checkouts/bulk", nil)
			w := httptest.NewRecorder()
			r.Body = http.MaxBytesReader(w, io.NopCloser(&body), most)
			r.Header.Set("Content-Type", kind)
			nobody.ServeHTTP(w, r)
			page := w.Body.String()
			if !strings.Contains(page, ">a new ship<") || strings.Count(page, "ada,WS-1\n") < 20_000 {
				t.Errorf("of at most %d bytes, in parts %t, there is %d of %d lines, and the reason: %t", most, parts, strings.Count(page, "ada,WS-1\n"), 40_000, strings.Contains(page, ">a new ship<"))
			}
			cut, whole := strings.Contains(page, "the end is missing here"), strings.Count(page, "ada,WS-1\n") >= 40_000
			if cut == whole || whole != (most > int64(len(long))) {
				t.Errorf("of at most %d bytes, in parts %t, the page says that its end is missing: %t; it is whole: %t", most, parts, cut, whole)
			}
		}
	}
}

// Of what somebody sends who is not signed in only what our forms have is shown, and no more
// than a few parts are read: a page with ten thousand texts is more than they are worth.
func TestWhatNoFormHasIsNotShownAgain(t *testing.T) {
	nobody := newTestConsole(t, full(), Administrator{})
	send := func(body *bytes.Buffer, kind string) string {
		r := httptest.NewRequest("POST", Base+"x", body)
		r.Header.Set("Content-Type", kind)
		w := httptest.NewRecorder()
		nobody.ServeHTTP(w, r)
		if n := strings.Count(w.Body.String(), `data-copy="`); w.Code != 401 || n != 1 || !strings.Contains(w.Body.String(), ">a new ship<") {
			t.Errorf("%s: %d, %d texts of %d bytes; want 401 and the reason", kind, w.Code, n, w.Body.Len())
		}
		return w.Body.String()
	}
	body := bytes.NewBufferString("reason=a+new+ship")
	for i := range 9000 {
		fmt.Fprintf(body, "&a%d=1", i)
	}
	send(body, "application/x-www-form-urlencoded")
	body = &bytes.Buffer{}
	parts := multipart.NewWriter(body)
	_ = parts.WriteField("reason", "a new ship")
	for range 30_000 {
		_ = parts.WriteField("a", "1")
	}
	_ = parts.WriteField("to", "WS-101")
	parts.Close()
	whole := body.Len()
	if page := send(body, parts.FormDataContentType()); !strings.Contains(page, "the end is missing here") || body.Len() < whole*9/10 {
		t.Errorf("of %d bytes in parts %d are read; want a few, and that it says so", whole, whole-body.Len())
	}
}

// The text of a file is in the form when the API cannot take it, and when rows are bad.
func TestTheTextOfAFileIsKept(t *testing.T) {
	s := full()
	c := newTestConsole(t, s, admin)
	send := func() *httptest.ResponseRecorder {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		for name, value := range map[string]string{"saw": seal("bulk"), "product": "p", "until": "2026-12-24", "reason": "a new ship"} {
			_ = w.WriteField(name, value)
		}
		f, _ := w.CreateFormFile("file", "a.csv")
		fmt.Fprint(f, "user;machine\nada;WS-1\n")
		w.Close()
		r := httptest.NewRequest("POST", Base+"checkouts/bulk", &b)
		r.Header.Set("Content-Type", w.FormDataContentType())
		out := httptest.NewRecorder()
		c.ServeHTTP(out, r)
		return out
	}
	wants := func(what string, w *httptest.ResponseRecorder) {
		t.Helper()
		for _, want := range []string{">user;machine\nada;WS-1\n</textarea>", ">a new ship</textarea>", `value="2026-12-24"`, `<option value="p" selected>`} {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s, the form lacks %q: %s", what, want, w.Body)
			}
		}
	}
	s.problem = &api.Problem{Code: "no-quorum", Status: 503, Title: "No quorum"}
	wants("the API fails", send())
	s.problem = nil
	s.answers[api.PathCheckouts+"/bulk"] = api.BulkReport{Rows: 1, Bad: 1, Items: []api.BulkRow{{Row: 2, User: "ada", Machine: "WS-1", Reason: "user-unknown", Text: "Nobody is called so."}}}
	w := send()
	wants("a row is bad", w)
	if !strings.Contains(w.Body.String(), "Nobody is called so.") {
		t.Error("what is wrong with the row is not shown")
	}
}

// Who is signed in and sends too long a form is led back to the one that they have filled in,
// which their browser has: a link would open an empty one.
func TestAFormThatIsTooLargeIsStillInTheBrowser(t *testing.T) {
	c := newTestConsole(t, full(), admin)
	for lang, want := range map[string]string{"en": "Go back in your browser", "fr": "Revenez en arrière", "de": "Gehen Sie im Browser zurück"} {
		w := visitPage(c, "POST", "checkouts/bulk", lang, url.Values{"reason": {"a new ship"}, "csv": {strings.Repeat("x", maxForm)}})
		if page := w.Body.String(); w.Code != 400 || !strings.Contains(page, want) || strings.Contains(page, `href="`+Base+`checkouts/bulk"`) {
			t.Errorf("%s: %d; want %q, and no link to an empty form: %s", lang, w.Code, want, page)
		}
	}
}
