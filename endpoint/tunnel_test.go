package endpoint

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// wayOut dials whatever name at one address of loopback, as a proxy that
// resolves names would, and remembers what it was asked for.
type wayOut struct {
	to    string
	err   error
	hang  bool
	mu    sync.Mutex
	asked []string
	vias  []string
}

func (w *wayOut) Dial(ctx context.Context, addr, via string) (net.Conn, error) {
	w.mu.Lock()
	w.asked, w.vias = append(w.asked, addr), append(w.vias, via)
	w.mu.Unlock()
	if w.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if w.err != nil {
		return nil, w.err
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", w.to)
}

// target is a server of plain TCP on loopback.
func target(t *testing.T, serve func(*net.TCPConn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { ln.Close() })
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				serve(c.(*net.TCPConn))
			})
		}
	})
	return ln.Addr().String()
}

func echo(c *net.TCPConn) { io.Copy(c, c) }

// door is a CONNECT door on loopback.
type door struct {
	*Tunnel
	r    *rig
	addr string
	out  *wayOut
}

func newDoor(t *testing.T, out *wayOut, change ...func(*TunnelConfig)) *door {
	t.Helper()
	return newDoorWithin(t, 10*time.Second, out, change...)
}

// newDoorWithin is one whose clients must send a request within a time.
func newDoorWithin(t *testing.T, headerIn time.Duration, out *wayOut, change ...func(*TunnelConfig)) *door {
	t.Helper()
	r := newRig(t, filled(t))
	cfg := TunnelConfig{Dialer: out, Allow: []string{"Login.Vendor.example:443"}}
	for _, f := range change {
		f(&cfg)
	}
	tun, err := r.e.Tunnel(cfg)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(tun)
	srv.Config.ReadHeaderTimeout, srv.Config.MaxHeaderBytes = headerIn, 32<<10
	tun.Watch(srv.Config)
	srv.Start()
	t.Cleanup(srv.Close)
	t.Cleanup(func() { tun.Close() })
	return &door{tun, r, srv.Listener.Addr().String(), out}
}

// knock sends a request line with what follows and reads the answer's head.
func (d *door) knock(t *testing.T, method, what, more string) (*net.TCPConn, *bufio.Reader, string, http.Header, string) {
	t.Helper()
	c, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: whatever\r\n\r\n%s", method, what, more); err != nil {
		t.Fatal(err)
	}
	rd := bufio.NewReader(c)
	if method == "CONNECT" {
		// The head as bytes: clients are picky about it.
		line, err := rd.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, "HTTP/1.1 200 ") {
			end, err := rd.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			return c.(*net.TCPConn), rd, line + end, nil, ""
		}
		rd = bufio.NewReader(io.MultiReader(strings.NewReader(line), rd))
	}
	resp, err := http.ReadResponse(rd, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn), rd, resp.Status, resp.Header, string(body)
}

// requestIn is the id of the first request that a log has.
func requestIn(log string) string {
	_, id, _ := strings.Cut(log, `"id":"`)
	id, _, _ = strings.Cut(id, `"`)
	return id
}

const established = "HTTP/1.1 200 Connection Established\r\n\r\n"

