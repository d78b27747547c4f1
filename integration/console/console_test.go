package console

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"sitegate/api"
	"sitegate/emulator"
	"sitegate/integration"
)

// picturesEnv is the folder that pictures of the console's pages are kept in; none: they are
// not kept. axeEnv is axe-core's script, which looks for what keeps people out.
const (
	picturesEnv = "SITEGATE_TEST_PICTURES"
	axeEnv      = "SITEGATE_TEST_AXE"
)

// openDoor brings a node's operator's socket to a browser, which cannot open it: whoever
// comes that way administers.
func openDoor(t *testing.T, n *integration.Node) (url string) {
	t.Helper()
	socket := filepath.Join(filepath.Dir(n.Config), "data", "operator.sock")
	way := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	s := httptest.NewServer(&httputil.ReverseProxy{Transport: way, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = "http", "operator"
		r.Out.Host = r.In.Host
	}})
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		way.CloseIdleConnections()
	})
	return s.URL
}

// sized makes the window that wide, and light or dark.
func (p *page) sized(width int64, scheme string) {
	p.t.Helper()
	p.must(chromedp.EmulateViewport(width, 900))
	tell(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
}

// went goes to a page of the console and waits until it is there.
func (p *page) went(url string) {
	p.t.Helper()
	if e := p.open(url); e != "" {
		p.t.Fatalf("%s: %s", url, e)
	}
	integration.Eventually(p.t, patience, url+" is there", func() error {
		var at string
		if err := p.eval(`document.readyState === "complete" && document.querySelector("main h1") ? location.href : ""`, &at); err != nil || at == "" {
			return fmt.Errorf("it is not, %w", err)
		}
		return nil
	})
}

// presses presses keys, one after the other: letters, and those of kb.
func (p *page) presses(keys string) {
	p.t.Helper()
	p.must(chromedp.KeyEvent(keys))
}

// tabsTo presses Tab until what has the focus has a text.
func (p *page) tabsTo(text string) {
	p.t.Helper()
	var seen []string
	for range 80 {
		p.presses(kb.Tab)
		var has string
		p.run(`(e => e ? (e.getAttribute("aria-label") || e.innerText || e.name || "") : "")(document.activeElement)`, &has)
		if strings.TrimSpace(has) == text {
			return
		}
		seen = append(seen, strings.TrimSpace(has))
	}
	p.t.Fatalf("the keyboard does not get to %q; it gets to %q", text, seen)
}

// pictured keeps a picture of the whole page.
func (p *page) pictured(name string) {
	p.t.Helper()
	folder := os.Getenv(picturesEnv)
	if folder == "" {
		return
	}
	shot, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), shot, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// looks are how a page is looked at: on a desk, by night, on a telephone, on a wall.
var looks = []struct {
	name, scheme string
	width        int64
}{{"light", "light", 1280}, {"dark", "dark", 1280}, {"narrow", "light", 360}, {"wide", "dark", 2560}}

// looked sees that the page that is shown is good to look at, in each way, keeps pictures of
// it, and leaves it as it was.
func (p *page) looked(name string) {
	p.t.Helper()
	for _, look := range looks {
		p.sized(look.width, look.scheme)
		p.fits(name + " at " + fmt.Sprint(look.width) + " px")
		p.pictured(name + "-" + look.name)
		p.isOpenToAll(name + " " + look.name)
	}
	p.sized(1280, "light")
}

// fits sees that nothing of the page is cut off, or to be scrolled to sideways.
func (p *page) fits(what string) {
	p.t.Helper()
	var sideways int
	p.run(`document.documentElement.scrollWidth - document.documentElement.clientWidth`, &sideways)
	if sideways > 0 {
		p.t.Errorf("%s is %d px too wide", what, sideways)
	}
}

// isOpenToAll has axe-core look at the page, by the rules of levels A and AA.
func (p *page) isOpenToAll(name string) {
	p.t.Helper()
	script := os.Getenv(axeEnv)
	if script == "" {
		return
	}
	axe, err := os.ReadFile(script)
	if err != nil {
		p.t.Fatal(err)
	}
	p.run(string(axe)+"; true", nil)
	var found []struct {
		ID, Help string
		Nodes    []struct {
			HTML           string
			FailureSummary string
		}
	}
	p.run(`axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}).then(r => r.violations)`, &found)
	for _, f := range found {
		for _, n := range f.Nodes {
			p.t.Errorf("%s: %s (%s) of %.300s: %s", name, f.Help, f.ID, n.HTML, n.FailureSummary)
		}
	}
}

type consolePage struct{ path, shows string }

// consolePages are all pages, and what each must show of the site that the test makes.
var consolePages = []consolePage{
	{"", "Sessions and checkouts"}, {"products", "Products owned and in use"}, {"refusals", "What they were told"}, {"checkouts", "Check out for many"}, {"users", "Country"}, {"users/" + emulator.UserA, "History"},
	{"machines", "WS-7"}, {"machine?name=WS-7", "Open here"}, {"licenses", "never used"}, {"licenses?state=unassigned", "its year runs on"}, {"capped", "Download CSV"},
	{"usage", "Records waiting"}, {"usage/pooled", "no pooled use could have been"}, {"usage/refused", "refuses no usage record"}, {"usage/audit", "nothing twice"}, {"report", "What became of the licenses"}, {"rollout", "Would have been refused"}, {"rollout/counts", "0 since"}, {"rollout/bypass", "The vendor’s cloud still decides"},
	{"cluster", "node1"}, {"cluster/backup/file", "sitegate backup verify"}, {"connectivity", "Last contact"}, {"settings", "waits for a restart"},
	{"audit", "Last hash"}, {"audit/verify", "The audit trail holds."}, {"connectivity/doctor", "which hop is to blame"}, {"settings/reload", "What is open stays open"},
	{"checkouts/bulk", "Every row is checked first"}, {"cluster/join", "It is shown once"}, {"users/" + emulator.UserA + "/block", "What this does"}, {"mirror/import", "follows the cloud’s feed"},
	{"cluster/nodes/node1/drain", "What this does"}, {"cluster/step-down", "What this does"}, {"cluster/nodes/node2/remove", "What this does"}, {"cluster/backup", "Back up now"},
	{"rollout/bypass/over", "No bypass lasts"}, {"usage/resend", "nothing to be sent again"}, {"nowhere", "There is no such page"},
}

// The console is light and can be used by everybody, on every screen, by the keyboard alone and
// in their language.
func TestTheConsole(t *testing.T) {
	t.Parallel()
	needs(t, "chromium")
	s := integration.NewSiteWithoutLinks(t, 3, 60)
	leader := s.Leader(t)
	base := openDoor(t, s.Nodes[(leader+1)%3]) + "/console/"
	p := newChromium(t, "").page(t)
	p.sized(1280, "light")
	p.went(base)
	p.shows("Nobody is active", "3 of 3 nodes")
	p.pictured("now-empty")

	desk := s.Client(t, emulator.UserA, "WS-7", leader)
	working, err := desk.Start(t.Context(), emulator.ProductCapped)
	if err != nil {
		t.Fatal(err)
	}
	p.shows("WS-7")
	if _, err := s.Client(t, emulator.UserA, "WS-8", leader).Start(t.Context(), emulator.ProductCapped); err == nil {
		t.Fatal("another machine was let in")
	}
	other := s.Client(t, emulator.UserB, "LAPTOP-3", leader)
	out, err := other.CheckOut(t.Context(), emulator.ProductCapped, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	p.shows("LAPTOP-3", "checkout")

	// Typing narrows the list, and a name that is no name finds nothing and does nothing.
	p.run(`document.getElementById("q").focus()`, nil)
	p.presses("laptop")
	p.shows("1 found of 2")
	p.run(`document.getElementById("q").value = ""`, nil)
	p.presses(`<img src=x onerror=alert(1)>"'`)
	p.shows("Nothing matches")

	for _, x := range append(slices.Clone(consolePages), consolePage{"licenses/" + s.Cloud.Licenses()[0].ID, "Last used"}, consolePage{"licenses/" + s.Cloud.Licenses()[0].ID + "/move", "then it is locked for 30 days"},
		consolePage{"sessions/" + working.ID + "/free", "Work that was not saved"}, consolePage{"checkouts/" + out.ID + "/write-off", "What this does"}) {
		name := strings.NewReplacer("/", "-", "?", "-", "=", "-").Replace(x.path)
		if name == "" {
			name = "now"
		}
		p.sized(1280, "light")
		p.went(base + x.path)
		p.shows(x.shows)
		p.isLight(name)
		p.looked(name)
	}

	// By keyboard alone: to the refusals, and from there the machine that is in the way is freed.
	p.sized(1280, "light")
	p.went(base)
	p.presses(kb.Tab)
	var first string
	p.run(`document.activeElement.innerText`, &first)
	if first != "Skip to the content" {
		t.Errorf("the first that the keyboard gets to is %q", first)
	}
	p.tabsTo("Refusals")
	p.presses(kb.Enter)
	p.shows("WS-8", "Free WS-7")
	p.tabsTo("Free WS-7")
	p.presses(kb.Enter)
	p.shows("What this does", "Work that was not saved")
	p.tabsTo("reason")
	p.presses("she is on leave" + kb.Tab + kb.Enter)
	p.shows("The machine was told to let go.")
	if all := asks[api.OpenList](t, s, s.Nodes[leader], api.PathOpen+"?machine=WS-7").Items; len(all) > 0 && (all[0].Ending == nil || all[0].Ending.Reason != "released") {
		t.Errorf("after the machine was freed there is %+v", all)
	}
	p.went(base + "users/" + emulator.UserA)
	p.shows("Show the history")
	p.tabsTo("reason")
	p.presses("ticket 4711" + kb.Enter)
	p.shows("was ended by")

	// Something else has happened since a form was opened: nothing is done, and it is said.
	p.went(base + "users/" + emulator.UserB + "/block")
	p.fills("reason", "the laptop was stolen")
	p.other(base+"users/"+emulator.UserB+"/block", "she has left")
	p.clicks("Block")
	p.shows("the laptop was stolen")
	p.looked("form-stale")

	p.speaks(base)

	// Most nodes are gone: each page says so, and an act that cannot be decided keeps what was written.
	p.went(base + "language?to=en&back=/console/")
	for i, n := range s.Nodes {
		if i != (leader+1)%3 {
			n.Kill()
		}
	}
	p.shows("no leader")
	p.looked("now-without-a-leader")
	p.went(base + "users/" + emulator.UserA + "/block")
	p.fills("reason", "the laptop was stolen")
	p.clicks("Block")
	p.shows(undecided)
	var kept string
	p.run(`document.querySelector("[name=reason]").value`, &kept)
	if kept != "the laptop was stolen" {
		t.Errorf("after an act that could not be decided the form has the reason %q", kept)
	}
	p.looked("form-undecided")
}

// isLight sees that a page with all that comes with it is no more than 150 KB.
func (p *page) isLight(name string) {
	p.t.Helper()
	var bytes int
	p.run(`performance.getEntries().filter(e => e.encodedBodySize && e.initiatorType !== "fetch").reduce((n, e) => n + e.encodedBodySize, 0)`, &bytes)
	if bytes < 1<<10 || bytes > 150<<10 {
		p.t.Errorf("%s weighs %d bytes", name, bytes)
	}
	p.t.Logf("%s weighs %d bytes with all that comes with it", name, bytes)
}

// speaks sees that the page is in the language that was chosen on it.
func (p *page) speaks(base string) {
	p.t.Helper()
	for lang, text := range map[string]string{"fr": "Sessions et emprunts", "de": "Sitzungen und Ausleihen"} {
		p.went(base + "language?to=" + lang + "&back=/console/")
		p.shows(text)
		var is string
		p.run(`document.documentElement.lang`, &is)
		if is != lang {
			p.t.Errorf("a page in %s says that it is in %s", lang, is)
		}
	}
}

// other has somebody else send a form meanwhile.
func (p *page) other(url, reason string) {
	p.t.Helper()
	var status int
	p.run(fmt.Sprintf(`(async () => {
		const form = new DOMParser().parseFromString(await (await fetch(%q)).text(), "text/html").querySelector(".act-form form, form.act-form");
		const filled = new URLSearchParams(new FormData(form));
		filled.set("reason", %q);
		return (await fetch(%q, {method: "POST", body: filled})).status;
	})()`, url, reason, url), &status)
	if status != 200 {
		p.t.Fatalf("another form at %s: %d", url, status)
	}
}
