package license

import (
	"strconv"
	"strings"
)

// Version is a four-part version of a client or a product, such as 23.0.1.25.
// Zero means "not said".
type Version [4]uint32

// ParseVersion reads up to four dotted numbers; leading zeros are usual
// ("10.00.18.01"). What cannot be read gives the zero Version and false.
func ParseVersion(s string) (Version, bool) {
	var v Version
	if s == "" {
		return Version{}, false
	}
	parts := strings.Split(s, ".")
	if len(parts) > len(v) {
		return Version{}, false
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil {
			return Version{}, false
		}
		v[i] = uint32(n)
	}
	return v, true
}

// Before reports whether v is older than other.
func (v Version) Before(other Version) bool {
	for i := range v {
		if v[i] != other[i] {
			return v[i] < other[i]
		}
	}
	return false
}

// namesMachineFrom is the first CONNECTION Client that shows the other
// machine's name in a refusal (R7).
var namesMachineFrom = Version{23, 0, 1, 25}

// NamesMachine reports whether a client of this version is told the name of the
// other machine (R7). A client that does not say its version is told: only the
// vendor's own older clients are known not to show it.
func NamesMachine(client string) bool {
	v, ok := ParseVersion(client)
	return !ok || !v.Before(namesMachineFrom)
}
