package license

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
)

// MaxExports is how many exported files may wait for their receipts.
const MaxExports = 4096

// Export is a file of usage records that somebody carries to the vendor. The files
// of a site are numbered without a gap, and each begins where the one before ends.
type Export struct {
	Number  uint64 `cbor:"1,keyasint"`
	After   uint64 `cbor:"2,keyasint,omitempty"` // the usage of the events after this one,
	Through uint64 `cbor:"3,keyasint"`           // up to this one
	Records uint64 `cbor:"4,keyasint,omitempty"` // how many
	Sum     Digest `cbor:"5,keyasint"`           // of the file
	At      Time   `cbor:"6,keyasint,omitempty"`
	By      string `cbor:"7,keyasint,omitempty"`
	// Received is when its receipt came in; zero: it has not. Refused are those of its
	// records that the cloud will not take.
	Received Time       `cbor:"8,keyasint,omitempty"`
	Refused  []SetAside `cbor:"9,keyasint,omitempty"`
	Upto     uint64     `cbor:"10,keyasint,omitempty"` // how many records there are up to its end, of all times
}

// Exported is the last of the files that were exported.
type Exported struct {
	Number  uint64 `cbor:"1,keyasint,omitempty"`
	Through uint64 `cbor:"2,keyasint,omitempty"`
	Upto    uint64 `cbor:"3,keyasint,omitempty"` // see Export
}

// ExportUsage notes the next file of usage records.
type ExportUsage struct {
	Number  uint64 `cbor:"1,keyasint"`
	After   uint64 `cbor:"2,keyasint,omitempty"`
	Through uint64 `cbor:"3,keyasint"`
	Records uint64 `cbor:"4,keyasint,omitempty"`
	Sum     Digest `cbor:"5,keyasint"`
	By      string `cbor:"6,keyasint,omitempty"`
}

// UsageExported: a file of usage records is on its way to the vendor.
type UsageExported struct {
	Export Export `cbor:"1,keyasint"`
}

// ReceiveUsage brings in the vendor's receipt for a file. Who proposes it has checked
// that it is the vendor's.
type ReceiveUsage struct {
	Number  uint64     `cbor:"1,keyasint"`
	Sum     Digest     `cbor:"2,keyasint"`
	Refused []SetAside `cbor:"3,keyasint,omitempty"` // in the order of their events
	By      string     `cbor:"4,keyasint,omitempty"`
}

// UsageReceived: the vendor has a file of usage records.
type UsageReceived struct {
	Number uint64 `cbor:"1,keyasint"`
	By     string `cbor:"2,keyasint,omitempty"`
}

// Exports are the files whose usage has not been acknowledged yet, in the order of
// their numbers.
func Exports(s *State) []Export {
	return slices.SortedFunc(maps.Values(s.exports), func(a, b Export) int { return cmp.Compare(a.Number, b.Number) })
}

// NextExport is the number of the next file, and the event after which its usage
// begins.
func (s *State) NextExport() (number, after uint64) {
	return s.head.Exported.Number + 1, max(s.head.Exported.Through, s.head.UsageSent)
}

// exportKey is the key of a file's record.
func exportKey(number uint64) Key {
	return Key{KeyExport, string(binary.BigEndian.AppendUint64(nil, number))}
}

func (s *State) setExport(x Export) {
	s.exports[x.Number] = x
	s.touch(exportKey(x.Number))
}

func (c ExportUsage) decide(s *State, _ Time) *Denial {
	number, after := s.NextExport()
	switch {
	case c.By == "" || !validName(c.By) || c.Through > s.head.Seq || c.Through <= c.After:
		return deny(BadCommand)
	case c.Number != number || c.After != after:
		return deny(TooLate) // another has come before
	case len(s.exports) >= MaxExports:
		return deny(BadCommand)
	}
	return nil
}

func (c ExportUsage) do(s *State, at Time) Outcome {
	before := s.dealtWith()
	if s.head.Exported.Through > s.head.UsageSent {
		before = s.head.Exported.Upto
	}
	x := Export{Number: c.Number, After: c.After, Through: c.Through, Records: c.Records, Sum: c.Sum, At: at, By: c.By, Upto: before + c.Records}
	s.head.Exported = Exported{c.Number, c.Through, x.Upto}
	s.setExport(x)
	s.emit(UsageExported{Export: x})
	return Outcome{Export: &x}
}

func (c ReceiveUsage) decide(s *State, _ Time) *Denial {
	x, there := s.exports[c.Number]
	switch {
	case !validName(c.By) || c.Number > s.head.Exported.Number:
		return deny(BadCommand)
	case !there:
		return nil // its usage was acknowledged before
	case x.Sum != c.Sum || uint64(len(c.Refused)) > x.Records:
		return deny(BadCommand)
	}
	return s.checkSetAside(c.Refused, x.After, x.Through)
}

func (c ReceiveUsage) do(s *State, at Time) Outcome {
	x, there := s.exports[c.Number]
	if !there || x.Received != 0 {
		return Outcome{Repeat: true}
	}
	x.Received, x.Refused = at, c.Refused
	s.setExport(x)
	s.emit(UsageReceived{Number: c.Number, By: c.By})
	s.contact(at)
	for _, x := range Exports(s) { // usage is acknowledged in its order
		if x.Received == 0 || x.After > s.head.UsageSent {
			break
		}
		delete(s.exports, x.Number)
		s.touch(exportKey(x.Number))
		if x.Through > s.head.UsageSent {
			s.acknowledgeExport(&x, at)
		}
	}
	return Outcome{Export: &x}
}

// acknowledgeExport notes what the receipt of a file says of usage that has not been
// acknowledged otherwise meanwhile, as where the link came back.
func (s *State) acknowledgeExport(x *Export, at Time) {
	refused := slices.DeleteFunc(slices.Clone(x.Refused), func(y SetAside) bool { return y.Usage.Seq <= s.head.UsageSent })
	fresh := x.Upto - min(x.Upto, s.dealtWith())
	s.acknowledge(UsageSent{Through: x.Through, Records: fresh - min(fresh, uint64(len(refused))), SetAside: refused, Way: WayCarried}, at)
}

// dealtWith is how many usage records the cloud has taken or refused.
func (s *State) dealtWith() uint64 { return s.head.UsageKept + uint64(len(s.setAside)) }
