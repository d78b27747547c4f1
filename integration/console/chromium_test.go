package console

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"sitegate/integration"
)

// patience is how long anything may take on a busy machine.
const patience = 60 * time.Second

// chromium is a running browser.
type chromium struct{ ctx context.Context }

// newChromium starts one that finds its way by a PAC file, if there is one, and takes
// certificates of these keys for those of any host. It ends with the test.
func newChromium(t *testing.T, pac string, trusted ...*x509.Certificate) chromium {
	t.Helper()
	var pins []string
	for _, c := range trusted {
		sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
		pins = append(pins, base64.StdEncoding.EncodeToString(sum[:]))
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(needs(t, "chromium")), chromedp.WSURLReadTimeout(patience), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true), chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"), chromedp.Flag("ignore-certificate-errors-spki-list", strings.Join(pins, ",")),
		chromedp.Flag("no-proxy-server", pac == ""))
	if pac != "" {
		options = append(options, chromedp.Flag("proxy-pac-url", pac))
	}
	ctx, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ = chromedp.NewContext(ctx) // ends with the one that it is of
	t.Cleanup(func() {
		defer end()
		inTime, stop := context.WithTimeout(ctx, patience)
		defer stop()
		if err := chromedp.Cancel(inTime); err != nil { // it removes its files where it is not killed
			t.Logf("chromium does not end by itself: %v", err)
		}
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return chromium{ctx}
}

// page is one of a browser's.
type page struct {
	t   *testing.T
	ctx context.Context
}

func (b chromium) page(t *testing.T) *page {
	t.Helper()
	ctx, end := chromedp.NewContext(b.ctx)
	t.Cleanup(end)
	if err := chromedp.Do(ctx); err != nil { // without a limit: a page ends with what it was first told by
		t.Fatal(err)
	}
	return &page{t, ctx}
}

// must has the browser do something with the page.
func (p *page) must(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, end := context.WithTimeout(p.ctx, patience)
	defer end()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// tell has the browser carry out a command that is about the page.
func tell[P, R any](p *page, command cdp.Command[P, R], params P) R {
	p.t.Helper()
	ctx, end := context.WithTimeout(p.ctx, patience)
	defer end()
	result, err := chromedp.Call(ctx, command, params)
	if err != nil {
		p.t.Fatalf("%s: %v", command.Method, err)
	}
	return result
}

// What the browser says of a websocket that was answered with 403 and with 401.
const (
	saysForbidden    = "Error during WebSocket handshake: Unexpected response code: 403"
	saysUnauthorized = "HTTP Authentication failed; no valid credentials available"
)

// isRefused wants an expression that opens a websocket to fail for a reason, which a page is
// not told, but the browser is.
func (p *page) isRefused(what, expression, want string) {
	p.t.Helper()
	ctx, end := context.WithCancel(p.ctx)
	defer end()
	told := make(chan string, 10)
	if err := chromedp.Listen(ctx, func(event any) {
		if e, is := event.(*network.EventWebSocketFrameError); is {
			told <- e.ErrorMessage
		}
	}); err != nil {
		p.t.Fatal(err)
	}
	tell(p, network.Enable, network.EnableParams{})
	if err := p.eval(expression, nil); err == nil || !strings.Contains(err.Error(), "the websocket fails") {
		p.t.Errorf("%s: the page is told %v, want that the websocket fails", what, err)
	}
	select {
	case got := <-told:
		if got != want {
			p.t.Errorf("%s: the browser is told %q, want %q", what, got, want)
		}
	case <-time.After(patience):
		p.t.Errorf("%s: the browser is told nothing, want %q", what, want)
	}
}

// open goes to a URL, and returns what keeps it from there, as net::ERR_…; empty: nothing.
func (p *page) open(url string) string {
	p.t.Helper()
	return tell(p, cdppage.Navigate, cdppage.NavigateParams{URL: url}).ErrorText
}

// eval is what an expression, or the promise that it is, comes to.
func (p *page) eval(expression string, into any) error {
	ctx, end := context.WithTimeout(p.ctx, patience)
	defer end()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[[]byte](expression, chromedp.EvalAwaitPromise))
	if err != nil || into == nil || len(value) == 0 {
		return err
	}
	return json.Unmarshal(value, into)
}

// run is eval that must work.
func (p *page) run(expression string, into any) {
	p.t.Helper()
	if err := p.eval(expression, into); err != nil {
		p.t.Fatalf("%.200s: %v", expression, err)
	}
}

// text is what the page shows, once it is there.
func (p *page) text() (text string, err error) {
	err = p.eval(`document.readyState === "complete" ? document.title + "\n" + document.body.innerText : ""`, &text)
	return text, err
}

// lacks says what is not in a text.
func lacks(text string, these []string) error {
	for _, s := range these {
		if !strings.Contains(text, s) {
			return fmt.Errorf("it shows %q", text)
		}
	}
	return nil
}

// shows waits until the page's text, or that of the one that it goes on to, has all of these.
func (p *page) shows(these ...string) {
	p.t.Helper()
	integration.Eventually(p.t, patience, fmt.Sprintf("the page shows %q", these), func() error {
		text, err := p.text()
		if err != nil {
			return err
		}
		return lacks(text, these)
	})
}
