package gateway

import "time"

// Stages is how long the parts of a start or a checkout took on the node that led. What
// there was none of is zero, or as good as that.
type Stages struct {
	// Check is until the site's own rules had refused it, or had nothing against it: with
	// waiting for what else the user asks, and for a majority's word where it is refused.
	Check time.Duration `json:",omitempty"`
	// Cloud is asking the vendor's cloud.
	Cloud time.Duration `json:",omitempty"`
	// Commit is until a majority has it on disk and it is applied.
	Commit time.Duration `json:",omitempty"`
}

// timing takes the times of a request's stages, one after the other.
type timing struct {
	Stages
	last time.Time // since when the next one runs
}

// end ends a stage; the next one begins.
func (t *timing) end(stage *time.Duration) {
	now := time.Now()
	*stage, t.last = now.Sub(t.last), now
}
