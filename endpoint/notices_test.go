package endpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/gorilla/websocket"

	"sitegate/api"
	"sitegate/license"
	"sitegate/notice"
	"sitegate/phrase"
)

// desktop is a client's end of the notices.
type desktop struct {
	*websocket.Conn
	t *testing.T
}

// dial connects as a machine of a user; query changes the defaults, an empty
// value leaves one out.
func (r *rig) dial(t *testing.T, user string, query map[string]string, headers ...header) (*desktop, *http.Response) {
	t.Helper()
	q := url.Values{"machine": {"m-101"}, "name": {"WS-101"}, "instance": {"i-1"}, "lang": {"en"}}
	for k, v := range query {
		q.Set(k, v)
		if v == "" {
			q.Del(k)
		}
	}
	h := http.Header{"Authorization": {"Bearer " + r.issuer.token(t, user)}}
	protocols := []string{api.NoticesProtocol}
	for _, more := range headers {
		for k, v := range more {
			if k == "Protocol" {
				protocols = []string{v}
				continue
			}
			h.Set(k, v)
		}
	}
	d := websocket.Dialer{Subprotocols: protocols, HandshakeTimeout: 10 * time.Second}
	conn, resp, err := d.DialContext(t.Context(), "ws"+strings.TrimPrefix(r.URL, "http")+"/v1/notices?"+q.Encode(), h)
	if err != nil {
		if !errors.Is(err, websocket.ErrBadHandshake) {
			t.Fatal(err)
		}
		return nil, resp
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetReadDeadline(time.Now().Add(time.Minute))
	return &desktop{conn, t}, resp
}

// join connects and reads the greeting.
func (r *rig) join(t *testing.T, user string, query map[string]string) (*desktop, api.Hello, *api.Me) {
	t.Helper()
	d, resp := r.dial(t, user, query)
	if d == nil {
		raw, _ := io.ReadAll(resp.Body)
		t.Fatalf("connecting as %s: %s %s", user, resp.Status, raw)
	}
	f := d.next()
	if f.Type != api.FrameHello || f.Hello == nil {
		t.Fatalf("the first frame is %+v; want hello", f)
	}
	if f.Hello.Recovered {
		return d, *f.Hello, nil
	}
	state := d.next()
	if state.Type != api.FrameState || state.State == nil {
		t.Fatalf("after a gap comes %+v; want the state", state)
	}
	return d, *f.Hello, state.State
}

// ReadMessage holds every frame that comes against the contract.
func (d *desktop) ReadMessage() (int, []byte, error) {
	kind, data, err := d.Conn.ReadMessage()
	if err == nil {
		wantSent(d.t, data)
	}
	return kind, data, err
}

func (d *desktop) next() api.Frame {
	d.t.Helper()
	kind, data, err := d.ReadMessage()
	if err != nil || kind != websocket.TextMessage {
		d.t.Fatalf("reading a frame: kind %d, %v", kind, err)
	}
	var f api.Frame
	if err := json.Unmarshal(data, &f); err != nil {
		d.t.Fatalf("the frame %s: %v", data, err)
	}
	return f
}

func (d *desktop) notice() api.Notice {
	d.t.Helper()
	f := d.next()
	if f.Type != api.FrameNotice || f.Notice == nil {
		d.t.Fatalf("got %+v; want a notice", f)
	}
	return *f.Notice
}

func (d *desktop) say(text string) {
	d.t.Helper()
	if err := d.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		d.t.Fatal(err)
	}
}

// closed reads on until the close and wants its code.
func (d *desktop) closed(code int) {
	d.t.Helper()
	for {
		_, _, err := d.ReadMessage()
		if err == nil {
			continue
		}
		var ce *websocket.CloseError
		if !errors.As(err, &ce) || ce.Code != code {
			d.t.Errorf("the connection ended with %v; want close %d", err, code)
		}
		return
	}
}

