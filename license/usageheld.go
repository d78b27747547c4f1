package license

import (
	"cmp"
	"maps"
	"slices"
)

// The bounds of what is set aside.
const (
	// MaxSetAside is how many usage records may be set aside. Where there are as many,
	// it is not the records that are wrong, and delivery waits.
	MaxSetAside = 1000
	// MaxSetAsideAtOnce is how many one command sets aside.
	MaxSetAsideAtOnce = 100
)

// SetAside is a usage record that the cloud has refused for good: it is kept apart,
// so that it does not keep back those behind it, until the cloud takes it after all.
type SetAside struct {
	Usage Usage  `cbor:"1,keyasint"`
	Why   string `cbor:"2,keyasint,omitempty"` // what the cloud said
	At    Time   `cbor:"3,keyasint,omitempty"` // set by the rules
}

// UsageSetAside: the cloud has refused usage records for good. The administrators are
// told.
type UsageSetAside struct {
	Records []SetAside `cbor:"1,keyasint"`
	To      []UserID   `cbor:"2,keyasint,omitempty"` // the administrators, as they were then
}

// SettleUsage says that the cloud has taken records that were set aside.
type SettleUsage struct {
	Records []string `cbor:"1,keyasint"`
	By      string   `cbor:"2,keyasint,omitempty"` // who had them sent again; empty: the site did by itself
}

// UsageSettled: the cloud has these records after all.
type UsageSettled struct {
	Records []string `cbor:"1,keyasint"`
	By      string   `cbor:"2,keyasint,omitempty"`
}

// AllSetAside are the records that are set aside, in the order of their events.
func AllSetAside(s *State) []SetAside {
	return slices.SortedFunc(maps.Values(s.setAside), func(a, b SetAside) int {
		return cmp.Or(cmp.Compare(a.Usage.Seq, b.Usage.Seq), cmp.Compare(a.Usage.Record, b.Usage.Record))
	})
}

// UsageWaiting is how many usage records are on their way to the cloud.
func (s *State) UsageWaiting() uint64 {
	h := &s.head
	return h.UsageMade - min(h.UsageMade, h.UsageKept+uint64(len(s.setAside)))
}

func (x *SetAside) valid(after, through uint64) bool {
	u := &x.Usage
	return u.Record != "" && u.Seq > after && u.Seq <= through && validName(u.Record) && validName(x.Why) && validName(string(u.User)) &&
		validName(string(u.Product)) && validName(string(u.License)) && validName(u.Version) && validName(u.Country) && validName(u.LicenseType) && u.Machine.valid() && len(u.Posted) <= MaxPosted
}

// checkSetAside is decide for what is to be set aside of the usage after one seq and
// through another.
func (s *State) checkSetAside(records []SetAside, after, through uint64) *Denial {
	if len(records) > MaxSetAsideAtOnce || len(s.setAside)+len(records) > MaxSetAside {
		return deny(BadCommand)
	}
	last := after
	for i := range records {
		if !records[i].valid(last, through) {
			return deny(BadCommand)
		}
		last = records[i].Usage.Seq
	}
	return nil
}

func (s *State) putAside(records []SetAside, at Time) {
	if len(records) == 0 {
		return
	}
	f := UsageSetAside{To: s.told(administrators)}
	for _, x := range records {
		x.At = at
		s.setAside[x.Usage.Record] = x
		s.touch(Key{KeySetAside, x.Usage.Record})
		f.Records = append(f.Records, x)
	}
	s.emit(f)
}

func (c SettleUsage) decide(s *State, _ Time) *Denial {
	if len(c.Records) == 0 || len(c.Records) > MaxSetAside || !validName(c.By) {
		return deny(BadCommand)
	}
	for _, r := range c.Records {
		if r == "" || !validName(r) {
			return deny(BadCommand)
		}
	}
	return nil
}

func (c SettleUsage) do(s *State, at Time) Outcome {
	s.contact(at)
	var settled []string
	for _, r := range c.Records {
		if _, there := s.setAside[r]; !there {
			continue // by another leader, or twice in the list
		}
		delete(s.setAside, r)
		s.touch(Key{KeySetAside, r})
		settled = append(settled, r)
	}
	if len(settled) == 0 {
		return Outcome{Repeat: true}
	}
	s.head.UsageKept = min(s.head.UsageKept+uint64(len(settled)), s.head.UsageMade)
	s.emit(UsageSettled{Records: settled, By: c.By})
	return Outcome{}
}
