package pac

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// maxEntries bounds a result.
const maxEntries = 16

// Kind is how an entry says to connect.
type Kind string

// Kinds of entries.
const (
	Direct Kind = "direct"
	HTTP   Kind = "http"   // PROXY, HTTP
	HTTPS  Kind = "https"  // HTTPS
	SOCKS5 Kind = "socks5" // SOCKS5, SOCKS
)

// Entry is one way that a file names.
type Entry struct {
	Kind    Kind
	Address string // host:port, the host in lower case; empty if Direct
}

// Parse reads a result: entries divided by semicolons, each a word and mostly an address. What it does not know, such as SOCKS4, is left out; if
// nothing is left, that is an error.
func Parse(s string) ([]Entry, error) {
	if len(s) > maxResult {
		return nil, fmt.Errorf("a result of %d bytes is too long", len(s))
	}
	var list []Entry
	for part := range strings.SplitSeq(s, ";") {
		word, addr, _ := strings.Cut(strings.TrimSpace(part), " ")
		e := Entry{Address: strings.ToLower(strings.TrimSpace(addr))}
		port := ""
		switch strings.ToUpper(word) {
		case "DIRECT":
			if e.Address == "" {
				e.Kind = Direct
			}
		case "PROXY", "HTTP":
			e.Kind, port = HTTP, "80"
		case "HTTPS":
			e.Kind, port = HTTPS, "443"
		case "SOCKS", "SOCKS5":
			e.Kind, port = SOCKS5, "1080"
		}
		if e.Kind == "" {
			continue
		}
		if e.Kind != Direct {
			if e.Address = address(e.Address, port); e.Address == "" {
				continue
			}
		}
		if list = append(list, e); len(list) > maxEntries {
			return nil, fmt.Errorf("a result with more than %d entries is too long", maxEntries)
		}
	}
	if len(list) == 0 {
		if strings.TrimSpace(s) == "" {
			return nil, errors.New("it says nothing, which is not taken for a direct connection")
		}
		return nil, fmt.Errorf("%.100q names no way that is known", s)
	}
	return list, nil
}

// address is host:port, with a port if there is none; empty: it makes no sense.
func address(s, port string) string {
	host, p, err := net.SplitHostPort(s)
	if err != nil {
		host, p, err = net.SplitHostPort(net.JoinHostPort(strings.Trim(s, "[]"), port))
	}
	if n, convErr := strconv.ParseUint(p, 10, 16); err != nil || convErr != nil || n == 0 || host == "" || len(host) > 253 {
		return ""
	}
	for _, r := range host {
		if !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("-._:", r)) {
			return ""
		}
	}
	if strings.Contains(host, ":") && net.ParseIP(host) == nil {
		return ""
	}
	return net.JoinHostPort(strings.TrimSuffix(host, "."), p)
}
