package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"sitegate/api"
)

// bare is gorilla/websocket with nothing around it: nobody is asked who they are, nobody
// resumes, and a frame is written in the loop that goes through everybody, one such loop a
// processor, so that who does not read would keep the others waiting. Its connections are as
// cheap as that library has them: short buffers, and goroutines that only read.
type bare struct {
	upgrader websocket.Upgrader
	mu       sync.Mutex
	users    map[string]*websocket.Conn
	all      []*websocket.Conn
}

// serveGorilla is serveCentrifuge with gorilla/websocket alone. What it tells is, byte for
// byte but for the time and number, what sitegate bench hub does of a product of 240 bytes.
func serveGorilla(ctx context.Context, args []string, stderr io.Writer) error {
	f := flag.NewFlagSet("bench gorilla", flag.ContinueOnError)
	f.SetOutput(stderr)
	listen := f.String("listen", "127.0.0.1:0", "address")
	secure := f.Bool("tls", false, "serve over TLS, with a certificate of its own")
	if err := f.Parse(args); err != nil {
		return err
	}
	b := &bare{users: map[string]*websocket.Conn{}, upgrader: websocket.Upgrader{ReadBufferSize: 512, WriteBufferPool: &sync.Pool{},
		CheckOrigin: func(*http.Request) bool { return true }}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /connection/websocket", b.connect)
	mux.HandleFunc("POST /collect", func(http.ResponseWriter, *http.Request) { debug.FreeOSMemory() })
	mux.HandleFunc("POST /publish", func(w http.ResponseWriter, r *http.Request) {
		if err := b.publish(r.FormValue("user")); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	if *secure {
		pair, err := ownCertificate()
		if err != nil {
			return err
		}
		ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}})
	}
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { s.Close() })()
	if err := s.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (b *bare) connect(w http.ResponseWriter, r *http.Request) {
	conn, err := b.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // it has been answered
	}
	conn.SetReadLimit(api.MaxFrame)
	b.mu.Lock()
	b.users[r.FormValue("user")] = conn
	b.all = append(b.all, conn)
	b.mu.Unlock()
	go func() {
		defer conn.Close()
		for {
			if _, _, err := conn.NextReader(); err != nil {
				return
			}
		}
	}()
}

// publish tells a user something, or everybody.
func (b *bare) publish(user string) error {
	product := strings.Repeat("p", 240)
	frame, err := json.Marshal(api.Frame{Type: api.FrameNotice, Notice: &api.Notice{Epoch: 1, Seq: 12345, At: time.Now().UTC(), Kind: api.KindGranted,
		Text: product + ` has started on "WS-1".`, Product: product, Machine: "WS-1"}})
	if err != nil {
		return err
	}
	said, err := websocket.NewPreparedMessage(websocket.TextMessage, frame)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	to := b.all
	if user != everybody {
		conn := b.users[user]
		if conn == nil {
			return fmt.Errorf("there is no user %s", strconv.Quote(user))
		}
		to = []*websocket.Conn{conn}
	}
	late := time.Now().Add(5 * time.Second)
	var loops sync.WaitGroup
	each := (len(to) + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0)
	for i := 0; i < len(to); i += each {
		loops.Go(func() {
			for _, conn := range to[i:min(i+each, len(to))] {
				conn.SetWriteDeadline(late)
				if conn.WritePreparedMessage(said) != nil {
					conn.Close()
				}
			}
		})
	}
	loops.Wait()
	return nil
}

// ownCertificate is one that nobody vouches for.
func ownCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
