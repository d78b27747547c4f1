package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// undoTime is how long is tried to give back what nobody was told of.
const undoTime = 3 * time.Second

// obtain asks for something under an id of the caller's. Where that fails and may
// have been done all the same, it is given back with a DELETE of its own path, so
// that nobody holds what they do not know of.
func (c *Client) obtain(ctx context.Context, path, own string, in, out any) (sending, error) {
	asked, err := c.call(ctx, http.MethodPost, path, in, out)
	if err != nil && asked.maybe && !Denied(err) {
		c.undo(own)
	}
	return asked, err
}

// undo gives something back, as well as it can be done. Close waits for it.
func (c *Client) undo(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.undoing.Go(func() {
		ctx, cancel := context.WithTimeout(c.ctx, undoTime)
		defer cancel()
		if _, err := c.call(ctx, http.MethodDelete, path, nil, nil); err != nil {
			c.log.Debug("what was not told could not be given back", "path", path, "err", err)
		}
	})
}

// own is the path to something of this machine's that is to be given back.
func (c *Client) own(path, id string) string {
	return path + "/" + url.PathEscape(id) + "?" + url.Values{"machine": {c.cfg.Machine.ID}, "name": {c.cfg.Machine.Name}}.Encode()
}
