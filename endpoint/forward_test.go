package endpoint

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// plainDoor is a forward proxy to one host over plain HTTP.
func plainDoor(t *testing.T, h http.HandlerFunc, change ...func(*TunnelConfig)) *door {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return newDoor(t, &wayOut{to: srv.Listener.Addr().String()}, append([]func(*TunnelConfig){func(c *TunnelConfig) {
		c.Name, c.Allow = "sitegate-n1", []string{"plain.vendor.example:80", "plain.vendor.example:8080", "login.vendor.example:443"}
	}}, change...)...)
}

func TestPlainHTTPIsPassedOn(t *testing.T) {
	var got *http.Request
	d := plainDoor(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(t.Context())
		w.Header().Set("Proxy-Authenticate", `Basic realm="x"`)
		w.Header().Set("X-Kept", "1")
		io.WriteString(w, "the file")
	})
	_, _, status, h, body := d.knock(t, "GET", "http://Plain.Vendor.example/a/b?c=d;e&f=%zz HTTP/1.1\r\nVia: 1.1 desk\r\nProxy-Authorization: Basic eA==\r\nProxy-Connection: keep-alive\r\n"+
		"Connection: X-Mine, Upgrade\r\nUpgrade: h2c\r\nX-Mine: 1\r\nTE: trailers\r\nX-Forwarded-For: 1.2.3.4\r\nCookie: a=b\r\nX-Rest:", "")
	if status != "200 OK" || body != "the file" || h.Get("X-Kept") != "1" || h.Get("Proxy-Authenticate") != "" || h.Get("Via") != "1.1 sitegate-n1" {
		t.Errorf("%s, %v, %q", status, h, body)
	}
	if got.Host != "Plain.Vendor.example" || got.RequestURI != "/a/b?c=d;e&f=%zz" || got.Header.Get("Cookie") != "a=b" || got.Header.Get("Via") != "1.1 desk, 1.1 sitegate-n1" {
		t.Errorf("it was asked for %s at %s with %v", got.RequestURI, got.Host, got.Header)
	}
	for _, name := range []string{"Proxy-Authorization", "Proxy-Connection", "Upgrade", "X-Mine", "Te", "X-Forwarded-For"} {
		if v, there := got.Header[name]; there {
			t.Errorf("%s: %q was passed on", name, v)
		}
	}
	eventually(t, "one line of the log", func() bool { // it is written after the answer
		return d.lines("request forwarded", `"host":"plain.vendor.example:80","rule":"connect.allow","status":200,"down":8`) == 1
	})
	if log := d.r.log.String(); strings.Contains(log, "/a/b") {
		t.Errorf("the log has %s", log)
	}
	if len(d.out.asked) != 1 || d.out.asked[0] != "plain.vendor.example:80" {
		t.Errorf("the way out was asked for %q", d.out.asked)
	}
	if _, _, status, _, body = d.knock(t, "GET", "http://plain.vendor.example:8080/", ""); status != "200 OK" {
		t.Errorf("at another port: %s %q", status, body)
	}
}

func TestPlainHTTPIsForTheListOnly(t *testing.T) {
	d := plainDoor(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "the file") })
	for what, want := range map[string]string{
		"GET http://plain.vendor.example:81/":                                  "403 Forbidden",
		"GET http://127.0.0.1/":                                                "403 Forbidden",
		"GET http://0x7f.1/":                                                   "403 Forbidden",
		"GET http://[::1]:8080/":                                               "403 Forbidden",
		"GET http://2130706433/":                                               "403 Forbidden",
		"GET http://a:b@plain.vendor.example/":                                 "403 Forbidden",
		"GET http://plain.vendor.example:443@other.example/":                   "403 Forbidden",
		"GET ftp://plain.vendor.example/":                                      "403 Forbidden",
		"GET https://login.vendor.example/":                                    "403 Forbidden",
		"PUT http://plain.vendor.example/":                                     "405 Method Not Allowed",
		"GET http://plain.vendor.example/ HTTP/1.1\r\nContent-Length: 4\r\nX:": "400 Bad Request",
	} {
		method, target, _ := strings.Cut(what, " ")
		more := ""
		if strings.Contains(target, "Content-Length") {
			more = "body"
		}
		if _, _, status, h, body := d.knock(t, method, target, more); status != want || body == "the file" || h.Get("X-Sitegate-Error") == "" && want != "400 Bad Request" {
			t.Errorf("%s: %s, %v, %q; want %s", what, status, h, body, want)
		}
	}
	if len(d.out.asked) != 0 {
		t.Errorf("the way out was asked for %q", d.out.asked)
	}
}

