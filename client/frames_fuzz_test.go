package client_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"sitegate/api"
)

// maxLease is the longest that a client believes a grant to be good for without a word.
const maxLease = time.Hour

// Whatever a node says on the websocket, and however it ends it, the client neither breaks nor
// hangs: a session is not good for longer than any may be, and a node that is as it should be
// serves it afterwards.
func FuzzServerFrames(f *testing.F) {
	for _, s := range []string{
		`{"type":"hello","hello":{"epoch":1,"seq":7,"ping_ms":25000,"cluster":"c","nodes":["https://gw2.example"],"recovered":true,"expires_ms":1000}}` + "\n" +
			`{"type":"notice","notice":{"epoch":1,"seq":8,"kind":"link-up"}}` + "\n" + `{"type":"notice","notice":{"epoch":1,"seq":8,"kind":"link-up"}}`,
		`{"type":"hello","hello":{"epoch":18446744073709551615,"seq":18446744073709551615,"ping_ms":9223372036854775807,"expires_ms":9223372036854775807,"retry":{"first_ms":9223372036854775807,"min_ms":-1,"max_ms":1}}}`,
		`{"type":"reconnect","reconnect":{"window_ms":9223372036855,"nodes":["http://127.0.0.1:2"]}}`,
		`{"type":"hello","hello":{}}` + "\n" + `{"type":"reconnect","reconnect":{"window_ms":-1,"nodes":["http://127.0.0.1:2","http://127.0.0.1:3"]}}` + "\n" + `{"type":"reconnect","reconnect":{}}`,
		`{"type":"state","state":{}}` + "\n" + `{"type":"hello","hello":{}}` + "\n" + `{"type":"state","state":{"sessions":null}}`,
		`{"type":"lease","lease":{"n":1,"leases":[{"session":"x","ttl_ms":9223372036854775807}]}}`,
		`{"type":"authed","authed":{"expires_ms":-9223372036854775808}}` + "\n" + `{"type":"nodes","nodes":["","x","https://","https://a@b"]}`,
		`{"type":"notice","notice":{"kind":"gap","seq":3}}` + "\n" + `{"type":"notice","notice":{"kind":"stopped","id":"x","seq":2}}`,
		"{}\nnull\n[]", "\xff", `{"type":"hello"`, ``,
	} {
		f.Add(s, uint16(1000))
	}
	f.Add(`{"type":"hello","hello":{}}`, uint16(api.CloseSlow))
	f.Add(`{"type":"hello","hello":{}}`, uint16(4999))
	f.Fuzz(func(t *testing.T, frames string, code uint16) {
		synctest.Test(t, func(t *testing.T) {
			w := &wire{}
			g := newGateway(t, w)
			var rude atomic.Bool
			up := websocket.Upgrader{Subprotocols: []string{api.NoticesProtocol}}
			w.serve(t, "127.0.0.1:1", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path != api.PathNotices || !rude.CompareAndSwap(true, false) {
					g.ServeHTTP(rw, r)
					return
				}
				conn, err := up.Upgrade(rw, r, nil)
				if err != nil {
					return
				}
				defer conn.Close()
				go func() { // what the client says meanwhile
					for {
						if _, _, err := conn.ReadMessage(); err != nil {
							return
						}
					}
				}()
				for text := range strings.SplitSeq(frames, "\n") {
					if conn.WriteMessage(websocket.TextMessage, []byte(text)) != nil {
						return
					}
				}
				time.Sleep(20 * time.Second)
				conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(int(code), ""), time.Now().Add(time.Second))
				time.Sleep(time.Second)
			}))
			c := desktop(t, w, "WS-101")
			watcher := c.Watch(t.Context())
			<-watcher.Ready()
			session := start(t, c)
			rude.Store(true)
			w.sever(false)
			time.Sleep(30 * time.Second)
			if left := session.Left(); left > maxLease {
				t.Errorf("the session is good for %v", left)
			}
			time.Sleep(2 * time.Minute)
			if _, err := c.Me(t.Context()); err != nil {
				t.Errorf("a request afterwards: got %v, want it answered", err)
			}
		})
	})
}
