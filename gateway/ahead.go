package gateway

import (
	"context"
	"errors"

	"sitegate/license"
)

// errNotAhead: the page that is wanted was not asked for ahead.
var errNotAhead = errors.New("the page was not read ahead")

// ahead reads a page of the feed while the one before is brought in. The zero ahead
// reads none. It is for one goroutine, which drops it at the end.
type ahead struct {
	cursor string
	cancel context.CancelFunc // nil: none is being read
	done   chan struct{}
	page   license.Page
	err    error
}

// begin reads what follows on a cursor.
func (a *ahead) begin(ctx context.Context, cloud Cloud, cursor string) {
	a.drop()
	ctx, a.cancel = context.WithCancel(ctx)
	a.cursor, a.done = cursor, make(chan struct{})
	go func() {
		defer close(a.done)
		a.page, a.err = cloud.Changes(ctx, cursor, 0)
	}()
}

// take returns what follows on a cursor; errNotAhead: something else was read, or
// nothing. It was not interrupted: it waits for no news.
func (a *ahead) take(cursor string) (page license.Page, interrupted bool, err error) {
	if a.cancel == nil || a.cursor != cursor {
		return page, false, errNotAhead
	}
	<-a.done
	page, err = a.page, a.err
	a.drop()
	return page, false, err
}

// drop forgets what was read, and returns when nothing is being read.
func (a *ahead) drop() {
	if a.cancel == nil {
		return
	}
	a.cancel()
	<-a.done
	*a = ahead{}
}
