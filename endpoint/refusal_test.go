package endpoint

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// lines are those of the log that have all of these.
func (d *door) lines(these ...string) (n int) {
	for line := range strings.Lines(d.r.log.String()) {
		all := true
		for _, s := range these {
			all = all && strings.Contains(line, s)
		}
		if all {
			n++
		}
	}
	return n
}

// Hosts whose requests are for the relay are not tunnelled to, whatever the port, and
// cannot be listed by mistake.
func TestRelayedHostsAreNotTunnelledTo(t *testing.T) {
	out := &wayOut{to: target(t, echo)}
	d := newDoor(t, out, func(c *TunnelConfig) { c.Relayed = []string{"Discovery.Vendor.example"} })
	for _, target := range []string{"discovery.vendor.example:443", "DISCOVERY.vendor.example.:443", "discovery.vendor.example:80"} {
		_, _, status, h, body := d.knock(t, "CONNECT", target, "")
		if status != "403 Forbidden" || h.Get("X-Sitegate-Error") != "use-relay" || !strings.Contains(body, "Ask IT") {
			t.Errorf("%s: %s, %v, %q; want use-relay", target, status, h, body)
		}
	}
	if _, _, status, h, _ := d.knock(t, "GET", "http://discovery.vendor.example/x", ""); status != "403 Forbidden" || h.Get("X-Sitegate-Error") != "use-relay" {
		t.Errorf("over plain HTTP: %s, %v", status, h)
	}
	if len(out.asked) != 0 {
		t.Errorf("the way out was asked for %q", out.asked)
	}
	if got := d.lines("tunnel refused", `"reason":"use-relay"`); got != 4 {
		t.Errorf("%d lines in the log, want 4", got)
	}
	for _, list := range []TunnelConfig{{Allow: []string{"discovery.vendor.example:443"}}, {Vendor: []string{"discovery.vendor.example:8443"}}} {
		list.Dialer, list.Relayed = out, []string{"discovery.vendor.example"}
		if _, err := d.r.e.Tunnel(list); err == nil {
			t.Errorf("%+v was taken", list)
		}
	}
}

// Where nothing is relayed, nobody is sent to a relay, and the PAC file has the site itself decide.
func TestAGatewayThatDoesNotRelaySaysSo(t *testing.T) {
	d := pacDoor(t, func(p *PAC) { p.Otherwise = "PROXY old.site.example:8080" }, func(c *TunnelConfig) { c.NoRelay = true })
	_, _, status, h, body := d.knock(t, "CONNECT", "discovery.vendor.example:443", "")
	if status != "403 Forbidden" || h.Get("X-Sitegate-Error") != "use-relay" || !strings.Contains(body, "This gateway does not relay it") || strings.Contains(body, "led to the gateway") {
		t.Errorf("%s, %v, %q", status, h, body)
	}
	_, _, _, _, text := d.knock(t, "GET", "/proxy.pac", "")
	for host, want := range map[string]string{"discovery.vendor.example": "http old.site.example:8080", "login.vendor.example": allNodes} {
		if got, err := says(t, text, "https://"+host+"/", host); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", host, got, err, want)
		}
	}
}

// What comes back to a node that has sent it out goes no further; proxies are told the
// way of a request.
func TestALoopIsEnded(t *testing.T) {
	out := &wayOut{to: target(t, echo)}
	d := newDoor(t, out, func(c *TunnelConfig) { c.Name = "sitegate-n1" })
	ask := func(via string) (status string, h http.Header) {
		_, _, status, h, _ = d.knock(t, "CONNECT", "login.vendor.example:443 HTTP/1.1\r\nVia: "+via+"\r\nX-Rest:", "")
		return status, h
	}
	for _, via := range []string{"1.1 sitegate-n1", "1.0 fred, 1.1 sitegate-n1 (x), 1.1 squid", strings.Repeat("1.1 a,", 11) + "1.1 b"} {
		if status, h := ask(via); status != "508 Loop Detected" || h.Get("X-Sitegate-Error") != "loop" {
			t.Errorf("via %q: %s, %v", via, status, h)
		}
	}
	if len(out.asked) != 0 {
		t.Fatalf("the way out was asked for %q", out.asked)
	}
	if status, _ := ask("1.1 sitegate-n2, 1.1 caf\xe9"); status != established {
		t.Errorf("another gateway's: %q, want it opened", status)
	}
	if want := "1.1 sitegate-n2, 1.1 caf?, 1.1 sitegate-n1"; len(out.vias) != 1 || out.vias[0] != want {
		t.Errorf("the way out was told %q, want %q", out.vias, want)
	}
}