// WS-101 is told at once that WS-202 tried, and WS-202, which waits, that it is
// its turn.
func TestTheActiveMachineIsToldAndTheWaitingOneGetsItsTurn(t *testing.T) {
	r := newRig(t, filled(t))
	one, hello, me := r.join(t, "ada", nil)
	if hello.Node != "n1" || len(hello.Nodes) != 1 || hello.PingMS != 25_000 || hello.BeatMS != 60_000 || hello.Seq == 0 || me.ID != "ada" {
		t.Errorf("greeted with %+v and %+v", hello, me)
	}
	two, _, _ := r.join(t, "ada", map[string]string{"machine": "m-202", "name": "WS-202", "instance": "i-2", "lang": "de"})

	id := newUUID(t)
	r.want(t, 201, "ada", "POST", "/v1/sessions", api.StartRequest{ID: id, Product: "road", Machine: ws101})
	if n := one.notice(); n.Kind != api.KindGranted || !n.Mine || n.ID != id || n.Text != "Road Designer has started here." || n.Machine != "WS-101" || n.At.IsZero() {
		t.Errorf("WS-101 was told %+v", n)
	}
	if n := two.notice(); n.Kind != api.KindGranted || n.Mine || n.Text != "Road Designer wurde auf „WS-101“ gestartet." {
		t.Errorf("WS-202 was told %+v", n)
	}
	r.want(t, 409, "ada", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws202})
	if n := one.notice(); n.Kind != api.KindAttempted || !n.Mine || n.Machine != "WS-202" || n.Reason != "machine-active" ||
		n.Text != `"WS-202" tried Road Designer and was refused, because you are active here.` {
		t.Errorf("WS-101 was told %+v", n)
	}
	two.notice()
	r.want(t, 201, "ada", "POST", "/v1/waits", api.WaitRequest{ID: newUUID(t), Product: "road", Machine: ws202})
	r.want(t, 204, "ada", "DELETE", "/v1/sessions/"+id+"?machine=m-101", nil)
	if n := two.notice(); n.Kind != api.KindFree || n.Mine {
		t.Errorf("WS-202 was told %+v", n)
	}
	if n := two.notice(); n.Kind != api.KindYours || !n.Mine || n.Until.IsZero() {
		t.Errorf("WS-202 was told %+v", n)
	}
	eventually(t, "five notices to WS-202 and four to WS-101 at least", func() bool { return r.metric(t, "sitegate_notices_sent_total") >= 8 })
}

func TestLinkNoticesGoToEveryone(t *testing.T) {
	r := newRig(t, filled(t))
	ada, _, _ := r.join(t, "ada", nil)
	ben, _, _ := r.join(t, "ben", nil)
	r.node.do(t, license.Link{Up: true})
	r.node.do(t, license.Link{Up: false})
	for _, d := range []*desktop{ada, ben} {
		if up, down := d.notice(), d.notice(); up.Kind != api.KindLinkUp || down.Kind != api.KindLinkDown || down.Seq != up.Seq+1 {
			t.Errorf("told %+v, %+v", up, down)
		}
	}
}

