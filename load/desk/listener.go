package desk

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/gorilla/websocket"

	"sitegate/api"
)

// Listener is one desktop that only listens to notices, on one websocket after the
// other. One goroutine uses it at a time, but for Close.
type Listener struct {
	User     User
	Machine  Machine
	Instance string
	From     net.Addr    // where to dial from; nil: anywhere
	TLS      *tls.Config // nil: in the clear
	Small    bool        // with little room for what it does not read

	Hello api.Hello // of the last greeting
	since string
	conn  *websocket.Conn
	timed bool // it waits no longer than to some time
}

// Dial connects to a node and reads the greeting, and the state that may follow it.
func (l *Listener) Dial(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	q := url.Values{"machine": {l.Machine.ID}, "name": {l.Machine.Name}, "instance": {l.Instance}}
	if l.since != "" {
		q.Set("since", l.since)
		q.Set("cluster", l.Hello.Cluster)
	}
	dialer := net.Dialer{LocalAddr: l.From}
	d := websocket.Dialer{NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, addr)
		if tcp, ok := conn.(*net.TCPConn); ok && l.Small {
			tcp.SetReadBuffer(4096)
		}
		return conn, err
	}, TLSClientConfig: l.TLS, Subprotocols: []string{api.NoticesProtocol}, ReadBufferSize: 1024, WriteBufferSize: 256}
	scheme := "ws"
	if l.TLS != nil {
		scheme = "wss"
	}
	conn, resp, err := d.DialContext(ctx, scheme+"://"+addr+api.PathNotices+"?"+q.Encode(), http.Header{"Authorization": {"Bearer " + l.User.Token}})
	if err != nil {
		if resp != nil && errors.Is(err, websocket.ErrBadHandshake) {
			err = &Refusal{Status: resp.StatusCode}
		}
		return err
	}
	l.conn = conn
	f, err := l.Next(callLimit)
	if err == nil && f.Hello == nil {
		err = fmt.Errorf("the first frame is a %q, not a greeting", f.Type)
	}
	if err == nil {
		l.Hello = *f.Hello
		l.since = fmt.Sprintf("%d:%d", l.Hello.Epoch, l.Hello.Seq)
		if !l.Hello.Recovered {
			_, err = l.Next(callLimit)
		}
	}
	if err != nil {
		conn.Close()
	}
	return err
}

// Next waits for the next frame, for so long; zero: for ever.
func (l *Listener) Next(within time.Duration) (f api.Frame, err error) {
	end := time.Time{}
	if within > 0 {
		end = time.Now().Add(within)
	}
	l.timed = within > 0
	if err := l.conn.SetReadDeadline(end); err != nil {
		return f, err
	}
	if err := l.conn.ReadJSON(&f); err != nil {
		return f, err
	}
	if n := f.Notice; n != nil {
		l.since = fmt.Sprintf("%d:%d", n.Epoch, n.Seq)
	}
	return f, nil
}

// Heard waits for the next frame and reports whether it is a notice, without reading
// what it says: that costs more than to hear it.
func (l *Listener) Heard() (bool, error) {
	if l.timed {
		if err := l.conn.SetReadDeadline(time.Time{}); err != nil {
			return false, err
		}
		l.timed = false
	}
	_, r, err := l.conn.NextReader()
	if err != nil {
		return false, err
	}
	const begins = `{"type":"notice"`
	var head [len(begins)]byte
	if _, err := io.ReadFull(r, head[:]); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	_, err = io.Copy(io.Discard, r)
	return string(head[:]) == begins, err
}

// Close ends the connection without a farewell.
func (l *Listener) Close() {
	if l.conn != nil {
		l.conn.Close()
	}
}
