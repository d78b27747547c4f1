package console

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"

	"sitegate/api"
	"sitegate/endpoint/console"
	"sitegate/integration"
)

// moving is a site that is another with each turn: it answers the console as the API does,
// and says in its event stream that something has happened.
type moving struct {
	at      time.Time // when all of it is
	mu      sync.Mutex
	turn    int
	streams map[chan struct{}]bool
	posts   int
	out     bool          // nobody is signed in
	name    string        // who is otherwise; empty: ida
	held    chan struct{} // what is posted is answered when it is closed
}

func (m *moving) now() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.turn
}

// next makes something happen.
func (m *moving) next() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn++
	for c := range m.streams {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (m *moving) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	turn := m.now()
	var answer any
	switch r.URL.Path {
	case api.PathSiteEvents:
		m.stream(w, r)
		return
	case api.PathStatus:
		s := api.Status{Node: "n1", Version: fmt.Sprint("1.", turn/50), Time: m.at, Mirror: api.MirrorStatus{Filled: true}, Link: api.LinkState{State: api.LinkUp, Since: m.at},
			Usage: api.UsageStatus{Backlog: api.BacklogOK}, Cluster: api.ClusterStatus{Leader: "n1", Members: []api.Member{{Name: "n1", Voter: true}}}}
		if turn%3 == 1 {
			s.Lockouts = []api.Lockout{{Node: "n1", Proxy: fmt.Sprint("proxy-", turn)}}
		}
		if turn%5 == 1 {
			s.Bypass = &api.Bypass{Since: m.at, Until: m.at.Add(time.Minute), By: "ida", Note: fmt.Sprint("turn ", turn)}
		}
		answer = s
	case api.PathOpen:
		l := api.OpenList{Total: turn % 40, All: turn % 40}
		for i := range l.Total {
			n := turn - i // those of before stay for a while, one comes and one goes
			l.Items = append(l.Items, api.Open{ID: fmt.Sprintf("0197a5b2-7c4e-7d1a-9f00-%012d", n), Kind: "session", User: fmt.Sprint("u-", n), Name: fmt.Sprint("User ", n), Product: "p", ProductName: "Road", Capped: "yes",
				LicenseType: "Practitioner", Machine: api.Machine{ID: fmt.Sprint("m-", n), Name: fmt.Sprint("WS-", n)}, Since: m.at.Add(-time.Hour), Provisional: n%4 == 0})
		}
		answer = l
	case api.PathProducts:
		l := api.List[api.ProductUse]{}
		for i := range 3 + turn%4 { // another one in front, and more of them
			n := i + turn%2
			l.Items = append(l.Items, api.ProductUse{Product: fmt.Sprint("p-", n), Name: fmt.Sprint("Product ", n), Capped: "yes", Owned: 10, InUse: 1 + (turn+i)%9, Sessions: i})
		}
		answer = l
	case api.PathTrend:
		answer = api.List[api.TrendMark]{Items: []api.TrendMark{{At: m.at.Add(-time.Hour), Sessions: turn}, {At: m.at, Sessions: turn + 1}}}
	case api.PathDoctor:
		m.mu.Lock()
		m.posts++
		held := m.held
		m.mu.Unlock()
		select {
		case <-held:
		case <-r.Context().Done():
		}
		answer = api.DoctorReport{Node: "n1", Checks: []api.DoctorCheck{{Step: "dns", State: api.CheckPass, Found: "it is found"}}}
	case api.PathSettings:
		answer = api.SiteSettings{}
	case api.PathRefusals:
		answer = api.SiteRefusalList{}
	case api.PathBypass:
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		w.WriteHeader(http.StatusNotFound)
		answer = api.Problem{Code: api.CodeNotFound, Status: 404, Title: "Not there", Detail: r.URL.Path}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (m *moving) stream(w http.ResponseWriter, r *http.Request) {
	c := make(chan struct{}, 1)
	m.mu.Lock()
	m.streams[c] = true
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.streams, c)
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	said := "hello"
	for {
		fmt.Fprintf(w, "event: %s\ndata: {}\n\n", said)
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		said = "site"
		select {
		case <-c:
		case <-r.Context().Done():
			return
		}
	}
}

// newMoving serves the console of such a site.
func newMoving(t *testing.T) (*moving, string) {
	t.Helper()
	m := &moving{at: time.Now(), turn: 45, streams: map[chan struct{}]bool{}, held: make(chan struct{})}
	c, err := console.New(console.Config{API: m, Logger: slog.New(slog.DiscardHandler), Who: func(*http.Request) (console.Administrator, *api.Problem) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.out {
			return console.Administrator{}, &api.Problem{Code: api.CodeUnauthorized, Status: 401, Title: "Not signed in"}
		}
		return console.Administrator{Name: cmp.Or(m.name, "ida"), Role: console.Admin}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(c)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return m, s.URL + console.Base
}

// hasty lets a page's time pass twenty times as fast, so that it fetches itself anew as often in
// half a minute as otherwise in ten; and counts how often it has.
const hasty = `(() => {
	const now = performance.now.bind(performance), later = setTimeout.bind(window), get = fetch.bind(window);
	performance.now = () => 20 * now();
	window.setTimeout = (f, ms, ...more) => later(f, (ms || 0) / 20, ...more);
	window.fetched_ = 0;
	window.fetch = (...of) => get(...of).finally(() => { window.fetched_++; });
})()`

// whole is what a page is, as far as it must be like one that was just opened: how many nodes it
// has, and its texts; not what its own scripts write into it.
const whole = `(() => {
	const copy = document.documentElement.cloneNode(true);
	for (const x of copy.querySelectorAll("#live, #foot time, script")) { x.remove(); } // the foot has when the page was made
	for (const x of copy.querySelectorAll("time")) { x.textContent = x.dateTime.slice(0, 13); x.removeAttribute("title"); }
	for (const x of copy.querySelectorAll(".new")) { x.removeAttribute("class"); }
	let nodes = 0;
	for (const walk = document.createTreeWalker(copy); walk.nextNode();) { nodes++; }
	return {nodes, text: copy.textContent.replace(/\s+/g, " "), chosen: [...document.querySelectorAll("select")].map(s => s.value).join()};
})()`

type pageIs struct {
	Nodes  int
	Text   string
	Chosen string
}

// A page that hundreds of updates have gone through is what the server would show now, with as
// many nodes and the same texts: alerts, what introduces it, choices and the foot, too.
func TestAPageLeftOpenStaysRightAndSmall(t *testing.T) {
	t.Parallel()
	needs(t, "chromium")
	const updates = 300
	m, base := newMoving(t)
	browser := newChromium(t, "")
	for _, of := range []struct{ path, shows string }{{"", "WS-"}, {"connectivity", "Last contact"}} {
		left, fresh := browser.page(t), browser.page(t)
		tell(left, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: hasty})
		left.went(base + of.path)
		left.shows("Live", of.shows)
		if of.path == "" { // somebody has chosen a product, and has the focus there
			left.run(`(() => { const s = document.getElementById("f-product"); s.focus(); s.value = "p-2"; s.dispatchEvent(new Event("input", {bubbles: true})); })()`, nil)
		}
		for done := 0; done < updates; {
			for range 50 {
				var before, after int
				left.run(`fetched_`, &before)
				m.next()
				integration.Eventually(t, patience, "the page is fetched anew", func() error {
					if err := left.eval(`fetched_`, &after); err != nil || after == before {
						return fmt.Errorf("%d times, %w", after, err)
					}
					return nil
				})
				done++
			}
			var is, want pageIs
			var at string
			left.run(`location.href`, &at)
			fresh.went(at)
			integration.Eventually(t, patience, fmt.Sprintf("after %d updates %q is like one that was just opened", done, of.path), func() error {
				if err := left.eval(whole, &is); err != nil {
					return err
				}
				if err := fresh.eval(whole, &want); err != nil {
					return err
				}
				if is != want {
					return fmt.Errorf("it has %d nodes, %q and the choices %q; want %d, %q and %q", is.Nodes, is.Text, is.Chosen, want.Nodes, want.Text, want.Chosen)
				}
				return nil
			})
			if turn := m.now(); of.path == "connectivity" && turn%3 == 1 && !strings.Contains(is.Text, fmt.Sprint("proxy-", turn)) {
				t.Errorf("the alert of turn %d is not shown: %q", turn, is.Text)
			}
		}
		if of.path == "" {
			var focus string
			if left.run(`document.activeElement.id`, &focus); focus != "f-product" {
				t.Errorf("the focus has gone to %q", focus)
			}
		}
		t.Logf("%q was fetched %d times", of.path, updates)
	}
}

// A form that was sent says that it is under way, and is not sent twice.
func TestAFormThatWasSentSaysSo(t *testing.T) {
	t.Parallel()
	needs(t, "chromium")
	m, base := newMoving(t)
	p := newChromium(t, "").page(t)
	p.went(base + "connectivity/doctor")
	var busy struct {
		Form, Button bool
		Says         string
	}
	p.run(`new Promise(resolve => {
		const form = document.querySelector("form.act-form");
		form.requestSubmit();
		form.requestSubmit();
		setTimeout(() => resolve({form: form.getAttribute("aria-busy") === "true", button: form.querySelector("button").disabled, says: document.getElementById("busy").innerText}), 100);
	})`, &busy)
	if !busy.Form || !busy.Button || !strings.Contains(busy.Says, "The way out is being examined") {
		t.Errorf("while it is under way the form is %+v", busy)
	}
	close(m.held)
	p.shows("it is found")
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.posts != 1 {
		t.Errorf("it was sent %d times", m.posts)
	}
}

// Who must sign in anew in the middle of an act finds in the form, when they are back, what they
// had written; once it was taken it is there no more. Who signs in after somebody else finds
// nothing of theirs, and neither does the form of another machine.
func TestWhatWasWrittenIsThereAfterASignIn(t *testing.T) {
	t.Parallel()
	needs(t, "chromium")
	m, base := newMoving(t)
	signed := func(out bool) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.out = out
	}
	named := func(name string) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.name = name
	}
	p := newChromium(t, "").page(t)
	form := "rollout/bypass"
	const send = `document.querySelector("form.act-form").requestSubmit()`
	has := func(want string) {
		t.Helper()
		p.went(base + form)
		var is string
		if p.run(`document.getElementById("i-reason").value`, &is); is != want {
			t.Errorf("the form has %q, want %q", is, want)
		}
	}
	has("")
	p.run(`document.getElementById("i-reason").value = "the vendor's cloud\nrefuses everybody"`, nil)
	signed(true)
	p.run(send, nil)
	p.shows("You are not signed in", "the vendor's cloud\nrefuses everybody")
	signed(false)
	has("the vendor's cloud\nrefuses everybody")
	p.run(send, nil)
	p.shows("The bypass lasts for fifteen minutes")
	has("")
	interrupted := func(text string) {
		t.Helper()
		p.run(`document.getElementById("i-reason").value = "`+text+`"`, nil)
		signed(true)
		p.run(send, nil)
		p.shows("You are not signed in", text)
		signed(false)
	}
	interrupted("what only ida is to read")
	named("ivo")
	has("")
	named("ida")
	has("")
	form = "rollout/bypass?name=WS-1"
	has("")
	interrupted("WS-1 was stolen")
	form = "rollout/bypass?name=WS-2"
	has("")
}