func TestComingBackWithATokenGivesWhatWasMissed(t *testing.T) {
	r := newRig(t, filled(t))
	first, hello, _ := r.join(t, "ada", nil)
	first.Close()
	id := newUUID(t)
	r.want(t, 201, "ada", "POST", "/v1/sessions", api.StartRequest{ID: id, Product: "road", Machine: ws101})
	r.want(t, 204, "ada", "DELETE", "/v1/sessions/"+id+"?machine=m-101", nil)

	token := fmt.Sprintf("%d:%d", hello.Epoch, hello.Seq)
	again, h, _ := r.join(t, "ada", map[string]string{"since": token})
	if !h.Recovered || fmt.Sprintf("%d:%d", h.Epoch, h.Seq) != token {
		t.Errorf("greeted with %+v; want recovered from %s", h, token)
	}
	granted, free := again.notice(), again.notice()
	if granted.Kind != api.KindGranted || free.Kind != api.KindFree {
		t.Errorf("told %+v, %+v", granted, free)
	}
	_, h, _ = r.join(t, "ada", map[string]string{"since": fmt.Sprintf("%d:%d", free.Epoch, free.Seq), "instance": "i-2"})
	if !h.Recovered || h.Seq != free.Seq {
		t.Errorf("greeted with %+v; want nothing missed at %d", h, free.Seq)
	}
	// Whose token is of this cluster and ahead of this node is not shown how things were
	// before; another cluster's token says nothing here.
	ahead := map[string]string{"since": fmt.Sprintf("%d:%d", free.Epoch, free.Seq+1000), "instance": "i-4", "cluster": h.Cluster}
	if d, resp := r.dial(t, "ada", ahead); d != nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a client that knows more than this node was answered %v; want 503 and Retry-After", resp.Status)
	}
	ahead["cluster"] = "0197a5b2-0000-7000-8000-000000000000"
	if _, h, me := r.join(t, "ada", ahead); h.Recovered || me == nil {
		t.Errorf("a token of another cluster was answered with %+v; want a gap", h)
	}
	ahead["since"] = token // of a time that this cluster has, too
	if _, h, me := r.join(t, "ada", ahead); h.Recovered || me == nil {
		t.Errorf("a token of another cluster was answered with %+v; want a gap", h)
	}
	// A token of another time of this site is answered with the state.
	_, h, me := r.join(t, "ada", map[string]string{"since": "9:1", "instance": "i-3"})
	if h.Recovered || me == nil || h.Epoch != 1 {
		t.Errorf("greeted with %+v; want a gap", h)
	}
}

func TestBeatsAreAnsweredAfterTheLeaderHas(t *testing.T) {
	r := newRig(t, filled(t))
	d, _, _ := r.join(t, "ada", nil)
	id, gone := newUUID(t), newUUID(t)
	r.want(t, 201, "ada", "POST", "/v1/sessions", api.StartRequest{ID: id, Product: "road", Machine: ws101})
	d.notice()

	gate := make(chan struct{})
	r.node.set(func() { r.node.gate = gate })
	d.say(fmt.Sprintf(`{"type":"beat","beat":{"n":7,"sessions":[%q,%q]}}`, id, gone))
	// The leader has not answered; other notices are not held up meanwhile.
	r.node.do(t, license.Link{Up: true})
	if n := d.notice(); n.Kind != api.KindLinkUp {
		t.Errorf("told %+v", n)
	}
	close(gate)
	f := d.next()
	if f.Type != api.FrameLease || f.Lease == nil || f.Lease.N != 7 || f.Lease.Error != "" || len(f.Lease.Leases) != 2 {
		t.Fatalf("answered %+v", f)
	}
	if l := f.Lease.Leases; l[0].Session != id || l[0].TTLMS != 180_000 || l[0].Reason != "" || l[1].Reason != "unknown-session" || l[1].TTLMS != 0 {
		t.Errorf("leases are %+v", l)
	}

	r.node.do(t, license.Release{Session: must(license.ParseID(id)), By: "ida", Note: "now"})
	if n := d.notice(); n.Kind != api.KindReleased || !n.Mine || n.By != "ida" || !strings.Contains(n.Text, "They say: now") {
		t.Errorf("told %+v", n)
	}
	d.say(fmt.Sprintf(`{"type":"beat","beat":{"n":8,"sessions":[%q]}}`, id))
	if l := d.next().Lease; l == nil || l.Leases[0].Reason != "already-ended" || l.Leases[0].Ending == nil || l.Leases[0].Ending.Reason != "released" {
		t.Errorf("after the release: %+v", l)
	}
	r.node.set(func() { r.node.err = errors.New("made up") })
	d.say(fmt.Sprintf(`{"type":"beat","beat":{"n":9,"sessions":[%q]}}`, id))
	if l := d.next().Lease; l == nil || l.N != 9 || l.Error != "internal" || len(l.Leases) != 0 {
		t.Errorf("without a leader: %+v", l)
	}
}

