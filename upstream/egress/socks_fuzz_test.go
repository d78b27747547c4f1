package egress

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// said is a connection to somebody who has said all that they will say.
type said struct {
	in  *bytes.Reader
	out bytes.Buffer
}

func (s *said) Read(b []byte) (int, error)       { return s.in.Read(b) }
func (s *said) Write(b []byte) (int, error)      { return s.out.Write(b) }
func (s *said) Close() error                     { return nil }
func (s *said) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *said) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *said) SetDeadline(time.Time) error      { return nil }
func (s *said) SetReadDeadline(time.Time) error  { return nil }
func (s *said) SetWriteDeadline(time.Time) error { return nil }

// socksSays is what a server's answers mean, by RFC 1928 and 1929: whether a tunnel is open, and after how many bytes; and whether the password was asked for.
func socksSays(b []byte, password bool) (open bool, used int, asked bool) {
	take := func(n int) []byte {
		if len(b)-used < n {
			return nil
		}
		used += n
		return b[used-n : used]
	}
	method := take(2)
	switch {
	case method == nil || method[0] != 5:
		return false, used, false
	case method[1] == 2 && password:
		asked = true
		if status := take(2); status == nil || status[1] != 0 {
			return false, used, true
		}
	case method[1] != 0:
		return false, used, false
	}
	reply := take(4)
	if reply == nil || reply[0] != 5 || reply[1] != 0 {
		return false, used, asked
	}
	rest := map[byte]int{1: 4, 4: 16}[reply[3]]
	if reply[3] == 3 {
		n := take(1)
		if n == nil {
			return false, used, asked
		}
		rest = int(n[0])
	} else if rest == 0 {
		return false, used, asked
	}
	return take(rest+2) != nil, used, asked
}

// Whatever a SOCKS5 server answers, a tunnel is open where it has said so and nowhere else, not a byte of what comes after is taken, and the password goes to
// who has asked for it. What goes wrong has a code and says what to do, or tells that it is no SOCKS5.
func FuzzSOCKSAnswers(f *testing.F) {
	const secret = "p@ss: w0rd"
	for _, b := range []string{"\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50rest", "\x05\x02\x01\x00\x05\x00\x00\x03\x04host\x00\x50SSH-2.0", "\x05\x02\x01\x01", "\x05\xff", "\x05\x02",
		"\x05\x00\x05\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x50", "\x05\x00\x05\x02\x00\x01", "\x05\x00\x05\x63\x00\x01", "\x05\x00\x05\x00\x00\x03\x00\x00\x00",
		"\x05\x00\x05\x00\x00\x02", "\x05\x00\x04\x00\x00\x01\x7f\x00\x00\x01\x00\x50", "HTTP/1.1 400 Bad Request\r\n\r\n", "220 mail", "\x04\x5a", "\x05\x01", ""} {
		f.Add([]byte(b), true)
		f.Add([]byte(b), false)
	}
	password := filepath.Join(f.TempDir(), "password")
	if err := os.WriteFile(password, []byte(secret), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, answers []byte, named bool) {
		cfg := Proxy{Kind: SOCKS5, Address: "proxy.test:1080"}
		if named {
			cfg.Username, cfg.PasswordFile = "svc", password
		}
		d, err := New(Config{Proxies: []Proxy{cfg}})
		if err != nil {
			t.Fatal(err)
		}
		c := &said{in: bytes.NewReader(answers)}
		err = d.way.Load().proxies[0].socksHandshake(t.Context(), c, "licenses.vendor.test:443")
		open, used, asked := socksSays(answers, named)
		if (err == nil) != open {
			t.Fatalf("%q: got %v; want an open tunnel: %t", answers, err, open)
		}
		if got := len(answers) - c.in.Len(); open && got != used {
			t.Fatalf("%q: %d bytes are taken, want %d", answers, got, used)
		}
		if sent := bytes.Contains(c.out.Bytes(), []byte(secret)); sent != asked {
			t.Fatalf("%q: the password is sent: %t; want %t", answers, sent, asked)
		}
		if asks := bytes.Contains(c.out.Bytes(), []byte("licenses.vendor.test\x01\xbb")); open && !asks {
			t.Fatalf("%q: a tunnel is open that nobody has asked for: %q", answers, c.out.Bytes())
		}
		if err != nil && err.Error() == "" {
			t.Fatalf("%q: refused without a word", answers)
		}
	})
}