// Bytes go through unchanged both ways, also those that came before the answer;
// each side's end is passed on while the other still speaks.
func TestATunnelCarriesEverything(t *testing.T) {
	summed := target(t, func(c *net.TCPConn) {
		data, err := io.ReadAll(c) // to the client's end
		if err == nil {
			sum := sha256.Sum256(data)
			c.Write(sum[:])
			c.Write(data)
		}
	})
	d := newDoor(t, &wayOut{to: summed})
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	c, rd, head, _, _ := d.knock(t, "CONNECT", "login.vendor.example:443", "early bytes;")
	if head != established {
		t.Fatalf("answered %q; want %q", head, established)
	}
	if _, err := c.Write(big); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(rd)
	if err != nil {
		t.Fatal(err)
	}
	want := append([]byte("early bytes;"), big...)
	sum := sha256.Sum256(want)
	if !bytes.Equal(got, append(sum[:], want...)) {
		t.Errorf("%d bytes came back; want %d", len(got), len(want)+len(sum))
	}
	if log := d.r.log.String(); !strings.Contains(log, fmt.Sprintf(`"tunnel opened","id":%q,"client":"127.0.0.1","host":"login.vendor.example:443","rule":"connect.allow","by":%q`, requestIn(log), d.out.to)) {
		t.Errorf("no line at the opening tells where to: %s", log)
	}
	eventually(t, "one line at the close tells all", func() bool {
		return strings.Contains(d.r.log.String(), fmt.Sprintf(`"host":"login.vendor.example:443","rule":"connect.allow","up":%d,"down":%d,"by":%q`, len(want), len(got), d.out.to)) &&
			strings.Contains(d.r.log.String(), `"reason":"done"`)
	})
	if got := d.r.metric(t, "sitegate_tunnel_bytes_total", "direction=up"); got != float64(len(want)) {
		t.Errorf("%v bytes up were counted; want %d", got, len(want))
	}
	if len(d.out.asked) != 1 || d.out.asked[0] != "login.vendor.example:443" {
		t.Errorf("the way out was asked for %q; want the name as it is", d.out.asked)
	}
}

func TestTheListIsExactAndLookedAtFirst(t *testing.T) {
	out := &wayOut{to: target(t, echo)}
	d := newDoor(t, out)
	refused := []string{
		"login.vendor.example:80", "login.vendor.example:0443", "login.vendor.example:+443", "vendor.example:443", "evil-login.vendor.example:443",
		"login.vendor.example.evil.example:443", "login.vendor.example", "login.vendor.example..:443", "127.0.0.1:443", "[::1]:443", "0x7f000001:443",
		"2130706433:443", "127.1:443", "user@login.vendor.example:443", "login.vendor.example:443@evil.example:443", "login.vendor.example:https",
		"login.vendor.example:443/path", strings.Repeat("a", 300) + ":443", "login%2evendor.example:443", "*.vendor.example:443", ":443",
	}
	for _, target := range refused {
		_, _, status, h, body := d.knock(t, "CONNECT", target, "")
		// What the HTTP library itself cannot read is a 400 already.
		if status != "400 Bad Request" && (status != "403 Forbidden" || h.Get("X-Sitegate-Error") != "host_not_allowed" || !strings.HasPrefix(h.Get("Content-Type"), "text/plain") || body == "") {
			t.Errorf("%.60s: %s, %v, %q; want refused", target, status, h, body)
		}
	}
	_, _, _, _, body := d.knock(t, "CONNECT", "other.vendor.example:443", "")
	if !strings.Contains(body, `ask IT to add "other.vendor.example:443"`) {
		t.Errorf("the page says %q; want what to ask for", body)
	}
	if len(out.asked) != 0 {
		t.Errorf("the way out was asked for %q; want nothing", out.asked)
	}
	for _, target := range []string{"login.vendor.example:443", "LOGIN.vendor.EXAMPLE:443", "login.vendor.example.:443"} {
		if _, _, head, _, _ := d.knock(t, "CONNECT", target, ""); head != established {
			t.Errorf("%s: %q; want it opened", target, head)
		}
	}
	for _, bad := range []string{"10.0.0.1:443", "vendor.example", "*.vendor.example:443", "vendor.example:0"} {
		if _, err := d.r.e.Tunnel(TunnelConfig{Dialer: out, Allow: []string{bad}}); err == nil {
			t.Errorf("the list takes %q", bad)
		}
	}
}