// A client that says nothing, or what nobody can read, is let go with what the documentation
// says, is in the log once, and nothing goes out.
func TestWhatIsNoRequest(t *testing.T) {
	out := &wayOut{to: target(t, echo)}
	d := newDoor(t, out)
	say := func(text string) string {
		t.Helper()
		c, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Minute))
		fmt.Fprint(c, text)
		b := make([]byte, 64)
		n, _ := c.Read(b)
		line, _, _ := strings.Cut(string(b[:n]), "\r\n")
		return line
	}
	for name, x := range map[string]struct{ text, want string }{
		"a header of 64 KiB": {"CONNECT login.vendor.example:443 HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "HTTP/1.1 431 Request Header Fields Too Large"},
		"TLS":                {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "HTTP/1.1 400 Bad Request"},
		"no protocol":        {"CONNECT login.vendor.example:443\r\n\r\n", "HTTP/1.1 400 Bad Request"},
		"two hosts":          {"CONNECT login.vendor.example:443 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "HTTP/1.1 400 Bad Request"},
	} {
		before := d.lines(`"reason":"no_request"`)
		if got := say(x.text); got != x.want {
			t.Errorf("%s: %q, want %q", name, got, x.want)
		}
		eventually(t, name+" is in the log", func() bool {
			return d.lines(`"WARN"`, "tunnel refused", `"reason":"no_request"`, `"client":"127.0.0.1"`) == before+1
		})
	}
	if len(out.asked) != 0 {
		t.Errorf("the way out was asked for %q", out.asked)
	}
}

func TestAClientThatNeverSends(t *testing.T) {
	out := &wayOut{to: target(t, echo)}
	d := newDoorWithin(t, 50*time.Millisecond, out)
	for name, text := range map[string]string{"nothing": "", "half a line": "CONNECT login.vendor.exam", "half a head": "CONNECT login.vendor.example:443 HTTP/1.1\r\nHost: x\r\n"} {
		before := d.lines(`"reason":"no_request"`)
		c, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Minute))
		fmt.Fprint(c, text)
		var b [64]byte
		if n, err := c.Read(b[:]); err == nil && !strings.HasPrefix(string(b[:n]), "HTTP/1.1 400 ") {
			t.Errorf("%s: answered %q, want the connection closed, or 400", name, b[:n])
		}
		eventually(t, name+" is in the log", func() bool { return d.lines(`"WARN"`, `"reason":"no_request"`) == before+1 })
	}
	if len(out.asked) != 0 {
		t.Errorf("the way out was asked for %q", out.asked)
	}
	// Who hangs up at once, as monitors do, is no warning.
	warned := d.lines(`"WARN"`)
	quick := newDoor(t, out)
	if c, err := net.Dial("tcp", quick.addr); err == nil {
		c.Close()
	}
	eventually(t, "it is counted", func() bool { return quick.r.metric(t, "sitegate_tunnels_total", "result=no_request") == 1 })
	if got := quick.lines(`"WARN"`); got != 0 || d.lines(`"WARN"`) != warned {
		t.Errorf("%d warnings of a connection that was closed at once", got)
	}
}

// Who hangs up while a connection is being opened is no failure of it, and no warning; nor is a
// node that goes.
func TestWhoGoesIsNoFailedDial(t *testing.T) {
	for name, line := range map[string]string{"CONNECT": "CONNECT login.vendor.example:443", "GET": "GET http://plain.vendor.example/"} {
		hanging := func() (*door, net.Conn) {
			t.Helper()
			d := newDoor(t, &wayOut{hang: true}, func(c *TunnelConfig) {
				c.Handshake, c.Allow = time.Minute, append(c.Allow, "plain.vendor.example:80")
			})
			c, err := net.Dial("tcp", d.addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			c.SetDeadline(time.Now().Add(time.Minute))
			fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: whatever\r\n\r\n", line)
			eventually(t, "it is being dialled", func() bool {
				d.out.mu.Lock()
				defer d.out.mu.Unlock()
				return len(d.out.asked) == 1
			})
			return d, c
		}
		d, c := hanging()
		c.Close()
		eventually(t, name+": it is counted", func() bool { return d.r.metric(t, "sitegate_tunnels_total", "result=client_gone") == 1 })
		if got := d.lines(`"WARN"`); got != 0 {
			t.Errorf("%s: %d warnings of who has gone: %s", name, got, d.r.log.String())
		}
		d, c = hanging()
		go d.Close()
		if answer, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("X-Sitegate-Error") != "closing" {
			t.Errorf("%s: a node that goes: %v, %v; want closing", name, answer, err)
		}
	}
}

// No path is in the log, but those of the file that this proxy gives.
func TestNoPathIsInTheLog(t *testing.T) {
	d := newDoor(t, &wayOut{})
	d.knock(t, "GET", "/private/notes.html?who=a", "")
	d.knock(t, "GET", "/wpad.dat", "")
	if log := d.r.log.String(); strings.Contains(log, "private") || d.lines("tunnel refused", `"host":"-"`) != 1 || d.lines("tunnel refused", `"host":"/wpad.dat"`) != 1 {
		t.Errorf("the log has %s", log)
	}
}

// A browser that asks by GET is shown a page; what comes of the request is not part of it.
func TestAPersonIsShownAPage(t *testing.T) {
	d := newDoor(t, &wayOut{}, func(c *TunnelConfig) { c.Allow = []string{"plain.vendor.example:80"} })
	_, _, status, h, body := d.knock(t, "GET", "http://other.vendor.example/secret?q=1 HTTP/1.1\r\nAccept: text/html,*/*;q=0.8\r\nX-Rest:", "")
	if status != "403 Forbidden" || !strings.HasPrefix(h.Get("Content-Type"), "text/html") || !strings.Contains(body, "<p>other.vendor.example:80 is not on") || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%s, %v, %q", status, h, body)
	}
	if !strings.Contains(body, "&#34;other.vendor.example:80&#34;") && !strings.Contains(body, "&quot;other.vendor.example:80&quot;") {
		t.Errorf("%q does not say what to ask for", body)
	}
	if log := d.r.log.String(); strings.Contains(log, "secret") || strings.Contains(log, "q=1") {
		t.Errorf("the log has a path: %s", log)
	}
	_, _, _, h, body = d.knock(t, "GET", "http://other.vendor.example/", "")
	if !strings.HasPrefix(h.Get("Content-Type"), "text/plain") || strings.Contains(body, "<") {
		t.Errorf("a program is told %v, %q", h, body)
	}
}
