package endpoint

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
)

const (
	defaultPeaks = 7 * 24 * time.Hour   // of usage, where nobody says from when
	maxPeaks     = 400 * 24 * time.Hour // at once
)

// peaks is GET /v1/usage/peaks on the operator's socket.
func (e *Endpoint) peaks(c *call) (reply, error) {
	q := c.r.URL.Query()
	until, err := moment(q, "to", e.gw.Now().Std())
	if err != nil {
		return reply{}, err
	}
	from, err := moment(q, "from", until.Add(-defaultPeaks))
	if err != nil {
		return reply{}, err
	}
	if from.After(until) || until.Sub(from) > maxPeaks || from.Before(time.Unix(0, 0)) {
		return reply{}, malformed("from is not before to, or more than 400 days before it")
	}
	after, err := moment(q, "after", from)
	if err != nil {
		return reply{}, err
	}
	product := q.Get("product")
	if !plain(product) {
		return reply{}, malformed("product is longer than 256 bytes or has control characters")
	}
	if after.Before(from) {
		after = from
	}
	end := license.TimeOf(until)
	peaks, to, err := e.gw.Peaks(c.ctx, license.TimeOf(after), end, license.ProductID(product))
	if errors.Is(err, gateway.ErrTooMuch) {
		return reply{}, &trouble{code: api.CodeTooLarge, detail: "there are more machines than this node can count at once; ask for one product at a time"}
	}
	if err != nil {
		return reply{}, err
	}
	out := api.List[api.Peak]{Items: []api.Peak{}}
	if to < end {
		out.Next = to.Std().Format(time.RFC3339)
	}
	e.gw.View(func(s *license.State) {
		for _, p := range peaks {
			out.Items = append(out.Items, api.Peak{Day: p.Day.Std(), Product: string(p.Product), Name: productName(s, p.Product),
				Machines: p.Machines, At: p.At.Std(), Pooled: p.Pooled, PooledAt: p.PooledAt.Std()})
		}
	})
	return reply{status: http.StatusOK, body: out}, nil
}

// moment reads a time of the query: RFC 3339, or a day in GMT.
func moment(q url.Values, name string, otherwise time.Time) (time.Time, error) {
	text := q.Get(name)
	if text == "" {
		return otherwise, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, malformed(name + " is neither a day (2026-11-21) nor an RFC 3339 time")
}