func TestFramesThatAreNotTheProtocols(t *testing.T) {
	many := `"` + strings.Repeat(`0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e6f","`, api.MaxBeatSessions) + `0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e6f"`
	tests := []struct {
		name string
		kind int
		text string
		code int
	}{
		{"no JSON", websocket.TextMessage, `beat`, api.CloseBadFrame},
		{"another type", websocket.TextMessage, `{"type":"hello"}`, api.CloseBadFrame},
		{"an unknown field", websocket.TextMessage, `{"type":"beat","beat":{"n":1,"sessions":[]},"more":1}`, api.CloseBadFrame},
		{"a server's field", websocket.TextMessage, `{"type":"beat","beat":{"n":1,"sessions":[]},"notice":{}}`, api.CloseBadFrame},
		{"too many sessions", websocket.TextMessage, `{"type":"beat","beat":{"n":1,"sessions":[` + many + `]}}`, api.CloseBadFrame},
		{"a session that is no id", websocket.TextMessage, `{"type":"beat","beat":{"n":1,"sessions":["x"]}}`, api.CloseBadFrame},
		{"binary", websocket.BinaryMessage, `{}`, api.CloseBadFrame},
		{"not UTF-8", websocket.TextMessage, "{\"type\":\"\xff\"}", websocket.CloseInvalidFramePayloadData},
		{"too large", websocket.TextMessage, strings.Repeat("x", api.MaxFrame+1), websocket.CloseMessageTooBig},
	}
	r := newRig(t, filled(t))
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d, _, _ := r.join(t, "ada", map[string]string{"machine": fmt.Sprint("m-", i)})
			if err := d.WriteMessage(test.kind, []byte(test.text)); err != nil {
				t.Fatal(err)
			}
			d.closed(test.code)
		})
	}
	eventually(t, "all connections are gone", func() bool { return r.node.hub.Len() == 0 })
}

func TestTooManyFramesCloseTheConnection(t *testing.T) {
	for name, send := range map[string]func(*desktop) error{
		"beats": func(d *desktop) error {
			return d.WriteMessage(websocket.TextMessage, []byte(`{"type":"beat","beat":{"n":1,"sessions":[]}}`))
		},
		"pings": func(d *desktop) error {
			return d.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, filled(t))
			d, _, _ := r.join(t, "ada", nil)
			for range frameBurst + 5 {
				if send(d) != nil {
					break // closed already
				}
			}
			d.closed(api.CloseBudget)
		})
	}
}

// Who asks for no websocket where one is, and shows no token, pays for the answer as any
// stranger does.
func TestWhatAsksForNoWebsocketIsPaced(t *testing.T) {
	r := newRig(t, filled(t))
	r.e.strays = newStrangers(Rate{PerSecond: 0.001, Burst: 3}, anyPace)
	for range 3 {
		r.want(t, 400, "", "GET", "/v1/notices", nil)
	}
	r.want(t, 429, "", "GET", "/v1/notices", nil)
}