func TestTheDoorIsNoGeneralProxy(t *testing.T) {
	d := newDoor(t, &wayOut{})
	for what, want := range map[string]string{
		"GET http://login.vendor.example/": "403 Forbidden", "POST http://login.vendor.example/": "405 Method Not Allowed", "GET https://login.vendor.example/": "403 Forbidden",
		"GET /": "404 Not Found", "GET /proxy.pac": "404 Not Found", "POST /proxy.pac": "405 Method Not Allowed", "DELETE /": "405 Method Not Allowed",
	} {
		method, target, _ := strings.Cut(what, " ")
		if _, _, status, h, body := d.knock(t, method, target, ""); status != want || h.Get("X-Sitegate-Error") == "" || body == "" || strings.HasPrefix(want, "405") && h.Get("Allow") != "CONNECT, GET, HEAD" {
			t.Errorf("%s: %s, %v, %q; want %s", what, status, h, body, want)
		}
	}
	shut := newDoor(t, &wayOut{}, func(c *TunnelConfig) { c.Clients = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	_, _, status, h, _ := shut.knock(t, "CONNECT", "login.vendor.example:443", "")
	if status != "403 Forbidden" || h.Get("X-Sitegate-Error") != "client_not_allowed" {
		t.Errorf("from a network it is not for: %s, %v", status, h)
	}
	if len(shut.out.asked) != 0 {
		t.Error("and the way out was asked")
	}
}

func TestADialThatFailsIsTold(t *testing.T) {
	broken := newDoor(t, &wayOut{err: errors.New("proxy p1 refused with user svc")})
	_, _, status, h, body := broken.knock(t, "CONNECT", "login.vendor.example:443", "")
	if status != "502 Bad Gateway" || h.Get("X-Sitegate-Error") != "dial_failed" || strings.Contains(body, "svc") || !strings.Contains(body, h.Get("X-Request-Id")) {
		t.Errorf("%s, %v, %q", status, h, body)
	}
	if !strings.Contains(broken.r.log.String(), "proxy p1 refused") {
		t.Error("the log does not tell the cause")
	}
	slow := newDoor(t, &wayOut{hang: true}, func(c *TunnelConfig) { c.Handshake = 20 * time.Millisecond })
	if _, _, status, h, _ = slow.knock(t, "CONNECT", "login.vendor.example:443", ""); status != "504 Gateway Timeout" || h.Get("X-Sitegate-Error") != "dial_timeout" {
		t.Errorf("%s, %v", status, h)
	}
}

// What the way out can tell of a failure is told: a code to programs, a sentence to
// people, and the rest to the log.
func TestTheHopToBlameIsTold(t *testing.T) {
	for code, want := range map[string]string{"proxy_auth_rejected": "502 Bad Gateway", "proxy_no_answer": "504 Gateway Timeout", "host_not_allowed": "403 Forbidden"} {
		cause := errors.New("proxy p1 refused with user svc")
		if code == "proxy_no_answer" {
			cause = fmt.Errorf("%w: %w", cause, context.DeadlineExceeded)
		}
		d := newDoor(t, &wayOut{err: cause}, func(c *TunnelConfig) {
			c.Explain = func(err error, target string) (string, string) {
				return code, fmt.Sprintf("Ask IT about %s (%t).", target, err == cause)
			}
		})
		_, _, status, h, body := d.knock(t, "CONNECT", "login.vendor.example:443", "")
		if status != want || h.Get("X-Sitegate-Error") != code || !strings.HasPrefix(body, "Ask IT about login.vendor.example:443 (true).\n") ||
			!strings.Contains(body, h.Get("X-Request-Id")) || strings.Contains(body, "svc") {
			t.Errorf("%s: got %s, %v, %q, want %s with the sentence", code, status, h, body, want)
		}
		if line := d.r.log.String(); !strings.Contains(line, `"reason":"`+code+`"`) || !strings.Contains(line, "user svc") || !strings.Contains(line, h.Get("X-Request-Id")) {
			t.Errorf("%s: the log's line is %q, want the code, the cause and the id", code, line)
		}
	}
}

func TestTunnelsAreBounded(t *testing.T) {
	out := &wayOut{to: target(t, echo)}
	perClient := newDoor(t, out, func(c *TunnelConfig) { c.PerClient = 2 })
	var open []*net.TCPConn
	for range 2 {
		c, _, head, _, _ := perClient.knock(t, "CONNECT", "login.vendor.example:443", "")
		if head != established {
			t.Fatalf("answered %q", head)
		}
		open = append(open, c)
	}
	_, _, status, h, _ := perClient.knock(t, "CONNECT", "login.vendor.example:443", "")
	if status != "429 Too Many Requests" || h.Get("Retry-After") == "" {
		t.Errorf("a third of one client: %s, %v", status, h)
	}
	open[0].Close()
	eventually(t, "there is room again", func() bool {
		_, _, head, _, _ := perClient.knock(t, "CONNECT", "login.vendor.example:443", "")
		return head == established
	})
	all := newDoor(t, out, func(c *TunnelConfig) { c.Max = 1 })
	all.knock(t, "CONNECT", "login.vendor.example:443", "")
	if _, _, status, _, _ := all.knock(t, "CONNECT", "login.vendor.example:443", ""); status != "503 Service Unavailable" {
		t.Errorf("a second of all: %s", status)
	}
}

// One /64 has a quarter of all tunnels: who has one has as many addresses as they like, and
// yet others may be in it.
func TestA64HasAQuarterOfTheTunnels(t *testing.T) {
	d := newDoor(t, &wayOut{to: target(t, echo)}, func(c *TunnelConfig) { c.Max, c.PerClient = 40, 2 })
	at := func(remote string) *trip {
		return &trip{terms: d.now.Load(), client: host(remote), network: hostOf(remote)}
	}
	opens := func(remote, want string) {
		t.Helper()
		code := ""
		if no := d.enter(at(remote)); no != nil {
			code = no.code
		}
		if code != want {
			t.Errorf("%s: %q, want %q", remote, code, want)
		}
	}
	for n := range 10 {
		opens(fmt.Sprintf("[2001:db8::%x]:4000", 1+n/2), "")
	}
	opens("[2001:db8::99]:4000", tooManyTunnels)
	opens("[2001:db8:0:1::1]:4000", "")
	for n := range 20 { // of IPv4 an address is counted, and no network
		opens(fmt.Sprintf("10.0.0.%d:4000", 1+n/2), "")
	}
	opens("10.0.0.1:4000", tooManyTunnels)
	for n := range 10 {
		d.leave(at(fmt.Sprintf("[2001:db8::%x]:4000", 1+n/2)))
	}
	opens("[2001:db8::99]:4000", "")
	d.leave(at("[2001:db8::99]:4000"))
	d.leave(at("[2001:db8:0:1::1]:4000"))
	for n := range 20 {
		d.leave(at(fmt.Sprintf("10.0.0.%d:4000", 1+n/2)))
	}
	if len(d.clients) != 0 || len(d.networks) != 0 || d.open != 0 {
		t.Errorf("%v, %v are still counted", d.clients, d.networks)
	}
}

// Whom the door is not open to does not stay, nor, where it is crowded, who only asks for the file.
func TestWhoDoesNotStayAtTheForwardProxy(t *testing.T) {
	for _, c := range []struct {
		open, crowded, stays bool
	}{{true, false, true}, {true, true, false}, {false, false, false}} {
		d := newDoor(t, &wayOut{to: target(t, echo)}, func(cfg *TunnelConfig) {
			if !c.open {
				cfg.Clients = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
			}
		})
		r := httptest.NewRequest("GET", pathPAC, nil)
		r.RemoteAddr = "127.0.0.1:4000"
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r.WithContext(WithCrowded(r.Context(), func() bool { return c.crowded })))
		if got := w.Header().Get("Connection") != "close"; got != c.stays {
			t.Errorf("%+v: stays %t", c, got)
		}
	}
}

func TestTunnelsEndAtTheirLimits(t *testing.T) {
	out := &wayOut{to: target(t, echo)}
	tests := map[string]func(*TunnelConfig){
		"idle": func(c *TunnelConfig) { c.Idle = 40 * time.Millisecond },
		"life": func(c *TunnelConfig) { c.Life = 40 * time.Millisecond },
	}
	for reason, limit := range tests {
		t.Run(reason, func(t *testing.T) {
			d := newDoor(t, out, limit)
			_, rd, head, _, _ := d.knock(t, "CONNECT", "login.vendor.example:443", "")
			if head != established {
				t.Fatalf("answered %q", head)
			}
			if _, err := rd.ReadByte(); err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the tunnel ended with %v; want closed", err)
			}
			eventually(t, "the log tells why", func() bool { return strings.Contains(d.r.log.String(), `"reason":"`+reason+`"`) })
		})
	}
}

