package endpoint

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
	"sitegate/phrase"
	"sitegate/report"
)

// report is GET /v1/site/report: of the last whole day, week or month, or from one time to
// another.
func (e *Endpoint) report(c *call) (reply, error) {
	s, err := c.searched()
	if err != nil {
		return reply{}, err
	}
	q := report.Query{Lang: c.lang, Called: e.cfg.Pseudonym}
	now := e.gw.Now().Std()
	if q.Until, err = moment(s.Values, "to", now); err != nil {
		return reply{}, err
	}
	if q.From, err = moment(s.Values, "from", q.Until.Add(-defaultPeaks)); err != nil {
		return reply{}, err
	}
	switch p := report.Period(s.Get("period")); p {
	case "":
	case report.Day, report.Week, report.Month:
		q.From, q.Until = p.Last(now)
	default:
		return reply{}, malformed("period is day, week or month")
	}
	if q.From.After(q.Until) || q.Until.Sub(q.From) > maxPeaks || q.From.Before(time.Unix(0, 0)) {
		return reply{}, malformed("from is not before to, or more than 400 days before it")
	}
	if text := s.Get("names"); text != "" {
		if q.Names, err = strconv.ParseBool(text); err != nil {
			return reply{}, malformed("names is true or false")
		}
	}
	if q.Names {
		if err := c.administrator.may(route{method: c.r.Method, role: license.Operator}); err != nil {
			return reply{}, err
		}
	}
	if text := s.Get("lang"); text != "" {
		q.Lang, _ = phrase.Parse(text)
	}
	out, err := report.Make(c.ctx, e.gw, q)
	if errors.Is(err, gateway.ErrTooMuch) {
		return reply{}, &trouble{code: api.CodeTooLarge, detail: "there are more machines than this node can count at once; ask for a shorter time"}
	}
	return reply{status: http.StatusOK, body: out}, err
}
