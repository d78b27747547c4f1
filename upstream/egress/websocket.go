package egress

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"
)

// AskWebsocket asks the other end of c, which is called addr, for a websocket at path, as a client does, and says whether it comes: a *Error with WebsocketBlocked if it does
// not. It shows no token: an answer of 401 or 403 to what asked for a websocket gives no error. That something on the way has taken the question for one out is known where the
// server then answers with 426, or with 400 and a problem document, as this gateway does. An answer of 429, or of 500 and above, says nothing of it: APIUnreachable. The connection is of no use afterwards, and stays the caller's to close.
func AskWebsocket(ctx context.Context, c net.Conn, addr, path string) error {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	key := make([]byte, 16)
	_, _ = rand.Read(key) // it never fails
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addr+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "sitegate-doctor")
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	req.Header.Set("Sec-WebSocket-Version", "13")
	req.Header.Set("Sec-WebSocket-Key", base64.StdEncoding.EncodeToString(key))
	blocked := func(how string, err error) error {
		return &Error{Code: WebsocketBlocked, Err: err, Message: fmt.Sprintf("HTTPS to %s goes through, and a websocket does not: %s.", addr, how),
			Action: fmt.Sprintf("Ask whoever runs what is in between (a load balancer, an inspecting proxy) to let websockets to %s through. Until then notices come by long poll, a little later.", addr)}
	}
	if err := req.Write(c); err != nil {
		return blocked("the connection is cut", err)
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(c, 4096), req)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case err != nil && (isTimeout(err) || ctx.Err() != nil):
		return blocked("there is no answer", err)
	case err != nil:
		return blocked("the connection is cut", err)
	}
	_ = resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusSwitchingProtocols:
		if !strings.EqualFold(resp.Header.Get("Upgrade"), "websocket") {
			return blocked("the answer has lost its Upgrade header", nil)
		}
		return nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil
	case http.StatusUpgradeRequired:
		return blocked("the request has lost its Upgrade header on the way"+via(resp), nil)
	case http.StatusBadRequest:
		if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "application/problem+json" { // a node's own; a load balancer's is about something else
			return blocked("the request has lost its Upgrade header on the way"+via(resp), nil)
		}
	}
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500 {
		return &Error{Code: APIUnreachable, Message: fmt.Sprintf("Whether websockets get through to %s is not known: the answer is %s%s.", addr, printable(resp.Status, 80), via(resp)),
			Action: "Try again in a minute; if it stays so, see whether the node behind it runs (sitegate status), and whether what is in front of it knows that."}
	}
	return blocked("the answer is "+printable(resp.Status, 80)+via(resp), nil)
}
