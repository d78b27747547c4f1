package main

import (
	"testing"
	"time"
)

// The times of a gateway's sentences are shown as this computer's clock has them; what is
// no such time stays.
func TestTimesOfSentencesAreLocal(t *testing.T) {
	zone := time.FixedZone("somewhere", 5*3600+1800)
	for text, want := range map[string]string{
		"It is free on 2026-03-02 09:00 UTC at the latest.":                    "It is free on 2026-03-02 14:30 at the latest.",
		"kept until 2026-03-02 23:59:30 UTC. Start it.":                        "kept until 2026-03-03 05:29:30. Start it.",
		"von 2026-03-02 09:00 UTC bis 2026-03-02 10:00 UTC":                    "von 2026-03-02 14:30 bis 2026-03-02 15:30",
		"2026-13-02 09:00 UTC, 2026-03-02 09:00 CET and 12026-03-02 09:00 UTC": "2026-13-02 09:00 UTC, 2026-03-02 09:00 CET and 12026-03-02 09:00 UTC",
	} {
		if got := local(text, zone); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
