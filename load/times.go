package load

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Times counts durations in buckets of a microsecond up to 128 µs, and from there
// on of a 128th of the power of two they are in. The zero value is ready; its
// methods may be called at once from many goroutines.
type Times struct {
	parts [parts]part
	max   atomic.Int64
}

const (
	parts     = 16 // callers count apart, so that counting makes nobody wait
	fine      = 7  // bits of a bucket's number within its power of two
	octaves   = 30
	bucketsOf = (octaves + 1) << fine
)

type part struct {
	buckets [bucketsOf]atomic.Uint64
}

// Add counts one.
func (t *Times) Add(d time.Duration) { t.add(0, d) }

func (t *Times) add(caller int, d time.Duration) {
	d = max(d, 0)
	t.parts[uint(caller)%parts].buckets[bucketOf(d)].Add(1)
	for {
		most := t.max.Load()
		if int64(d) <= most || t.max.CompareAndSwap(most, int64(d)) {
			return
		}
	}
}

func bucketOf(d time.Duration) int {
	us := uint64(d / time.Microsecond)
	if us < 1<<fine {
		return int(us)
	}
	octave := bits.Len64(us) - fine // at least 1
	if octave > octaves {
		return bucketsOf - 1
	}
	return octave<<fine | int(us>>(octave-1))&(1<<fine-1)
}

// upTo is where a bucket ends.
func upTo(bucket int) time.Duration {
	if bucket < 1<<fine {
		return time.Duration(bucket+1) * time.Microsecond
	}
	octave, within := bucket>>fine, bucket&(1<<fine-1)
	return time.Duration((1<<fine+within+1)<<(octave-1)) * time.Microsecond
}

// Count is how many were counted.
func (t *Times) Count() (n uint64) {
	for i := range t.parts {
		for j := range t.parts[i].buckets {
			n += t.parts[i].buckets[j].Load()
		}
	}
	return n
}

// Quantile is what a share of them stayed within, 0.5 the median: too long by one
// part in 128, or a microsecond, at the most. Zero if there are none.
func (t *Times) Quantile(share float64) time.Duration {
	rest := uint64(share * float64(t.Count()))
	for j := range bucketsOf {
		var n uint64
		for i := range t.parts {
			n += t.parts[i].buckets[j].Load()
		}
		if n > rest {
			return min(upTo(j), t.Max())
		}
		rest -= n
	}
	return t.Max()
}

// Max is the longest.
func (t *Times) Max() time.Duration { return time.Duration(t.max.Load()) }
