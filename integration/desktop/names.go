package desktop

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"
	"unicode/utf16"
)

// SID is what names are turned into: SHA-1, seventeen times, over the lower case in UTF-16.
func SID(name string) string {
	name = strings.ToLower(name)
	if name == "::1" || name == "127.0.0.1" {
		name = "localhost"
	}
	var b []byte
	for _, unit := range utf16.Encode([]rune(name)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	for range 17 {
		sum := sha1.Sum(b)
		b = sum[:]
	}
	return base64.StdEncoding.EncodeToString(b)
}

// userSID is the SID of who is logged in to a machine. Names that every machine has go with the machine's.
func userSID(login, machine string) string {
	login = strings.ToLower(login)
	login = login[strings.LastIndexAny(login, `\/`)+1:]
	if strings.Contains(login, "administrator") || strings.Contains(login, "system") {
		login = machine + `\` + login
	}
	return SID(login)
}

// bareMachine is a machine's name without its domain.
func bareMachine(name string) string {
	bare, _, _ := strings.Cut(name, ".")
	return bare
}

// versionNumber writes a version of four parts as one number, four digits for each but the first.
func versionNumber(version string) int64 {
	n := int64(0)
	parts := strings.Split(version, ".")
	for i := range 4 {
		n *= 10_000
		if i < len(parts) {
			part, _ := strconv.ParseInt(parts[i], 10, 64)
			n += part
		}
	}
	return n
}
