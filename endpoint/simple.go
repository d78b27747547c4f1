package endpoint

import "bytes"

// simple reports whether there is nothing in a body that strict would refuse and
// encoding/json lets pass, if it can be seen at a glance: one object of strings,
// numbers and such objects, without escapes, each field once and in lower case. That
// is what clients send. False says nothing.
func simple(data []byte) bool {
	rest, ok := simpleObject(blank(data), 0)
	return ok && len(blank(rest)) == 0
}

// The most that is seen at a glance.
const (
	simpleDepth  = 3
	simpleFields = 16
)

func simpleObject(b []byte, depth int) (rest []byte, ok bool) {
	if depth == simpleDepth || len(b) == 0 || b[0] != '{' {
		return nil, false
	}
	if b = blank(b[1:]); len(b) > 0 && b[0] == '}' {
		return b[1:], true
	}
	var seen [simpleFields][]byte
	for n := range simpleFields {
		key, b1, ok := simpleString(b)
		if !ok || !lower(key) {
			return nil, false
		}
		for _, other := range seen[:n] {
			if bytes.Equal(other, key) {
				return nil, false
			}
		}
		seen[n] = key
		if b = blank(b1); len(b) == 0 || b[0] != ':' {
			return nil, false
		}
		if b, ok = simpleValue(blank(b[1:]), depth); !ok {
			return nil, false
		}
		if b = blank(b); len(b) == 0 {
			return nil, false
		}
		switch b[0] {
		case '}':
			return b[1:], true
		case ',':
			b = blank(b[1:])
		default:
			return nil, false
		}
	}
	return nil, false
}

func simpleValue(b []byte, depth int) (rest []byte, ok bool) {
	switch {
	case len(b) == 0 || b[0] == '[':
		return nil, false
	case b[0] == '{':
		return simpleObject(b, depth+1)
	case b[0] == '"':
		_, rest, ok = simpleString(b)
		return rest, ok
	}
	i := bytes.IndexAny(b, ",} \t\r\n") // a number, true, false, null, or an error of the decoder's
	return b[max(i, 0):], i > 0
}

// simpleString reads a string without escapes.
func simpleString(b []byte) (s, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return nil, nil, false
	}
	end := bytes.IndexByte(b[1:], '"')
	if end < 0 || bytes.IndexByte(b[1:1+end], '\\') >= 0 {
		return nil, nil, false
	}
	return b[1 : 1+end], b[2+end:], true
}

// lower reports whether a field's name is of the kind that ours are.
func lower(key []byte) bool {
	for _, c := range key {
		if (c < 'a' || c > 'z') && c != '_' && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// blank drops JSON's white space.
func blank(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == '\n' || b[0] == '\r') {
		b = b[1:]
	}
	return b
}
