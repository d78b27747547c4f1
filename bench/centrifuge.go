package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/centrifugal/centrifuge"
)

// everybody is the channel that all clients are in; each is also in one named like its
// user.
const everybody = "all"

// serveCentrifuge serves websockets with centrifuge, the library that Centrifugo is made
// of, as it comes: what sitegate bench hub is of ours. POST /publish tells a user
// something of so many bytes, or everybody; POST /collect gives back memory that is not
// in use.
func serveCentrifuge(ctx context.Context, args []string, stderr io.Writer) error {
	f := flag.NewFlagSet("bench centrifuge", flag.ContinueOnError)
	f.SetOutput(stderr)
	listen := f.String("listen", "127.0.0.1:0", "address")
	if err := f.Parse(args); err != nil {
		return err
	}
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return err
	}
	node.OnConnecting(func(_ context.Context, e centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{UserID: e.Token},
			Subscriptions: map[string]centrifuge.SubscribeOptions{e.Token: {}, everybody: {}}}, nil
	})
	if err := node.Run(); err != nil {
		return err
	}
	defer node.Shutdown(context.WithoutCancel(ctx))
	mux := http.NewServeMux()
	mux.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{}))
	mux.HandleFunc("POST /collect", func(http.ResponseWriter, *http.Request) { debug.FreeOSMemory() })
	mux.HandleFunc("POST /publish", func(w http.ResponseWriter, r *http.Request) {
		size, err := strconv.Atoi(r.FormValue("size"))
		if err == nil && size >= 0 && size <= 1<<20 {
			_, err = node.Publish(r.FormValue("user"), fmt.Appendf(nil, `{"text":%q}`, strings.Repeat("p", size)))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	s := &http.Server{Addr: *listen, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { s.Close() })()
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