func TestConnectingWrongly(t *testing.T) {
	tests := []struct {
		name    string
		user    string
		query   map[string]string
		headers header
		status  int
		code    string
	}{
		{"no subprotocol", "ada", nil, header{"Protocol": "chat.v1"}, 400, "malformed"},
		{"a page of another site", "ada", nil, header{"Origin": "https://evil.example"}, 403, "forbidden"},
		{"no machine", "ada", map[string]string{"machine": ""}, nil, 400, "malformed"},
		{"no instance", "ada", map[string]string{"instance": ""}, nil, 400, "malformed"},
		{"a token that is none", "ada", map[string]string{"since": "yesterday"}, nil, 400, "malformed"},
		{"an unknown user", "nobody", nil, nil, 403, "unknown-user"},
		{"a blocked user", "max", nil, nil, 403, "user-blocked"},
		{"no access token", "ada", nil, header{"Authorization": "x"}, 401, "unauthorized"},
	}
	r := newRig(t, filled(t))
	check := func(t *testing.T, resp *http.Response, status int, code string) {
		t.Helper()
		var p api.Problem
		raw, _ := io.ReadAll(resp.Body)
		if err := json.Unmarshal(raw, &p); err != nil || resp.StatusCode != status || p.Code != code {
			t.Errorf("got %s %s; want %d %s", resp.Status, raw, status, code)
		}
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d, resp := r.dial(t, test.user, test.query, test.headers)
			if d != nil {
				t.Fatal("was let in")
			}
			check(t, resp, test.status, test.code)
		})
	}
	t.Run("an expired access token", func(t *testing.T) {
		over := r.issuer.token(t, "ada", func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) {
			c.Expiry = jwt.NewNumericDate(time.Now().Add(-2 * time.Minute))
		})
		d, resp := r.dial(t, "ada", nil, header{"Authorization": "Bearer " + over})
		if d != nil {
			t.Fatal("was let in")
		}
		check(t, resp, 401, "unauthorized")
	})
	t.Run("no websocket", func(t *testing.T) { // by the code a client goes on to polls
		if a := r.want(t, 400, "ada", "GET", "/v1/notices?machine=m&instance=i", nil); a.problem(t).Code != api.CodeMalformed {
			t.Errorf("answered %s", a.raw)
		}
	})
	t.Run("no leader", func(t *testing.T) {
		r.node.set(func() { r.node.lone = true })
		_, resp := r.dial(t, "ada", nil)
		check(t, resp, 503, "no-quorum")
	})
	t.Run("not filled", func(t *testing.T) {
		r := newRig(t, newNode(t))
		_, resp := r.dial(t, "ada", nil)
		check(t, resp, 503, "not-ready")
	})
}

func TestTheSameInstanceTakesThePlace(t *testing.T) {
	r := newRig(t, filled(t))
	old, _, _ := r.join(t, "ada", nil)
	now, _, _ := r.join(t, "ada", nil)
	old.closed(api.CloseReplaced)
	r.node.do(t, license.Link{Up: true})
	if n := now.notice(); n.Kind != api.KindLinkUp {
		t.Errorf("told %+v", n)
	}
}

func TestConnectionsOfAMachineAreBounded(t *testing.T) {
	r := newRig(t, filled(t))
	for i := range notice.MaxPerMachine {
		r.join(t, "ada", map[string]string{"instance": fmt.Sprint("i-", i)})
	}
	d, _ := r.dial(t, "ada", map[string]string{"instance": "one-more"})
	d.closed(api.CloseBudget)
}

// A node that has as many as it can bear sends others elsewhere, and says when to come.
func TestConnectionsOfANodeAreBounded(t *testing.T) {
	r := newRig(t, filled(t), func(c *Config) { c.MaxNotices = 1 })
	first, _, _ := r.join(t, "ada", nil)
	if d, resp := r.dial(t, "ben", nil); d != nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one too many was answered %s; want 503 and Retry-After", resp.Status)
	}
	if a := r.call(t, "ben", "GET", "/v1/notices/poll?machine=m&instance=i", nil); a.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a poll too many was answered %d", a.StatusCode)
	}
	first.Close()
	eventually(t, "the first has gone", func() bool { return r.node.hub.Len() == 0 })
	r.join(t, "ben", nil)
}

