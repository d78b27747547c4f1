package endpoint

import (
	"log/slog"
	"math"
	"slices"
	"time"

	"sitegate/gateway"
)

// staged notes how long the stages of a start or a checkout took, which was under way for
// so long: in histograms, and in the request's line of the log.
func (e *Endpoint) staged(c *call, a gateway.Answer, err error, whole time.Duration) {
	if err != nil {
		return
	}
	stages := e.stages(a.Took, whole)
	c.w.more = slices.Grow(c.w.more, len(stages))
	for _, stage := range stages {
		c.w.more = append(c.w.more, slog.Float64(stage.said, math.Round(float64(stage.took.Microseconds())/10)/100))
	}
}

type stage struct {
	name string
	said string // in the log
	took time.Duration
}

// stages observes the stages of a start or a checkout. What the node that leads has no part
// in is the way to it and back, with looking for it.
func (e *Endpoint) stages(s gateway.Stages, whole time.Duration) [4]stage {
	list := [...]stage{{"check", "check_ms", s.Check}, {"cloud", "cloud_ms", s.Cloud}, {"commit", "commit_ms", s.Commit}, {"way", "way_ms", max(0, whole-s.Check-s.Cloud-s.Commit)}}
	for _, x := range list {
		e.metrics.stages.WithLabelValues(x.name).Observe(x.took.Seconds())
	}
	return list
}
