package cloudapi

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"unicode"
)

// maxTarget is the longest name that DNS has, and a port.
const maxTarget = 256

// ParseTarget reads where a tunnel is to lead: a name and a port, in lower case and without the dot that may end a full name. Addresses in any form,
// credentials and odd characters are refused.
func ParseTarget(s string) (string, error) {
	const shape = "the target must be name:port"
	if len(s) > maxTarget || strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII || r <= ' ' || r == 0x7f }) {
		return "", errors.New(shape)
	}
	name, port, err := net.SplitHostPort(s)
	if err != nil || strings.HasPrefix(s, "[") {
		return "", errors.New(shape)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] == '0' || port[0] == '+' {
		return "", errors.New(shape)
	}
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
		}) {
			return "", errors.New(shape)
		}
	}
	// A name whose last label is a number is an address to some: 10.0.0.1, but also
	// 167772161, 0xa000001 and 10.1.
	last := name[strings.LastIndexByte(name, '.')+1:]
	if _, err := strconv.ParseUint(last, 0, 64); err == nil || strings.Trim(last, "0123456789") == "" || last == "0x" {
		return "", errors.New("an address is no name")
	}
	return name + ":" + port, nil
}
