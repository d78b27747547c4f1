package egress

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxHeader = 16 << 10 // of the proxy's answer
	maxText   = 4 << 10  // of a refusal's body, kept for the error
	maxDrain  = 64 << 10 // of a 407's body, read to use the connection again
)

// leg is CONNECT on one connection, once or several times.
type leg struct {
	c     net.Conn
	limit *io.LimitedReader
	r     *bufio.Reader
	asked int
	sent  string // the credentials of the last request; empty: none
}

func newLeg(c net.Conn) *leg {
	l := &leg{c: c, limit: &io.LimitedReader{R: c}}
	l.r = bufio.NewReaderSize(l.limit, 4096)
	return l
}

var errTLS = errors.New("it speaks TLS")

// ask sends one CONNECT and reads the head of the answer.
func (l *leg) ask(ctx context.Context, addr, credentials string) (*http.Response, error) {
	stop := context.AfterFunc(ctx, func() { l.c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var b strings.Builder
	fmt.Fprintf(&b, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sitegate\r\nProxy-Connection: Keep-Alive\r\n", addr, addr)
	if g := guest(ctx); g != nil && g.Via != "" {
		fmt.Fprintf(&b, "Via: %s\r\n", g.Via)
	}
	if l.sent = credentials; credentials != "" {
		fmt.Fprintf(&b, "Proxy-Authorization: %s\r\n", credentials)
	}
	b.WriteString("\r\n")
	l.asked++
	l.limit.N = maxHeader
	if _, err := io.WriteString(l.c, b.String()); err != nil {
		return nil, err
	}
	for range 5 {
		if first, err := l.r.Peek(1); err != nil {
			return nil, err
		} else if first[0] < 0x20 { // a TLS record, not a status line
			return nil, errTLS
		}
		resp, err := http.ReadResponse(l.r, &http.Request{Method: http.MethodConnect})
		if err != nil {
			return nil, err
		}
		if resp.StatusCode/100 != 1 || resp.StatusCode == http.StatusSwitchingProtocols {
			if !stop() {
				return nil, ctx.Err()
			}
			return resp, nil
		}
	}
	return nil, errors.New("it only says that it is working on it")
}

// silent says whether nothing came back for the last request.
func (l *leg) silent() bool { return l.limit.N == maxHeader && l.r.Buffered() == 0 }

// text reads the beginning of a refusal's body, as one printable line. Some proxies show the request that they refuse; what was secret in it
// stays so.
func (l *leg) text(resp *http.Response, c *credential) string {
	l.c.SetReadDeadline(time.Now().Add(2 * time.Second))
	l.limit.N = maxText
	b, _ := io.ReadAll(io.LimitReader(resp.Body, maxText))
	if !utf8.Valid(b) {
		return ""
	}
	said := string(b)
	if _, token, ok := strings.Cut(l.sent, " "); ok && token != "" {
		said = strings.ReplaceAll(said, token, "***")
	}
	if c != nil {
		basic := base64.StdEncoding.EncodeToString([]byte(c.user + ":" + c.password))
		said = strings.NewReplacer(basic, "***", c.password, "***", html.EscapeString(c.password), "***").Replace(said)
	}
	return printable(said, 500)
}

// reusable drains the body of a 407 and says whether the next request may follow on the same connection.
func (l *leg) reusable(resp *http.Response) bool {
	pc := strings.ToLower(resp.Header.Get("Proxy-Connection"))
	if resp.Close && pc != "keep-alive" || pc == "close" {
		return false
	}
	if resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 {
		return false // a body that ends with the connection
	}
	l.c.SetReadDeadline(time.Now().Add(2 * time.Second))
	defer l.c.SetReadDeadline(time.Time{})
	l.limit.N = maxDrain
	_, err := io.Copy(io.Discard, resp.Body)
	return err == nil
}

// tunnel is the connection behind the answer.
func (l *leg) tunnel() net.Conn {
	n := l.r.Buffered()
	if n == 0 {
		return l.c
	}
	ahead, _ := l.r.Peek(n)
	return &aheadConn{Conn: l.c, ahead: ahead}
}

// aheadConn is a connection of which some bytes have been read already.
type aheadConn struct {
	net.Conn
	ahead []byte
}

// Read gives what was read ahead first.
func (c *aheadConn) Read(b []byte) (int, error) {
	if len(c.ahead) > 0 {
		n := copy(b, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// WriteTo gives what was read ahead first, and then leaves the rest to the connection, which may splice.
func (c *aheadConn) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(c.ahead)
	c.ahead = c.ahead[n:]
	if err != nil {
		return int64(n), err
	}
	rest, err := io.Copy(w, c.Conn)
	return int64(n) + rest, err
}

// CloseWrite ends this side's bytes, where the connection can.
func (c *aheadConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}
