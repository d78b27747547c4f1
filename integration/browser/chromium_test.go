package browser

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sitegate/integration"
)

// patience is how long anything may take on a busy machine.
const patience = 60 * time.Second

// chromium is a running browser, told what to do by the DevTools protocol.
type chromium struct {
	*integration.Process
	conn *websocket.Conn

	mu      sync.Mutex
	last    int
	waits   map[int]chan<- reply
	refused map[string][]string // what became of websockets that were not opened, by the page's session
}

// reply is an answer, or, without an ID, something that has happened.
type reply struct {
	ID      int    `json:"id"`
	Method  string `json:"method"`
	Session string `json:"sessionId"`
	Params  struct {
		ErrorMessage string `json:"errorMessage"`
	} `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

var listening = regexp.MustCompile(`DevTools listening on (ws://\S+)`)

// newChromium starts one that finds its way by a PAC file, if there is one, and takes
// certificates of these keys for those of any host. It ends with the test.
func newChromium(t *testing.T, pac string, trusted ...*x509.Certificate) *chromium {
	t.Helper()
	var pins []string
	for _, c := range trusted {
		sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
		pins = append(pins, base64.StdEncoding.EncodeToString(sum[:]))
	}
	args := []string{"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-default-browser-check", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-default-apps", "--metrics-recording-only", "--password-store=basic",
		"--user-data-dir=" + t.TempDir(), "--remote-debugging-port=0", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--ignore-certificate-errors-spki-list=" + strings.Join(pins, ",")}
	if pac != "" {
		args = append(args, "--proxy-pac-url="+pac)
	} else {
		args = append(args, "--no-proxy-server")
	}
	b := &chromium{Process: integration.StartProcess(t, "chromium", nil, needs(t, "chromium"), append(args, "about:blank")...), waits: map[int]chan<- reply{}, refused: map[string][]string{}}
	var at string
	integration.Eventually(t, patience, "the browser is up", func() error {
		if b.Ended() {
			t.Fatalf("it has ended; it wrote:\n%s", b.Output())
		}
		m := listening.FindStringSubmatch(b.Output())
		if m == nil {
			return fmt.Errorf("it has not said where it listens")
		}
		at = m[1]
		return nil
	})
	var err error
	if b.conn, _, err = websocket.DefaultDialer.DialContext(t.Context(), at, nil); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		b.read()
	}()
	t.Cleanup(func() {
		b.conn.Close()
		<-read
	})
	return b
}

// read hands answers to those who wait for them, until the browser is gone.
func (b *chromium) read() {
	for {
		var r reply
		if b.conn.ReadJSON(&r) != nil {
			break
		}
		b.mu.Lock()
		if w := b.waits[r.ID]; w != nil {
			w <- r
			delete(b.waits, r.ID)
		}
		if r.Method == "Network.webSocketFrameError" {
			b.refused[r.Session] = append(b.refused[r.Session], r.Params.ErrorMessage)
		}
		b.mu.Unlock()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, w := range b.waits {
		close(w)
		delete(b.waits, id)
	}
}

// call has the browser do something; session is the page's, if it is about one.
func (b *chromium) call(session, method string, params, result any) error {
	answer := make(chan reply, 1)
	b.mu.Lock()
	b.last++
	b.waits[b.last] = answer
	err := b.conn.WriteJSON(map[string]any{"id": b.last, "method": method, "params": params, "sessionId": session})
	b.mu.Unlock()
	if err != nil {
		return err
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case r, ok := <-answer:
		switch {
		case !ok:
			return fmt.Errorf("%s: the browser has gone", method)
		case r.Error != nil:
			return fmt.Errorf("%s: %s", method, r.Error.Message)
		case result == nil:
			return nil
		}
		return json.Unmarshal(r.Result, result)
	case <-late.C:
		return fmt.Errorf("%s: no answer in %v", method, patience)
	}
}

// page is one of a browser's.
type page struct {
	t       *testing.T
	b       *chromium
	session string
}

func (b *chromium) page(t *testing.T) *page {
	t.Helper()
	var target struct{ TargetID string }
	if err := b.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target); err != nil {
		t.Fatal(err)
	}
	var attached struct{ SessionID string }
	if err := b.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached); err != nil {
		t.Fatal(err)
	}
	return &page{t, b, attached.SessionID}
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
	if err := p.b.call(p.session, "Network.enable", map[string]any{}, nil); err != nil {
		p.t.Fatal(err)
	}
	if err := p.eval(expression, nil); err == nil || !strings.Contains(err.Error(), "the websocket fails") {
		p.t.Errorf("%s: the page is told %v, want that the websocket fails", what, err)
	}
	integration.Eventually(p.t, patience, what+" is told why", func() error {
		p.b.mu.Lock()
		defer p.b.mu.Unlock()
		if got := p.b.refused[p.session]; len(got) != 1 || got[0] != want {
			return fmt.Errorf("the browser is told %q, want %q once", got, want)
		}
		return nil
	})
}

// open goes to a URL, and returns what keeps it from there, as net::ERR_…; empty: nothing.
func (p *page) open(url string) string {
	p.t.Helper()
	var r struct{ ErrorText string }
	if err := p.b.call(p.session, "Page.navigate", map[string]any{"url": url}, &r); err != nil {
		p.t.Fatal(err)
	}
	return r.ErrorText
}

// eval is what an expression, or the promise that it is, comes to.
func (p *page) eval(expression string, into any) error {
	var r struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		ExceptionDetails *struct {
			Text      string `json:"text"`
			Exception struct {
				Description string `json:"description"`
			} `json:"exception"`
		} `json:"exceptionDetails"`
	}
	if err := p.b.call(p.session, "Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &r); err != nil {
		return err
	}
	if x := r.ExceptionDetails; x != nil {
		return fmt.Errorf("%s %s", x.Text, x.Exception.Description)
	}
	if into == nil || len(r.Result.Value) == 0 {
		return nil
	}
	return json.Unmarshal(r.Result.Value, into)
}

// run is eval that must work.
func (p *page) run(expression string, into any) {
	p.t.Helper()
	if err := p.eval(expression, into); err != nil {
		p.t.Fatalf("%.200s: %v", expression, err)
	}
}

// shows waits until the page's text, or that of the one that it goes on to, has all of these.
func (p *page) shows(these ...string) {
	p.t.Helper()
	integration.Eventually(p.t, patience, fmt.Sprintf("the page shows %q", these), func() error {
		var text string
		if err := p.eval(`document.readyState === "complete" ? document.title + "\n" + document.body.innerText : ""`, &text); err != nil {
			return err
		}
		for _, s := range these {
			if !strings.Contains(text, s) {
				return fmt.Errorf("it shows %q", text)
			}
		}
		return nil
	})
}
