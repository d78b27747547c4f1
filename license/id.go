package license

import (
	"encoding/hex"
	"fmt"
)

// ID names a session, a checkout or a wait. The caller makes it (a UUIDv7) and
// it is the idempotency key of the request, scoped to the user and the machine.
// Zero is "none".
type ID [16]byte

// ParseID reads the usual text form of a UUID, in either case.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return ID{}, fmt.Errorf("%.40q is not a UUID (36 characters, like 0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e6f)", s)
	}
	bare := s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	if _, err := hex.Decode(id[:], []byte(bare)); err != nil {
		return ID{}, fmt.Errorf("%.40q is not a UUID: %w", s, err)
	}
	return id, nil
}

// String is the usual text form of a UUID.
func (id ID) String() string {
	var b [36]byte
	hex.Encode(b[0:8], id[0:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:36], id[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// IsZero reports whether id is "none".
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText writes the text form.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads the text form.
func (id *ID) UnmarshalText(b []byte) error {
	parsed, err := ParseID(string(b))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// MarshalBinary writes the sixteen bytes.
func (id ID) MarshalBinary() ([]byte, error) { return id[:], nil }

// UnmarshalBinary reads sixteen bytes.
func (id *ID) UnmarshalBinary(b []byte) error {
	if len(b) != len(id) {
		return fmt.Errorf("an id has %d bytes, not %d", len(id), len(b))
	}
	copy(id[:], b)
	return nil
}
