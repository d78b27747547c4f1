package raftstore

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
)

// Small files that a node goes by carry their checksum (CRC-32C): JSON files in their
// second line, and the folder of a database in its name, which CURRENT has. Earlier
// programs write files without one; those are read. They take neither for anything, but
// for peers.json, where the checksum is a node to them of which they know nothing.

const (
	checksumBefore = "{\n  \"checksum\": {\"crc32c\": \""
	checksumAfter  = "\"}"
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// WithChecksum is a JSON object with the checksum of what follows it, as its first
// member.
func WithChecksum(object []byte) []byte {
	rest := bytes.TrimLeft(bytes.TrimPrefix(object, []byte("{")), "\n")
	if !bytes.HasPrefix(bytes.TrimSpace(rest), []byte("}")) {
		rest = append([]byte(",\n"), rest...)
	}
	return append(fmt.Appendf(nil, "%s%08x%s", checksumBefore, checksum(rest), checksumAfter), rest...)
}

// CheckedJSON is the JSON object that WithChecksum was given, or a file that has none as
// it is. It fails where the file is not as it was written, by a rotten bit or by hand.
func CheckedJSON(file []byte) (object []byte, err error) {
	rest, ok := bytes.CutPrefix(file, []byte(checksumBefore))
	if !ok || len(rest) < 8+len(checksumAfter) || string(rest[8:8+len(checksumAfter)]) != checksumAfter {
		// A node may be called checksum; what is told of it has no space, as the line has.
		head := string(file[:min(len(file), len(checksumBefore)+16)])
		if strings.Contains(head, `"checksum": {`) || strings.Contains(head, `"crc32c":`) {
			return nil, errors.New("its checksum cannot be read")
		}
		return file, nil
	}
	want, rest := string(rest[:8]), rest[8+len(checksumAfter):]
	if got := fmt.Sprintf("%08x", checksum(rest)); got != want {
		return nil, fmt.Errorf("its checksum is %q, what it says has %q", want, got)
	}
	return append([]byte("{"), bytes.TrimPrefix(rest, []byte(","))...), nil
}

// folderName is a name with its checksum.
func folderName(name string) string { return fmt.Sprintf("%s-%08x", name, checksum([]byte(name))) }

// checkFolderName fails where a name is not the one that it was made as. Those of earlier
// programs are digits, without a checksum.
func checkFolderName(name string) error {
	base, _, summed := strings.Cut(name, "-")
	if summed && folderName(base) != name {
		return fmt.Errorf("%.40q does not fit its checksum", name)
	}
	if strings.Trim(base, "0123456789") != "" {
		return fmt.Errorf("%.40q is the name of no state", name)
	}
	return nil
}
