package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"sitegate/api"
)

const (
	helloTimeout = 10 * time.Second
	writeTimeout = 5 * time.Second
	pingGrace    = 15 * time.Second // after the server's ping interval, nothing heard is dead
	pingDefault  = 25 * time.Second
	mostWindow   = 10 * time.Minute   // of a node that is going
	mostLife     = 7 * 24 * time.Hour // of a token, before it is looked at again
)

// millis is a time that a node has said in milliseconds, from none to the most that is believed.
func millis(ms int64, most time.Duration) time.Duration {
	return time.Duration(min(max(ms, 0), int64(most/time.Millisecond))) * time.Millisecond
}

// errMoveOn: this client has left a connection for a better one.
var errMoveOn = errors.New("connecting anew")

// serve holds one websocket until it ends. reached: there was somebody at the other
// end of the wire.
func (l *link) serve(ctx context.Context, node string) (reached bool, _ error) {
	conn, token, reached, err := l.dial(ctx, node)
	if err != nil {
		return reached, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	defer conn.Close()
	var moved atomic.Bool
	bye := func() {
		conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
		conn.Close() // the read loop ends with it
	}
	defer context.AfterFunc(ctx, bye)()
	moveOn := func() { moved.Store(true); bye() }
	conn.SetReadLimit(maxAnswer)
	alive := helloTimeout
	conn.SetReadDeadline(time.Now().Add(alive))
	conn.SetPingHandler(func(data string) error {
		conn.SetReadDeadline(time.Now().Add(alive))
		err := conn.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(writeTimeout))
		if errors.Is(err, websocket.ErrCloseSent) {
			return nil
		}
		return err
	})
	var g greeting
	var leave *time.Timer // to another node, since this one is going
	authed := make(chan api.Authed, 1)
	for {
		_, data, err := conn.ReadMessage()
		if moved.Load() {
			return true, errMoveOn
		}
		if err != nil {
			return true, err
		}
		var f api.Frame
		if err := json.Unmarshal(data, &f); err != nil {
			return true, fmt.Errorf("a frame that cannot be read: %w", err)
		}
		switch {
		case f.Type == api.FrameHello && f.Hello != nil:
			alive = cmp.Or(millis(f.Hello.PingMS, time.Hour), pingDefault) + pingGrace
			l.c.nodes.answered(node)
			if life := millis(f.Hello.ExpiresMS, mostLife); life > 0 {
				beside.Go(func() { l.staySignedIn(ctx, conn, token, life, authed, moveOn) })
			}
		case f.Type == api.FrameAuthed && f.Authed != nil:
			select {
			case authed <- *f.Authed:
			default: // nobody has asked
			}
		case f.Type == api.FrameReconnect && f.Reconnect != nil && leave == nil:
			if l.c.nodes.others(node, f.Reconnect.Nodes) {
				window := millis(f.Reconnect.WindowMS, mostWindow)
				leave = time.AfterFunc(rand.N(window+1), func() { l.c.nodes.failed(node, 0); moveOn() })
				defer leave.Stop()
			}
		}
		conn.SetReadDeadline(time.Now().Add(alive))
		l.take(conn, node, &g, f)
	}
}

// address is what a client asks for notices with.
func (l *link) address(path string) string {
	m := l.c.cfg.Machine
	q := url.Values{"machine": {m.ID}, "name": {m.Name}, "instance": {l.c.instance}, "lang": {l.c.cfg.Lang}}
	l.mu.Lock()
	if l.known && l.cluster != "" { // no node resumes what it does not know to be of its own cluster
		q.Set("since", fmt.Sprintf("%d:%d", l.token.Epoch, l.token.Seq))
		q.Set("cluster", l.cluster)
	}
	l.mu.Unlock()
	for k, v := range q {
		if v[0] == "" {
			delete(q, k)
		}
	}
	return path + "?" + q.Encode()
}

func (l *link) dial(ctx context.Context, node string) (_ *websocket.Conn, token string, reached bool, _ error) {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	token, err := l.c.token(ctx)
	if err != nil {
		return nil, token, false, err
	}
	h := http.Header{}
	l.c.head(h, token)
	tlsConf := l.c.tls.Clone()
	tlsConf.NextProtos = []string{"http/1.1"} // websockets do not travel on HTTP/2 here
	var wired atomic.Bool
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := l.c.cfg.Dial(ctx, network, address)
		wired.Store(err == nil)
		return conn, err
	}
	d := websocket.Dialer{NetDialContext: dial, Proxy: l.c.cfg.Proxy, TLSClientConfig: tlsConf,
		Subprotocols: []string{api.NoticesProtocol}, ReadBufferSize: 4096, WriteBufferSize: 1024}
	conn, resp, err := d.DialContext(ctx, "ws"+node[len("http"):]+l.address(api.PathNotices), h)
	if err != nil {
		if resp != nil && errors.Is(err, websocket.ErrBadHandshake) {
			body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // as much as gorilla kept
			e := l.c.lang.problem(node, resp, body)
			if e.Code == api.CodeUnauthorized {
				l.c.dated(resp)
				l.c.notTaken(token)
			}
			return nil, token, true, e
		}
		return nil, token, wired.Load(), err
	}
	if conn.Subprotocol() != api.NoticesProtocol {
		conn.Close()
		return nil, token, true, fmt.Errorf("%s does not speak %s", node, api.NoticesProtocol)
	}
	return conn, token, true, nil
}

func (l *link) write(conn *websocket.Conn, f api.Frame) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	return conn.WriteJSON(f)
}
