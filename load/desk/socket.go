package desk

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/gorilla/websocket"

	"sitegate/api"
)

// Socket is one desktop's websocket of notices. It reads only while it waits for
// the answer to a beat: who does not beat every half a minute loses it.
type Socket struct {
	conn *websocket.Conn
	n    uint64
}

// DialSocket opens a websocket and waits to be greeted. from is where to dial from;
// nil: anywhere.
func DialSocket(ctx context.Context, addr string, conf *tls.Config, from net.Addr, u User, m Machine) (*Socket, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	q := url.Values{"machine": {m.ID}, "name": {m.Name}, "instance": {NewID()}}
	d := websocket.Dialer{
		NetDialContext:  (&net.Dialer{LocalAddr: from}).DialContext,
		TLSClientConfig: conf, Subprotocols: []string{api.NoticesProtocol},
		ReadBufferSize: 1024, WriteBufferSize: 512,
	}
	conn, resp, err := d.DialContext(ctx, "wss://"+addr+api.PathNotices+"?"+q.Encode(), http.Header{"Authorization": {"Bearer " + u.Token}})
	if err != nil {
		if resp != nil {
			err = &Refusal{Status: resp.StatusCode}
		}
		return nil, err
	}
	s := &Socket{conn: conn}
	f, err := s.read()
	if err == nil && f.Hello == nil {
		err = fmt.Errorf("the first frame is a %q, not a greeting", f.Type)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Beat sends a heartbeat for a session and waits until it is acknowledged.
func (s *Socket) Beat(session string) error {
	s.n++
	if err := s.conn.SetWriteDeadline(time.Now().Add(callLimit)); err != nil {
		return err
	}
	if err := s.conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"beat","beat":{"n":%d,"sessions":[%q]}}`, s.n, session)); err != nil {
		return err
	}
	for {
		f, err := s.read()
		switch {
		case err != nil:
			return err
		case f.Lease == nil || f.Lease.N != s.n:
			continue // a notice
		case f.Lease.Error != "":
			return errors.New("not acknowledged: " + f.Lease.Error)
		case len(f.Lease.Leases) != 1 || f.Lease.Leases[0].Reason != "":
			return fmt.Errorf("refused: %+v", f.Lease.Leases)
		}
		return nil
	}
}

func (s *Socket) read() (f api.Frame, err error) {
	if err := s.conn.SetReadDeadline(time.Now().Add(callLimit)); err != nil {
		return f, err
	}
	_, data, err := s.conn.ReadMessage()
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	return f, err
}

// Close closes it without a farewell.
func (s *Socket) Close() { s.conn.Close() }
