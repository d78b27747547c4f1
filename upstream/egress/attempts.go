package egress

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
)

// Attempt is how often one way out was tried with one result, since New.
type Attempt struct {
	// By is the proxy's name; ViaDirect; ViaPAC for all proxies that only the PAC file names, and for what that file did not say; or ViaDeny.
	By     string
	Result string // ResultOK, ResultCanceled, ResultOther, or the Code of what went wrong
	Count  uint64
}

// Results of attempts that are no Code.
const (
	ResultOK       = "ok"
	ResultCanceled = "canceled" // the caller did not want it any more
	ResultOther    = "other"
)

// maxAttemptsKept bounds the pairs that are counted: names come and go with the configuration. What is one too many is counted as ResultOther of ViaPAC.
const maxAttemptsKept = 2048

// attempts counts what came of tries. The zero attempts is ready.
type attempts struct {
	mu    sync.Mutex
	count map[[2]string]uint64
}

func (a *attempts) add(by string, err error) {
	key := [2]string{by, resultOf(err)}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.count == nil {
		a.count = map[[2]string]uint64{}
	}
	if _, there := a.count[key]; !there && len(a.count) >= maxAttemptsKept {
		key = [2]string{ViaPAC, ResultOther}
	}
	a.count[key]++
}

func resultOf(err error) string {
	var e *Error
	switch {
	case err == nil:
		return ResultOK
	case errors.As(err, &e):
		return string(e.Code)
	case errors.Is(err, context.Canceled):
		return ResultCanceled
	}
	return ResultOther
}

// by is what a candidate is counted as.
func (w *way) by(c candidate) string {
	switch {
	case c.p == nil:
		return ViaDirect
	case w.byName[c.p.name()] == c.p:
		return c.p.name()
	}
	return ViaPAC
}

// Attempts are all that were made by dialling and by Run, in order of their names. Those of Check are not among them.
func (d *Dialer) Attempts() []Attempt {
	d.tried.mu.Lock()
	defer d.tried.mu.Unlock()
	list := make([]Attempt, 0, len(d.tried.count))
	for key, n := range d.tried.count {
		list = append(list, Attempt{By: key[0], Result: key[1], Count: n})
	}
	slices.SortFunc(list, func(a, b Attempt) int { return cmp.Or(cmp.Compare(a.By, b.By), cmp.Compare(a.Result, b.Result)) })
	return list
}
