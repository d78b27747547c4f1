package console

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"sitegate/integration"
)

// clicks clicks, as a mouse does, on the first link, button or the like that is called so.
func (p *page) clicks(name string) {
	p.t.Helper()
	var at *struct{ X, Y float64 }
	integration.Eventually(p.t, patience, fmt.Sprintf("there is %q to click on", name), func() error {
		var there []string
		if err := p.eval(`[...document.querySelectorAll("a, button")].filter(e => e.checkVisibility()).map(e => e.getAttribute("aria-label") || e.innerText.trim())`, &there); err != nil {
			return err
		}
		err := p.eval(fmt.Sprintf(`(name => {
			const e = [...document.querySelectorAll("a, button")].find(e => e.checkVisibility() && (e.getAttribute("aria-label") || e.innerText.trim()) === name);
			if (!e || e.disabled) { return null }
			e.scrollIntoView({block: "center"});
			const r = e.getClientRects()[0];
			return {X: r.x + r.width / 2, Y: r.y + r.height / 2};
		})(%q)`, name), &at)
		if err == nil && at == nil {
			err = fmt.Errorf("there is %q", there)
		}
		return err
	})
	p.must(chromedp.MouseClickXY(at.X, at.Y))
}

// fills writes into a field of a form, or chooses in it.
func (p *page) fills(name, text string) {
	p.t.Helper()
	var write bool
	p.run(fmt.Sprintf(`((name, text) => {
		const e = document.querySelector("main").querySelector('[name="' + name + '"]:not([type=hidden])');
		e.focus();
		if (e.tagName !== "SELECT" && e.type !== "date") { e.select(); return true }
		e.value = text;
		if (e.value !== text) { throw new Error("it cannot be " + text) }
		e.dispatchEvent(new Event("input", {bubbles: true}));
		return false;
	})(%q, %q)`, name, text), &write)
	if write {
		tell(p, input.InsertText, input.InsertTextParams{Text: text})
	}
}

// undecided is what a page says where most nodes do not reach each other just then, as may be
// on a busy machine.
const undecided = "The site cannot decide now"

// sends sends a form, and waits for what comes of it. Where nothing can be decided it does so
// again, as a person would.
func (p *page) sends(do string, done ...string) {
	p.t.Helper()
	p.clicks(do)
	integration.Eventually(p.t, patience, fmt.Sprintf("after %q the page shows %q", do, done), func() error {
		text, err := p.text()
		if err != nil {
			return err
		}
		if strings.Contains(text, undecided) {
			p.clicks(do)
			return errors.New(undecided)
		}
		return lacks(text, done)
	})
}

// acts goes from a page to an act's form, which says what the act does, fills it, and sends it.
func (p *page) acts(open, do, done string, fields ...string) {
	p.t.Helper()
	p.clicks(open)
	p.shows("What this does")
	for i := 0; i+1 < len(fields); i += 2 {
		p.fills(fields[i], fields[i+1])
	}
	p.sends(do, done)
}

// downloads is the file that comes of a click.
func (p *page) downloads(name string) (path, content string) {
	p.t.Helper()
	folder := p.t.TempDir()
	tell(p, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: folder})
	p.clicks(name)
	integration.Eventually(p.t, patience, name+" gives a file", func() error {
		all, err := os.ReadDir(folder)
		if err != nil || len(all) != 1 || strings.HasPrefix(all[0].Name(), ".") || strings.HasSuffix(all[0].Name(), ".crdownload") {
			return fmt.Errorf("there is %v, %w", all, err)
		}
		path = filepath.Join(folder, all[0].Name())
		b, err := os.ReadFile(path)
		content = string(b)
		return err
	})
	return path, content
}

// asks is what a node answers to a path of the API.
func asks[T any](t *testing.T, s *integration.Site, n *integration.Node, path string) (answer T) {
	t.Helper()
	if err := s.Ask(n, path, &answer); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return answer
}