// Who does not read is cut off and told to resume; nobody else waits meanwhile.
func TestASlowClientIsCutOff(t *testing.T) {
	r := newRig(t, filled(t))
	stuck := &stuckSocket{sent: make(chan struct{}), over: make(chan struct{}), gone: make(chan struct{}), shut: make(chan int, 1)}
	if !r.e.sockets.enter() {
		t.Fatal("no connections are taken")
	}
	r.e.sockets.open(stuck, notice.Subscriber{User: "ada", Machine: license.Machine{ID: "m-9"}, Instance: "i"},
		&call{caller: Caller{User: "ada", Expires: time.Now().Add(time.Hour)}}, notice.Token{}, false)
	<-stuck.sent // it hangs in the first frame
	quick, _, _ := r.join(t, "ada", nil)
	for i := range notice.MaxQueue + 2 {
		r.node.do(t, license.Link{Up: i%2 == 0})
		quick.notice() // is told at once all the same
	}
	close(stuck.over)
	if code := <-stuck.shut; code != api.CloseSlow {
		t.Errorf("cut off with %d; want %d", code, api.CloseSlow)
	}
}

// A client that takes nothing in does not keep a node that goes.
func TestANodeThatGoesDoesNotWaitForWhoDoesNotRead(t *testing.T) {
	r := newRig(t, filled(t))
	deaf, node := net.Pipe()
	defer deaf.Close()
	if !r.e.sockets.enter() {
		t.Fatal("no connections are taken")
	}
	r.e.sockets.open(newSocket(node, newCommon()), notice.Subscriber{User: "ada", Machine: license.Machine{ID: "m-9"}, Instance: "i"},
		&call{caller: Caller{User: "ada", Expires: time.Now().Add(time.Hour)}}, notice.Token{}, false)
	stopped := make(chan struct{})
	go func() { defer close(stopped); r.stop() }()
	select {
	case <-stopped:
	case <-time.After(time.Minute):
		t.Error("a minute after it was to go the node is still there")
		deaf.Close()
		<-stopped
	}
}

// stuckSocket is a client that does not read: the first write hangs until over.
type stuckSocket struct {
	sent, over chan struct{}
	gone       chan struct{} // the close was sent
	shut       chan int
	first      bool
}

func (s *stuckSocket) Wait() error {
	<-s.gone
	return io.EOF
}
func (s *stuckSocket) Take() ([][]byte, error) { return nil, io.EOF }
func (s *stuckSocket) Dead() bool              { return false }
func (s *stuckSocket) Direct() bool            { return false }
func (s *stuckSocket) SendNow(*pusher, []byte) (func() error, error) {
	panic("it is not direct")
}
func (s *stuckSocket) Send([]byte) error {
	if !s.first {
		s.first = true
		close(s.sent)
		<-s.over
	}
	return nil
}
func (s *stuckSocket) Shut(code int, _ string) {
	s.shut <- code
	close(s.gone)
}
func (s *stuckSocket) Drain() {}
func (s *stuckSocket) Drop()  {}

// The access token's end is the connection's, after a grace; the client comes
// back with a new one.
func TestTheTokensEndClosesTheConnection(t *testing.T) {
	r := newRig(t, filled(t))
	// Expired, but within what clocks may differ by: so much of the grace is over.
	raw := r.issuer.token(t, "ada", func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) {
		c.Expiry = jwt.NewNumericDate(time.Now().Add(-tokenGrace))
	})
	d, resp := r.dial(t, "ada", nil, header{"Authorization": "Bearer " + raw})
	if d == nil {
		t.Fatalf("was not let in: %s", resp.Status)
	}
	d.closed(api.CloseUnauthorized)
}

func TestPingsComeFromTheWheelAndABlockedUserGoes(t *testing.T) {
	r := newRig(t, filled(t))
	d, _, _ := r.join(t, "ada", nil)
	pinged := make(chan struct{}, 100)
	d.SetPingHandler(func(string) error { pinged <- struct{}{}; return nil })
	closedWith := make(chan error, 1)
	go func() {
		for {
			if _, _, err := d.ReadMessage(); err != nil {
				closedWith <- err
				return
			}
		}
	}()
	for range slots { // a whole turn, faster than time
		r.e.sockets.turn()
	}
	<-pinged
	r.node.do(t, license.Mirror{From: "c1", Cursor: "c2", Changes: []license.Change{{User: &license.User{ID: "ada", Blocked: true}}}})
	for range slots {
		r.e.sockets.turn()
	}
	var ce *websocket.CloseError
	if err := <-closedWith; !errors.As(err, &ce) || ce.Code != api.CloseBlocked {
		t.Errorf("a blocked user's connection ended with %v; want close %d", err, api.CloseBlocked)
	}
}