// Who does not take what comes is not waited for beyond the idle time, though the other side
// has more.
func TestAClientThatNeverReads(t *testing.T) {
	var pouring sync.WaitGroup
	defer pouring.Wait()
	out := &wayOut{to: target(t, func(c *net.TCPConn) {
		pouring.Add(1)
		defer pouring.Done()
		block := make([]byte, 64<<10)
		for {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
	})}
	d := newDoor(t, out, func(c *TunnelConfig) { c.Idle = 100 * time.Millisecond })
	if _, _, head, _, _ := d.knock(t, "CONNECT", "login.vendor.example:443", ""); head != established {
		t.Fatalf("answered %q", head)
	}
	eventually(t, "the tunnel ends", func() bool { return d.lines("tunnel closed", `"reason":"idle"`) == 1 })
}

// A tunnel that is used lives on, however often the copies look up; one that is not ends.
func TestAUsedTunnelIsNotIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, down := net.Pipe()
		server, up := net.Pipe()
		defer client.Close()
		defer server.Close()
		over := make(chan struct{})
		p := &pipe{down: down, up: up, idle: 10 * time.Minute, life: 12 * time.Hour, over: func() { close(over) }}
		p.start(t.Context(), nil)
		for i := range 40 { // three hours, most of it in one direction
			time.Sleep(5 * time.Minute)
			from, to := client, server
			if i%10 == 9 {
				from, to = server, client
			}
			go from.Write([]byte{byte(i)})
			b := make([]byte, 1)
			if _, err := io.ReadFull(to, b); err != nil || b[0] != byte(i) {
				t.Fatalf("byte %d came as %d, %v", i, b[0], err)
			}
		}
		begun := time.Now()
		<-over
		if idle := time.Since(begun); p.reason != pipeIdle || idle < p.idle || idle > 2*p.idle {
			t.Errorf("it ended after %v for %q, want %q after %v to %v", idle, p.reason, pipeIdle, p.idle, 2*p.idle)
		}
		if p.sent != 36 || p.received != 4 {
			t.Errorf("%d bytes up and %d down were counted, want 36 and 4", p.sent, p.received)
		}
	})
}

func TestCloseEndsAllTunnels(t *testing.T) {
	d := newDoor(t, &wayOut{to: target(t, echo)})
	_, rd, head, _, _ := d.knock(t, "CONNECT", "login.vendor.example:443", "")
	if head != established {
		t.Fatalf("answered %q", head)
	}
	d.Close()
	if _, err := rd.ReadByte(); err == nil {
		t.Error("a byte came out of a closed tunnel")
	}
	if _, _, status, _, _ := d.knock(t, "CONNECT", "login.vendor.example:443", ""); status != "503 Service Unavailable" {
		t.Errorf("after Close: %s", status)
	}
	if got := d.r.metric(t, "sitegate_tunnels_open"); got != 0 {
		t.Errorf("%v tunnels are open", got)
	}
}
