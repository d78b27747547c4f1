package endpoint

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// What an idle notice connection costs a node in memory, the client's bare socket
// not counted: B/conn.
func BenchmarkIdleConnections(b *testing.B) {
	node := filled(b)
	const users = 1000
	changes := make([]license.Change, 0, users)
	for i := range users {
		changes = append(changes, license.Change{User: &license.User{ID: license.UserID(fmt.Sprint("u-", i)), Country: "DE"}})
	}
	node.do(b, license.Mirror{From: "c1", Cursor: "c2", Changes: changes})
	r := newRig(b, node)
	used := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	tokens := make([]string, users)
	for i := range tokens {
		tokens[i] = r.issuer.token(b, fmt.Sprint("u-", i))
	}
	for b.Loop() {
		const n = 2000
		conns := make([]net.Conn, 0, n)
		before := used()
		for i := range n {
			c, err := net.Dial("tcp", r.Listener.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			conns = append(conns, c)
			fmt.Fprintf(c, "GET /v1/notices?machine=m-%d&instance=i HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: %s\r\nAuthorization: Bearer %s\r\n\r\n",
				i, api.NoticesProtocol, tokens[i%users])
			resp, err := http.ReadResponse(bufio.NewReaderSize(c, 16), nil)
			if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
				b.Fatal(resp, err)
			}
		}
		deadline := time.Now().Add(time.Minute)
		for node.hub.Len() < n && time.Now().Before(deadline) {
			runtime.Gosched()
		}
		b.ReportMetric(float64(used()-before)/n, "B/conn")
		for _, c := range conns {
			c.Close()
		}
		for node.hub.Len() > 0 && time.Now().Before(deadline) {
			runtime.Gosched()
		}
	}
}
