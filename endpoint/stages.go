package endpoint

import (
	"log/slog"
	"math"
	"time"

	"sitegate/gateway"
)

// staged notes how long the stages of a start or a checkout took, which was under way for
// so long: in histograms, and in the request's line of the log.
func (e *Endpoint) staged(c *call, a gateway.Answer, err error, whole time.Duration) {
	if err != nil {
		return
	}
	for _, stage := range e.stages(a.Took, whole) {
		c.w.more = append(c.w.more, slog.Float64(stage.name+"_ms", math.Round(float64(stage.took.Microseconds())/10)/100))
	}
}

type stage struct {
	name string
	took time.Duration
}

// stages observes the stages of a start or a checkout. What the node that leads has no part
// in is the way to it and back, with looking for it.
func (e *Endpoint) stages(s gateway.Stages, whole time.Duration) [4]stage {
	list := [...]stage{{"check", s.Check}, {"cloud", s.Cloud}, {"commit", s.Commit}, {"way", max(0, whole-s.Check-s.Cloud-s.Commit)}}
	for _, x := range list {
		e.metrics.stages.WithLabelValues(x.name).Observe(x.took.Seconds())
	}
	return list
}
