package license

import (
	"strings"
	"unicode/utf8"
)

// Machine is a computer as its client names it. A machine is its ID; the name
// decides only where one side has no ID. On multi-user servers the client sends
// the machine its user comes from (KB0019679).
type Machine struct {
	ID   string `cbor:"1,keyasint,omitempty"`
	Name string `cbor:"2,keyasint,omitempty"`
}

// Is reports whether m and other are the same computer.
func (m Machine) Is(other Machine) bool {
	if m.ID != "" && other.ID != "" {
		return m.ID == other.ID
	}
	return bareName(m.Name) != "" && bareName(m.Name) == bareName(other.Name)
}

// valid reports whether m names a machine at all, within bounds.
func (m Machine) valid() bool {
	return (m.ID != "" || bareName(m.Name) != "") && validName(m.ID) && validName(m.Name)
}

// bareName folds the case and drops the domain: "WS-101.corp.example" and
// "CORP\ws-101" are the machine "ws-101". An address has no domain.
func bareName(name string) string {
	if i := strings.LastIndexAny(name, `\/`); i >= 0 {
		name = name[i+1:]
	}
	address := strings.Contains(name, ":") || strings.Trim(name, "0123456789.") == ""
	if i := strings.IndexByte(name, '.'); i > 0 && !address {
		name = name[:i]
	}
	return strings.ToLower(name)
}

// MaxName is the longest id or name, in bytes, that a command may carry.
const MaxName = 256

// SaidAt is who did something, as a node says: that node is named with them, and what does
// not fit into MaxName bytes is left out of the name. Nobody stays nobody.
func SaidAt(by, node string) string {
	at := " at " + node
	if by == "" {
		return ""
	}
	return strings.ToValidUTF8(by[:min(len(by), max(0, MaxName-len(at)))], "") + at
}

func validName(s string) bool { return len(s) <= MaxName && utf8.ValidString(s) }
