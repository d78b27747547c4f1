package license

import (
	"encoding/binary"
	"time"
)

// Peaks outlive the events that they were counted from: once a day is over its peaks are
// noted in the log, so that all nodes have the same, and snapshots and backups have them.
// They name products and nobody.

// KeepPeaks notes the peaks of days that are over. Only the leader proposes it.
type KeepPeaks struct {
	Peaks []Peak `cbor:"1,keyasint,omitempty"` // at most MaxKeepPeaks
	// Until is the day, in GMT, before which all days are noted with these; zero: more
	// of them follow.
	Until Time `cbor:"2,keyasint,omitempty"`
}

// MaxKeepPeaks is how many peaks one KeepPeaks may have.
const MaxKeepPeaks = 250

func (c KeepPeaks) decide(s *State, _ Time) *Denial {
	if len(c.Peaks) > MaxKeepPeaks || c.Until%day != 0 || c.Until > s.head.Now {
		return deny(BadCommand)
	}
	for i := range c.Peaks {
		p := &c.Peaks[i]
		if p.Day <= 0 || p.Day%day != 0 || p.Day+day > s.head.Now || p.Product == "" || !validName(string(p.Product)) || p.Machines < 1 || p.Pooled < 0 {
			return deny(BadCommand)
		}
		if p.Day < s.head.PeaksUntil {
			return deny(TooLate) // another leader has done it
		}
	}
	return nil
}

func (c KeepPeaks) do(s *State, _ Time) Outcome {
	if len(c.Peaks) == 0 && c.Until <= s.head.PeaksUntil {
		return Outcome{Repeat: true}
	}
	s.changed.peaks = append(s.changed.peaks, c.Peaks...)
	s.head.PeaksUntil = max(s.head.PeaksUntil, c.Until)
	return Outcome{}
}

const day = Time(24 * time.Hour / time.Millisecond)

// Key names the record of a peak; those of a day come before those of the next.
func (p *Peak) Key() Key {
	return Key{KeyPeak, string(append(binary.BigEndian.AppendUint64(nil, uint64(p.Day)), p.Product...))}
}
