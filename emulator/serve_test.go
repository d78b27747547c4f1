package emulator_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"sitegate/emulator"
	"sitegate/emulator/proxy"
	"sitegate/upstream/cloudapi"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func TestOnlyThroughTheProxy(t *testing.T) {
	gate := emulator.NewOnlyFrom(listen(t))
	srv, err := emulator.Serve(gate, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "in") }), "cloud.test", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(srv.CAPEM)

	// Straight to it: the connection is closed before a handshake.
	c, err := tls.Dial("tcp", srv.Addr(), &tls.Config{RootCAs: roots})
	if err == nil {
		c.Close()
		t.Error("straight to the cloud: got a connection, want none")
	}
	if got := gate.Refused(); got != 1 {
		t.Errorf("got %d refused, want 1", got)
	}

	p := proxy.Start(listen(t), proxy.Config{Hosts: map[string]string{"cloud.test:443": srv.Addr()}, Opened: gate.Register, Closed: gate.Unregister})
	defer p.Close()
	through := func() (net.Conn, error) {
		raw, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { raw.Close() })
		raw.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(raw, "CONNECT cloud.test:443 HTTP/1.1\r\nHost: cloud.test:443\r\n\r\n")
		answer := make([]byte, len("HTTP/1.1 200 Connection Established\r\n\r\n"))
		if _, err := io.ReadFull(raw, answer); err != nil || string(answer[9:12]) != "200" {
			t.Fatalf("got %q, %v", answer, err)
		}
		c := tls.Client(raw, &tls.Config{RootCAs: roots, ServerName: "cloud.test"})
		return c, c.Handshake()
	}
	for range 3 {
		c, err := through()
		if err != nil {
			t.Fatalf("through the proxy: %v", err)
		}
		c.Close()
	}

	// A cut link ends what is open, and nothing comes in while it is down.
	open, err := through()
	if err != nil {
		t.Fatal(err)
	}
	p.SetLink(proxy.Down)
	if n, err := open.Read(make([]byte, 1)); err == nil {
		t.Errorf("after the cut: read %d bytes, want an error", n)
	}
	raw, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	io.WriteString(raw, "CONNECT cloud.test:443 HTTP/1.1\r\nHost: cloud.test:443\r\n\r\n")
	head := make([]byte, 12)
	if _, err := io.ReadFull(raw, head); err != nil || string(head) != "HTTP/1.1 502" {
		t.Errorf("while down: got %q, %v, want 502", head, err)
	}
	p.SetLink(proxy.Up)
	if c, err := through(); err != nil {
		t.Errorf("mended: got %v", err)
	} else {
		c.Close()
	}
}

func TestBlackHole(t *testing.T) {
	echo := listen(t)
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			io.Copy(c, c)
			c.Close()
		}
	}()
	p := proxy.Start(listen(t), proxy.Config{Hosts: map[string]string{"echo.test:7": echo.Addr().String()}})
	defer p.Close()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "CONNECT echo.test:7 HTTP/1.1\r\nHost: echo.test:7\r\n\r\n")
	answer := make([]byte, len("HTTP/1.1 200 Connection Established\r\n\r\n"))
	if _, err := io.ReadFull(c, answer); err != nil {
		t.Fatal(err)
	}
	p.SetLink(proxy.BlackHole)
	io.WriteString(c, "later")
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 5)); err == nil {
		t.Errorf("in the black hole: read %d bytes, want none", n)
	}
	p.SetLink(proxy.Up)
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "later" {
		t.Errorf("after it: got %q, %v, want \"later\"", got, err)
	}
}

func TestControl(t *testing.T) {
	var e emulator.Emulator
	e.Seed(5)
	srv := httptest.NewServer(e.Control())
	defer srv.Close()
	call := func(method, path, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	for _, s := range []struct {
		method, path, body string
		want               int
	}{
		{"PUT", "/faults", `{"prefix":"/site","delay_ms":250,"status":503,"retry_after_ms":2000}`, 204},
		{"PUT", "/faults", `{"prefix":"/site","sevrity":1}`, 400},
		{"POST", "/assign", `{"license_id":"l-00001-1","user_id":"u-00002"}`, 204},
		{"POST", "/assign", `{"license_id":"l-0"}`, 409},
		{"POST", "/assign", `{"license_id":"l-00001-1","user_id":"u-00001"}`, 204},
		{"POST", "/move", `{"license_id":"l-00001-1","to_user_id":"u-00002","by":"it","note":"new project"}`, 204},
		{"POST", "/move", `{"license_id":"l-00001-1","to_user_id":"u-0","by":"it"}`, 409},
		{"POST", "/email", `{"user_id":"u-00002","email":"two@x.example"}`, 204},
		{"POST", "/email", `{"user_id":"u-00001","email":"two@x.example"}`, 409},
		{"POST", "/repair", `{"license_id":"l-00002-1","user_id":"u-00001","service_request":"SR-7"}`, 409},
		{"GET", "/assignments", "", 200},
		{"PUT", "/account", `{"id":"a-7001","name":"x","autonomy":{"capped_ms":0,"uncapped_ms":0},"checkout_max_ms":0,"country_policies":[{"country":"NO","no_checkouts":true}],"fulfillment_contact":{"name":"P","email":"p@x.example"}}`, 204},
		{"POST", "/elsewhere", `{"user_id":"u-00001","machine_name":"HOME"}`, 204},
		{"PUT", "/users", `{"id":"u-7","email":"seven@x.example","name":"Seven","country":"NO"}`, 204},
		{"DELETE", "/users/u-00003", "", 204},
		{"POST", "/keys/rotate", "", 204},
		{"POST", "/cursors/lose", "", 204},
		{"POST", "/data/lose", `{"keep":["u-7"]}`, 204},
		{"POST", "/data/find", "", 204},
		{"GET", "/usage", "", 200},
		{"GET", "/holds?site=", "", 200},
		{"GET", cloudapi.PathPing, "", 404},
	} {
		if got, body := call(s.method, s.path, s.body); got != s.want {
			t.Errorf("%s %s %s: got %d %s, want %d", s.method, s.path, s.body, got, body, s.want)
		}
	}
	if f := e.Faults(); len(f) != 1 || f[0].Delay != 250*time.Millisecond || f[0].Status != 503 || f[0].RetryAfter != 2*time.Second {
		t.Errorf("got faults %+v", f)
	}
	if l := e.Licenses()[0]; l.AssignedTo != "u-00002" {
		t.Errorf("got the license assigned to %q, want u-00002", l.AssignedTo)
	}
	if _, there := e.User("u-00003"); there {
		t.Error("the deleted user is still there")
	}
	if u, _ := e.User("two@x.example"); u.ID != "u-00002" {
		t.Errorf("got %q by the new address, want u-00002", u.ID)
	}
	if n := len(e.Assignments()); n != 3 {
		t.Errorf("got %d assignments in the books, want 3", n)
	}
	if a, _ := e.Account(); len(a.CountryPolicies) != 1 || !a.CountryPolicies[0].NoCheckouts || a.FulfillmentContact == nil {
		t.Errorf("got account %+v", a)
	}
	_, body := call("GET", "/active?user=u-00001", "")
	var active []string
	if err := json.Unmarshal([]byte(body), &active); err != nil || len(active) != 1 || active[0] != "HOME" {
		t.Errorf("got active %s, want HOME", body)
	}
}
