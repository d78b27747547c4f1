package console

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	cdppage "github.com/chromedp/cdproto/page"

	"sitegate/api"
	"sitegate/emulator"
	"sitegate/integration"
)

// listener is what a page does to hear of things: connect keeps what comes in frames.
const listener = `
window.frames_ = [];
window.connect = (token, query) => new Promise((resolve, reject) => {
  const encoded = btoa(token).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const ws = new WebSocket("wss://" + location.host + "/v1/notices?" + new URLSearchParams(query), ["sitegate.notices.v1", "sitegate.bearer." + encoded]);
  ws.onopen = () => resolve(ws.protocol);
  ws.onmessage = e => frames_.push(JSON.parse(e.data));
  ws.onerror = () => reject(new Error("the websocket fails"));
  ws.onclose = e => { window.closed_ = e.code; };
  window.ws_ = ws;
});
window.stream = async (token) => {
  const answer = await fetch("/v1/notices/events", {headers: {Authorization: "Bearer " + token}});
  if (!answer.ok) { return answer.status; }
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  (async () => {
    let text = "";
    for (;;) {
      const {value, done} = await reader.read();
      if (done) { return; }
      text += value;
      const events = text.split("\n\n");
      text = events.pop();
      for (const e of events) {
        const data = e.split("\n").filter(l => l.startsWith("data: ")).map(l => l.slice(6)).join("\n");
        if (data) { frames_.push(JSON.parse(data)); }
      }
    }
  })();
  return answer.status;
};
true`

// hears waits until a page has heard a frame of which all is true.
func (p *page) hears(what, condition string) {
	p.t.Helper()
	integration.Eventually(p.t, patience, what, func() error {
		var all []api.Frame
		var found bool
		if err := p.eval(fmt.Sprintf(`frames_.some(f => %s)`, condition), &found); err != nil {
			return err
		}
		if found {
			return nil
		}
		if err := p.eval(`frames_`, &all); err != nil {
			return err
		}
		return fmt.Errorf("it has heard %d frames: %+v", len(all), all)
	})
}

// A page of a node's own origin hears of things by websocket and as an event stream,
// with a token that is in no URL; after a cut it hears what it has missed.
func TestAPageHearsOfThings(t *testing.T) {
	t.Parallel()
	needs(t, "chromium")
	s := integration.NewSiteWithoutLinks(t, 1, 20)
	n := s.Nodes[0]
	link := integration.NewLink(t, strings.TrimPrefix(n.URL, "https://"))
	origin := "https://" + link.Addr()
	c, err := tls.Dial("tcp", strings.TrimPrefix(n.URL, "https://"), &tls.Config{RootCAs: s.CA, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	certificate := c.ConnectionState().PeerCertificates[0]
	c.Close()
	b := newChromium(t, "", certificate)
	token, administrator := s.Token(t, emulator.UserA), s.Token(t, emulator.UserAdmin)
	desk := s.Client(t, emulator.UserA, "WS-7", 0)
	start := func() string {
		t.Helper()
		x, err := desk.Start(t.Context(), emulator.ProductCapped)
		if err != nil {
			t.Fatal(err)
		}
		id := x.ID
		if err := x.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		return id
	}

	p := b.page(t)
	tell(p, cdppage.SetBypassCSP, cdppage.SetBypassCSPParams{Enabled: true}) // what a node answers at /healthz may do nothing in a browser; a site's own page may
	if e := p.open(origin + "/healthz"); e != "" {
		t.Fatal(e)
	}
	p.run(listener, nil)
	query := `{machine: "browser-1", name: "BROWSER", instance: "i-1", lang: "en"%s}`
	var protocol string
	p.run(fmt.Sprintf(`connect(%q, `+query+`)`, token, ""), &protocol)
	if protocol != api.NoticesProtocol {
		t.Errorf("the node chose %q", protocol)
	}
	p.hears("the greeting", `f.type === "hello" && !f.hello.recovered`)
	id := start()
	p.hears("what happens", fmt.Sprintf(`f.type === "notice" && f.notice.kind === "granted" && f.notice.id === %q`, id))

	link.Cut()
	integration.Eventually(t, patience, "the page notices the cut", func() error {
		var code int
		if err := p.eval(`window.closed_ || 0`, &code); err != nil || code == 0 {
			return fmt.Errorf("%d, %w", code, err)
		}
		return nil
	})
	missed := start()
	link.Mend()
	var since, cluster string
	p.run(`(() => { const n = frames_.filter(f => f.notice).at(-1).notice; return n.epoch + ":" + n.seq })()`, &since)
	p.run(`frames_.find(f => f.hello).hello.cluster`, &cluster)
	p.run(`frames_.length = 0`, nil)
	integration.Eventually(t, patience, "the page is back", func() error {
		return p.eval(fmt.Sprintf(`connect(%q, `+query+`)`, token, fmt.Sprintf(", since: %q, cluster: %q", since, cluster)), nil)
	})
	p.hears("that nothing is lost", `f.type === "hello" && f.hello.recovered`)
	p.hears("what it has missed", fmt.Sprintf(`f.type === "notice" && f.notice.kind === "granted" && f.notice.id === %q`, missed))

	p.run(`ws_.close(); frames_.length = 0`, nil)
	var status int
	p.run(fmt.Sprintf(`stream(%q)`, administrator), &status)
	if status != 200 {
		t.Fatalf("the event stream: %d", status)
	}
	p.hears("the stream's greeting", `f.type === "hello"`)
	id = start()
	p.hears("what happens to somebody", fmt.Sprintf(`f.type === "site" && f.site.notices.some(n => n.kind === "granted" && n.id === %q)`, id))

	// A page of another origin is not let in, and neither is one without a token.
	other := b.page(t)
	tell(other, cdppage.SetBypassCSP, cdppage.SetBypassCSPParams{Enabled: true})
	if e := other.open("https://" + strings.TrimPrefix(n.URL, "https://") + "/healthz"); e != "" {
		t.Fatal(e)
	}
	other.run(strings.ReplaceAll(listener, `"wss://" + location.host`, fmt.Sprintf("%q", "wss://"+link.Addr())), nil)
	other.isRefused("a page of another origin", fmt.Sprintf(`connect(%q, `+query+`)`, token, ""), saysForbidden)
	p.isRefused("a page without a token", `connect("", `+fmt.Sprintf(query, "")+`)`, saysUnauthorized)
	if out := n.Output(); strings.Contains(out, token) || strings.Contains(out, administrator) || strings.Contains(out, "sitegate.bearer") {
		t.Error("the token is in the node's log")
	}
}
