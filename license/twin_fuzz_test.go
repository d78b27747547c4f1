package license

import (
	"flag"
	"reflect"
	"sync/atomic"
	"testing"
)

var twinEntries = flag.Int("twin", 0, "how many random entries TestTwinLong gives to the rules and their twin")

// FuzzTwin gives the entries of its bytes to Apply and to the twin.
func FuzzTwin(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(randomScript(seed, 1000))
	}
	f.Fuzz(func(t *testing.T, bytes []byte) {
		if len(bytes) > 4000 {
			bytes = bytes[:4000]
		}
		twinScript(t, bytes)
	})
}

// TestTwin does the same for many random sequences.
func TestTwin(t *testing.T) {
	sequences := 2000
	if testing.Short() {
		sequences = 200
	}
	entries := 0
	for seed := range sequences {
		entries += twinScript(t, randomScript(uint64(seed), 1500))
	}
	for seed := range sequences / 10 {
		entries += playTwin(t, &script{bytes: randomScript(uint64(seed), 1500), staff: true})
	}
	t.Logf("%d entries", entries)
}

// TestTwinLong does it for as many entries as it is told: one machine (I1), never
// wider (I2) and same log, same state (I6).
func TestTwinLong(t *testing.T) {
	if *twinEntries == 0 {
		t.Skip("only where it is told how many entries: -twin 10000000")
	}
	var seed, entries atomic.Int64
	t.Run("both", func(t *testing.T) {
		for range 2 {
			t.Run("half", func(t *testing.T) {
				t.Parallel()
				for entries.Load() < int64(*twinEntries) {
					n := seed.Add(1)
					t.Logf("sequence %d", n) // seen where it fails
					entries.Add(int64(twinScript(t, randomScript(1_000_000+uint64(n), 1500))))
				}
			})
		}
	})
	t.Logf("%d entries in %d sequences", entries.Load(), seed.Load())
}

// twinScript holds Apply to the twin, to the ledger of one machine, and to itself:
// applied once more, the same entries give the same state. It returns how many
// entries there were.
func twinScript(t *testing.T, bytes []byte) int {
	t.Helper()
	return playTwin(t, &script{bytes: bytes, terms: true})
}

func playTwin(t *testing.T, script *script) int {
	t.Helper()
	script.world()
	naive, w := &twin{}, newWitness(t)
	entries := script.founding()
	for i := 0; i < len(entries) || !script.done(); i++ {
		if i == len(entries) {
			entries = append(entries, script.entry(w.state))
		}
		checked := Check(w.state, entries[i].At, entries[i].Command)
		out, events := Apply(w.state, entries[i])
		w.diary = append(w.diary, happening{entries[i], out, events})
		wantOut, wantEvents := naive.apply(entries[i])
		if !reflect.DeepEqual(out, wantOut) || !reflect.DeepEqual(events, wantEvents) {
			w.fail("the twin answers %s\n%s\nApply %s\n%s", text(wantOut), text(wantEvents), text(out), text(events))
		}
		if checked != nil && (out.Denial == nil || out.Denial.Reason != checked.Reason) {
			w.fail("Check refuses with %v, Apply gives %v", text(checked), text(out.Denial))
		}
		w.ledger.note(entries[i].Command, events)
		if i%16 == 15 || script.done() {
			if other := naive.differs(w.state); other != "" {
				w.fail("after entry %d: %s", i, other)
			}
		}
	}
	for _, e := range entries {
		Apply(w.twin, e)
	}
	w.sameState("applied once more", w.twin, w.state)
	return len(entries)
}
