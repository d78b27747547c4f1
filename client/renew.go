package client

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"time"

	"github.com/gorilla/websocket"

	"sitegate/api"
)

const (
	// authLead is how long before its end an access token is renewed on a connection:
	// when sources of tokens have a new one (they renew a minute before).
	authLead   = 45 * time.Second
	authSpread = 20 * time.Second // of those who signed in together
	authAgain  = 5 * time.Second  // after there was none, or it was not taken
	authWait   = 10 * time.Second // for an answer
)

// staySignedIn brings the next access token before the one that a connection was made
// with, which lasts for life, is over. Where it cannot, the gateway ends the connection.
func (l *link) staySignedIn(ctx context.Context, conn *websocket.Conn, token string, life time.Duration, authed <-chan api.Authed, moveOn func()) {
	due := func(life time.Duration) time.Duration {
		return life - min(authLead-rand.N(authSpread), life/3)
	}
	wait := due(life)
	for n := uint64(1); sleep(ctx, ctx, wait); n++ {
		wait = authAgain
		next, err := l.c.token(ctx)
		if err != nil {
			l.c.log.Info("no access token to go on with", "err", err)
			continue
		}
		if next == token {
			continue
		}
		f := api.Frame{Type: api.FrameAuth, Auth: &api.Auth{N: n, Token: next}}
		if b, err := json.Marshal(f); err != nil || len(b) >= api.MaxFrame {
			moveOn() // it is brought by connecting anew
			return
		}
		if l.write(conn, f) != nil {
			conn.Close()
			return
		}
		a, ok := answerTo(ctx, n, authed)
		switch {
		case !ok:
			conn.Close()
			return
		case a.Error == "user":
			moveOn() // somebody else has signed in here
			return
		case a.Error != "":
			l.c.log.Info("the access token was not taken", "why", a.Error)
			continue
		}
		token = next
		wait = due(millis(a.ExpiresMS, mostLife))
	}
}

// answerTo waits for the answer to the auth frame n; false: there is none.
func answerTo(ctx context.Context, n uint64, authed <-chan api.Authed) (api.Authed, bool) {
	late := time.NewTimer(authWait)
	defer late.Stop()
	for {
		select {
		case a := <-authed:
			if a.N == n {
				return a, true
			}
		case <-late.C:
			return api.Authed{}, false
		case <-ctx.Done():
			return api.Authed{}, false
		}
	}
}
