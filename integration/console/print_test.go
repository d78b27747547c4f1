package console

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"sitegate/emulator"
	"sitegate/integration"
)

// paper are the sheets that pages are printed on, in inches, with a browser's usual margins.
var paper = []struct {
	name          string
	width, height float64
}{{"A4", 8.27, 11.69}, {"Letter", 8.5, 11}}

const paperMargin = 0.4

// What is printed of reports and tables has no navigation, nothing that is there to be clicked
// on, and all columns, on each kind of paper.
func TestPagesArePrinted(t *testing.T) {
	t.Parallel()
	needs(t, "chromium")
	s := integration.NewSiteWithoutLinks(t, 1, 60)
	base := openDoor(t, s.Nodes[0]) + "/console/"
	if _, err := s.Client(t, emulator.UserA, "WS-7-in-a-room-with-a-long-name", 0).Start(t.Context(), emulator.ProductCapped); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Client(t, emulator.UserA, "WS-8", 0).Start(t.Context(), emulator.ProductCapped); err == nil {
		t.Fatal("another machine was let in")
	}
	if _, err := s.Client(t, emulator.UserB, "LAPTOP-3", 0).CheckOut(t.Context(), emulator.ProductCapped, time.Time{}); err != nil {
		t.Fatal(err)
	}
	p := newChromium(t, "").page(t)
	p.went(base + "refusals")
	p.shows("WS-8")
	for _, path := range []string{"", "refusals", "checkouts", "users", "machines", "licenses", "licenses/" + s.Cloud.Licenses()[0].ID, "capped", "usage", "usage/pooled", "report", "cluster", "connectivity", "settings", "audit"} {
		name := "print-" + strings.NewReplacer("/", "-").Replace(cmp.Or(path, "now"))
		p.sized(1280, "dark") // paper is white whatever the screen is
		p.went(base + path)
		for _, sheet := range paper {
			p.must(chromedp.EmulateViewport(int64((sheet.width-2*paperMargin)*96), int64((sheet.height-2*paperMargin)*96)))
			tell(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print", Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
			p.fits(name + " on " + sheet.name)
			var wrong []string
			p.run(`(() => {
				const wrong = [], wide = document.documentElement.clientWidth;
				for (const e of document.querySelectorAll("nav, button, summary, a.act, a.button")) {
					if (e.checkVisibility()) { wrong.push(e.outerHTML.slice(0, 100)) }
				}
				for (const e of document.querySelectorAll("main *")) {
					const r = e.getBoundingClientRect(), how = getComputedStyle(e);
					if (e.checkVisibility() && how.position !== "absolute" && (r.right > wide + 1 || r.left < -1 || (how.overflow !== "visible" && e.scrollWidth > e.clientWidth + 1))) {
						wrong.push("cut off: " + e.outerHTML.slice(0, 100));
					}
				}
				for (const e of document.querySelectorAll("main th, main td, main dd")) { // only what was there to be clicked on
					const says = e.textContent.trim(), acts = [...e.querySelectorAll(".act")].map(a => a.textContent.trim()).join(" ");
					if (!e.checkVisibility() && says !== acts && says !== "Action") { wrong.push("not seen: " + e.outerHTML.slice(0, 100)) }
				}
				if (getComputedStyle(document.body).backgroundColor !== "rgb(255, 255, 255)") { wrong.push("the paper is " + getComputedStyle(document.body).backgroundColor) }
				return wrong.slice(0, 10);
			})()`, &wrong)
			if len(wrong) > 0 {
				t.Errorf("%s on %s has %q", name, sheet.name, wrong)
			}
		}
		p.pictured(name)
	}

	// What a list was searched for is printed with it, and times as they are everywhere.
	p.sized(1280, "light")
	p.went(base)
	p.fills("q", "laptop")
	p.shows("1 found of 2")
	tell(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	var field bool
	var since string
	p.run(`document.getElementById("q").checkVisibility()`, &field)
	p.run(`getComputedStyle(document.querySelector("tbody time"), "::after").content`, &since)
	if !field || !strings.Contains(since, " UTC") {
		t.Errorf("of a list that was searched in, what was searched for is printed: %v; a time is %s", field, since)
	}
}
