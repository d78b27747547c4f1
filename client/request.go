package client

import (
	"context"
	"net/http"
	"net/url"

	"sitegate/api"
)

// What a request, and what meets with one, is refused with.
const (
	ErrTakeoverRefused     Reason = "takeover-refused"      // the site does not let the active machine be asked
	ErrTakeoverNotPossible Reason = "takeover-not-possible" // the active machine's client would not stop by itself
	ErrTakeoverCheckout    Reason = "takeover-checkout"     // a checkout cannot be taken over
	ErrTakeoverUnderWay    Reason = "takeover-under-way"    // another machine of the user is taking over
	ErrUnknownRequest      Reason = "unknown-request"       // nobody asks this any more
)

// Request is Wait, but that the machine the user is active on is asked to let go,
// or ends after a grace, as the site has it (Asks). It is refused with
// ErrTakeoverRefused, ErrTakeoverNotPossible or ErrTakeoverCheckout where that
// cannot be: Wait may still be asked for.
func (c *Client) Request(ctx context.Context, product string) (*Wait, error) {
	return c.await(ctx, api.PathRequests, product)
}

// LetGo gives a session of this machine up, for a program that is not the one
// that runs it: that one is told, and it is renewed no more. The license is free
// when it has stopped.
func (c *Client) LetGo(ctx context.Context, session string) error {
	_, err := c.call(ctx, http.MethodPost, api.PathSessions+"/"+url.PathEscape(session)+"/let-go", api.MachineRequest{Machine: c.cfg.Machine}, nil)
	return err
}

// Decline says to a machine that asks that this one, which is active, does not let
// go.
func (c *Client) Decline(ctx context.Context, request string) error {
	_, err := c.call(ctx, http.MethodPost, api.PathRequests+"/"+url.PathEscape(request)+"/decline", api.MachineRequest{Machine: c.cfg.Machine}, nil)
	return err
}

// Asks is how the active machine was asked, as it stood when the wait began: Asks
// is empty where it was not, and Until is when its sessions end where it is not
// asked but ended.
func (w *Wait) Asks() api.Wait { return w.asks }

// Declined closes when the active machine has declined. The wait goes on.
func (w *Wait) Declined() <-chan struct{} { return w.declined }

// heardNo notes that the active machine has declined.
func (w *Wait) heardNo() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.declined:
	default:
		close(w.declined)
	}
}
