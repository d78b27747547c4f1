// Package desk is many desktops at once, as cheap as they can be: connections that
// speak a gateway's API over TLS and HTTP/1.1, one request after the other, for
// measuring what a gateway can do. package client is how a real desktop does it.
//
// It takes only what a gateway answers, an answer with its length before it, and
// repeats nothing. What it asks and whether the answer is the right one is up to
// the caller.
package desk

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// Conn is one desktop's connection to one node. It is dialled at the first
// request, and anew after it broke. One goroutine uses it at a time.
type Conn struct {
	Addr string      // host:port
	TLS  *tls.Config // trusts the node
	From net.Addr    // where to dial from; nil: anywhere

	conn net.Conn
	r    *bufio.Reader
	out  []byte
	in   []byte
}

// callLimit bounds one request: longer than a node takes to say that it cannot.
const callLimit = 20 * time.Second

// maxAnswer is the largest answer, in bytes.
const maxAnswer = 1 << 20

// Do sends a request and reads the answer, which is good until the next one. A nil
// body sends none.
func (c *Conn) Do(method, path, token string, body []byte) (status int, answer []byte, err error) {
	if err := c.Dial(); err != nil {
		return 0, nil, err
	}
	b := append(c.out[:0], method...)
	b = append(b, ' ')
	b = append(b, path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, c.Addr...)
	b = append(b, "\r\nAuthorization: Bearer "...)
	b = append(b, token...)
	if body != nil {
		b = append(b, "\r\nContent-Type: application/json\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(body)), 10)
	}
	b = append(b, "\r\n\r\n"...)
	b = append(b, body...)
	c.out = b
	status, answer, err = c.exchange()
	if err != nil {
		c.Close()
		return 0, nil, fmt.Errorf("asking %s: %w", c.Addr, err)
	}
	return status, answer, nil
}

// Dial connects unless it is connected already.
func (c *Conn) Dial() error {
	if c.conn != nil {
		return nil
	}
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: callLimit, LocalAddr: c.From}, Config: c.TLS}
	conn, err := d.Dial("tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	c.conn, c.r = conn, bufio.NewReaderSize(conn, 2048)
	return nil
}

// Close closes the connection; the next request dials again.
func (c *Conn) Close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// Until closes the connection once ctx ends, whatever it waits for; the function
// it returns ends that.
func (c *Conn) Until(ctx context.Context) (stop func() bool) {
	conn := c.conn
	return context.AfterFunc(ctx, func() {
		if conn != nil {
			conn.Close()
		}
	})
}

func (c *Conn) exchange() (status int, answer []byte, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(callLimit)); err != nil {
		return 0, nil, err
	}
	if _, err := c.conn.Write(c.out); err != nil {
		return 0, nil, err
	}
	line, err := c.line()
	if err != nil {
		return 0, nil, err
	}
	if len(line) < 12 || string(line[:9]) != "HTTP/1.1 " {
		return 0, nil, fmt.Errorf("an answer begins with %.40q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, fmt.Errorf("an answer begins with %.40q", line)
	}
	length, closing := 0, false
	for {
		line, err := c.line()
		if err != nil {
			return 0, nil, err
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch string(name) {
		case "Content-Length":
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 || length > maxAnswer {
				return 0, nil, fmt.Errorf("an answer of %.40q bytes", value)
			}
		case "Transfer-Encoding":
			return 0, nil, errors.New("an answer comes in pieces, which this does not read")
		case "Connection":
			closing = string(value) == "close"
		}
	}
	if cap(c.in) < length {
		c.in = make([]byte, length)
	}
	c.in = c.in[:length]
	if _, err := io.ReadFull(c.r, c.in); err != nil {
		return 0, nil, err
	}
	if closing {
		c.Close()
	}
	return status, c.in, nil
}

func (c *Conn) line() ([]byte, error) {
	line, err := c.r.ReadSlice('\n')
	return bytes.TrimRight(line, "\r\n"), err
}