// A target leads to those on the list and nowhere else, and asks nobody for a password of
// a proxy.
func TestPlainHTTPLeadsNowhereElse(t *testing.T) {
	to, code := "", http.StatusFound
	d := plainDoor(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(code)
		io.WriteString(w, "secret")
	})
	for _, x := range []struct {
		to, want, code string
		status         int
	}{
		{"/here", "302 Found", "", 302},
		{"https://login.vendor.example/in", "302 Found", "", 302},
		{"http://plain.vendor.example:8080/", "301 Moved Permanently", "", 301},
		{"https://plain.vendor.example/", "403 Forbidden", "host_not_allowed", 302},
		{"http://evil.example/", "403 Forbidden", "host_not_allowed", 302},
		{"//evil.example/", "403 Forbidden", "host_not_allowed", 307},
		{"http://10.0.0.1/", "403 Forbidden", "host_not_allowed", 302},
		{"ftp://plain.vendor.example/", "403 Forbidden", "host_not_allowed", 302},
		{"http://a:b@plain.vendor.example/", "502 Bad Gateway", "bad_answer", 302},
		{"", "502 Bad Gateway", "bad_answer", 407},
	} {
		to, code = x.to, x.status
		_, _, status, h, body := d.knock(t, "GET", "http://plain.vendor.example/", "")
		if status != x.want || h.Get("X-Sitegate-Error") != x.code || x.code != "" && (strings.Contains(body, "secret") || h.Get("Location") != "") {
			t.Errorf("to %q: %s, %v, %q; want %s %s", x.to, status, h, body, x.want, x.code)
		}
	}
	if got := d.lines("tunnel refused", `"reason":"host_not_allowed"`); got != 5 {
		t.Errorf("%d lines in the log, want one each: 5", got)
	}
}

// What a target says that is no HTTP, too much, or cut short is never taken for an answer.
func TestABadAnswerOverPlainHTTP(t *testing.T) {
	for name, x := range map[string]struct{ say, want string }{
		"no HTTP":            {"SSH-2.0-x\r\n", "502 Bad Gateway"},
		"nothing":            {"", "502 Bad Gateway"},
		"a header of 1 MB":   {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", "502 Bad Gateway"},
		"an upgrade":         {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", "502 Bad Gateway"},
		"a body that is cut": {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "200 OK"},
	} {
		t.Run(name, func(t *testing.T) {
			server := target(t, func(c *net.TCPConn) {
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					io.WriteString(c, x.say)
				}
			})
			d := newDoor(t, &wayOut{to: server}, func(c *TunnelConfig) { c.Allow = []string{"plain.vendor.example:80"} })
			c, err := net.Dial("tcp", d.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(time.Minute))
			fmt.Fprint(c, "GET http://plain.vendor.example/ HTTP/1.1\r\nHost: plain.vendor.example\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if resp.Status != x.want || resp.StatusCode == 200 && err == nil {
				t.Errorf("%s, %q, %v; want %s, and what is cut to be cut here", resp.Status, body, err, x.want)
			}
		})
	}
}

// An answer that comes too late is the target's, which was connected to.
func TestALateAnswerIsNoLateDial(t *testing.T) {
	d := plainDoor(t, nil)
	for name, x := range map[string]struct {
		by   bool
		want string
	}{"before it is connected": {false, dialTimeout}, "after": {true, badAnswer}} {
		p := &plainTrip{trip: &trip{terms: d.now.Load(), id: "r-1", target: "plain.vendor.example:80"}, in: t.Context()}
		if by := "192.0.2.7:80"; x.by {
			p.by.Store(&by)
		}
		r := httptest.NewRequestWithContext(context.WithValue(t.Context(), tripKey{}, p), "GET", "http://plain.vendor.example/", nil)
		d.plain.ErrorHandler(nil, r, context.DeadlineExceeded)
		if p.no == nil || p.no.code != x.want || p.no.status != http.StatusGatewayTimeout || strings.Contains(p.no.text, "could not connect") == x.by {
			t.Errorf("%s: got %+v, want 504 %s", name, p.no, x.want)
		}
	}
}

// An answer that stops coming does not hold a client for ever, and is not taken for all.
func TestAnAnswerThatStops(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	d := plainDoor(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half")
		http.NewResponseController(w).Flush()
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	}, func(c *TunnelConfig) { c.Idle = 200 * time.Millisecond })
	c, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprint(c, "GET http://plain.vendor.example/ HTTP/1.1\r\nHost: plain.vendor.example\r\n\r\n")
	said, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(string(said), "\r\n0\r\n\r\n") {
		t.Errorf("%q, %v; want it to end, and without the end of the answer", said, err)
	}
	eventually(t, "it is over", func() bool { return d.lines("request forwarded", `"short":true`) == 1 })
}