func TestANodeThatGoesSendsItsClientsAway(t *testing.T) {
	r := newRig(t, filled(t))
	d, _, _ := r.join(t, "ada", nil)
	stopped := make(chan struct{})
	go func() { defer close(stopped); r.stop() }()
	d.closed(websocket.CloseServiceRestart)
	<-stopped
	if _, resp := r.dial(t, "ada", map[string]string{"instance": "i-2"}); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a node that goes let somebody in: %s", resp.Status)
	}
	if n := r.node.hub.Len(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

// Every frame is written once however many read it alike.
func TestAFrameIsMadeOnce(t *testing.T) {
	r := newRig(t, filled(t))
	n := &notice.Notice{Epoch: 1, Seq: 9, Kind: notice.LinkUp}
	ss := r.e.sockets
	first := ss.frame(n, phrase.English, false)
	if again := ss.frame(n, phrase.English, false); &again[0] != &first[0] || &ss.frame(n, phrase.French, false)[0] == &first[0] {
		t.Error("the same frame was made twice, or two languages share one")
	}
	for seq := range uint64(maxFrames + 10) {
		ss.frame(&notice.Notice{Epoch: 2, Seq: seq, Kind: notice.LinkUp}, phrase.English, false)
	}
	if len(ss.frames) != maxFrames || len(ss.written) != maxFrames {
		t.Errorf("%d frames are kept; want %d", len(ss.frames), maxFrames)
	}
}

func TestTheKindsAreTheAPIs(t *testing.T) {
	want := []string{api.KindGranted, api.KindStopped, api.KindAttempted, api.KindFree, api.KindYours, api.KindNotTaken, api.KindWaitEnded,
		api.KindReleased, api.KindEnding, api.KindConfirmed, api.KindCheckedOut, api.KindReturned, api.KindEndsSoon, api.KindExtended, api.KindAssigned, api.KindUnassigned,
		api.KindBlocked, api.KindUnblocked, api.KindRequested, api.KindDeclined, api.KindLinkUp, api.KindLinkDown, api.KindPolicy, api.KindMaintenance, api.KindCheckoutFlagged, api.KindUserNotFound,
		api.KindLicenseChanged, api.KindSiteEnds, api.KindReminders, api.KindMirrorHeld, api.KindMirrorResumed, api.KindQuarantined, api.KindLinkSlow, api.KindLinkStale, api.KindLevelRaised, api.KindUsageRefused, api.KindUsageBacklog, api.KindMachineClone, api.KindMachineRekeyed, api.KindSecretStopped, api.KindSecretResumed, api.KindKeysHeld, api.KindKeysResumed, api.KindBypass, api.KindOutEnding, api.KindWrittenOff}
	var got []string
	for _, k := range notice.Kinds() {
		got = append(got, string(k))
	}
	if !slices.Equal(got, want) {
		t.Errorf("notice has the kinds %q; the API %q", got, want)
	}
}

// A box in front of a node that takes out what asks for a websocket is known by the answer, with no token: whoever looks for it has none.
func TestAWebsocketsPathSaysThatNobodyAsksForOne(t *testing.T) {
	r := newRig(t, filled(t))
	for _, h := range []header{{}, {"Upgrade": "websocket"}} {
		if p := r.want(t, http.StatusBadRequest, "", http.MethodGet, api.PathNotices, nil, h).problem(t); p.Code != api.CodeMalformed {
			t.Errorf("%v: got %+v, want %s", h, p, api.CodeMalformed)
		}
	}
	r.want(t, http.StatusUnauthorized, "", http.MethodGet, api.PathNotices, nil,
		header{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
}
