package cloudapi

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// plain reads JSON that is written as nearly all of the desktop protocol is: with fields under exactly the names that are known here, and few
// others. It goes over it once, and without reflection. What is written otherwise, or is no JSON, it gives up on (bad),
// for readJSON to read or to refuse: what it does read, readJSON reads the same.
type plain struct {
	s     string
	i     int // what comes next
	depth int
	bad   bool
}

// readPlain has read take a whole value from data; false: that is for readJSON.
func readPlain(data []byte, limit int, read func(*plain)) bool {
	if len(data) > limit {
		return false
	}
	p := plain{s: string(data)}
	if !utf8.ValidString(p.s) {
		return false
	}
	p.space()
	read(&p)
	p.space()
	return !p.bad && p.i == len(p.s)
}

// fail gives up, and nothing comes next.
func (p *plain) fail() { p.bad, p.i = true, len(p.s) }

// peek is the next byte; 0: there is none.
func (p *plain) peek() byte {
	if p.bad || p.i >= len(p.s) {
		return 0
	}
	return p.s[p.i]
}

// take goes past a byte, if it is the next one.
func (p *plain) take(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.i++
	return true
}

func (p *plain) space() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\t', '\r', '\n':
			p.i++
		default:
			return
		}
	}
}

// open goes into an object or an array.
func (p *plain) open(c byte) {
	if p.depth++; p.depth > maxJSONDepth || !p.take(c) {
		p.fail()
	}
}

// members are those of an object or an array. After next, an object's has a name, which is empty where it is none of the known ones.
type members struct {
	known  []string
	end    byte
	any    bool
	name   string
	seen   uint64 // of known, by index
	others [16]string
	n      int // of others
}

// fields goes into an object with fields of these names.
func (p *plain) fields(known []string) members {
	p.open('{')
	return members{known: known, end: '}'}
}

// items goes into an array.
func (p *plain) items() members {
	p.open('[')
	return members{end: ']'}
}

// next goes on to a value, which has to be taken, or behind the end; false: there is none, or it is not plain.
func (m *members) next(p *plain) bool {
	p.space()
	if p.take(m.end) {
		p.depth--
		return false
	}
	if m.any && !p.take(',') {
		p.fail()
	}
	m.any = true
	p.space()
	if m.end == '}' {
		m.field(p)
	}
	return !p.bad
}

// field reads the name of one. One that is given twice, in whichever case, or under a known name in another case, is not plain.
func (m *members) field(p *plain) {
	name, escapes := p.quoted()
	p.space()
	if !p.take(':') || escapes {
		p.fail()
	}
	p.space()
	for i := range len(name) {
		if name[i] >= utf8.RuneSelf { // what it is the same as, in another case, is not looked at here
			p.fail()
		}
	}
	for i, k := range m.known {
		if len(k) == len(name) && strings.EqualFold(k, name) {
			if k != name || m.seen&(1<<i) != 0 {
				p.fail()
			}
			m.seen |= 1 << i
			m.name = k
			return
		}
	}
	for _, other := range m.others[:m.n] {
		if strings.EqualFold(other, name) {
			p.fail()
		}
	}
	if m.n == len(m.others) {
		p.fail()
		return
	}
	m.others[m.n], m.name = name, ""
	m.n++
}

// quoted is a text as it is written between its quotes.
func (p *plain) quoted() (text string, escapes bool) {
	if !p.take('"') {
		p.fail()
		return "", false
	}
	from := p.i
	for ; p.i < len(p.s); p.i++ {
		switch c := p.s[p.i]; {
		case c == '"':
			p.i++
			return p.s[from : p.i-1], escapes
		case c == '\\':
			escapes = true
			p.i++
		case c < ' ':
			p.fail()
			return "", false
		}
	}
	p.fail()
	return "", false
}

// word is a text, which holds all that it was found in in memory; empty where null stands for it.
func (p *plain) word() string {
	if p.null() {
		return ""
	}
	text, escapes := p.quoted()
	if escapes {
		return p.unescaped(text)
	}
	return text
}

func (p *plain) unescaped(text string) (s string) {
	if json.Unmarshal([]byte(`"`+text+`"`), &s) != nil {
		p.fail()
	}
	return s
}

// text is a text of its own.
func (p *plain) text() string { return strings.Clone(p.word()) }

// null goes past null, if that is next.
func (p *plain) null() bool { return p.is("null") }

// is goes past a literal, if it is next.
func (p *plain) is(literal string) bool {
	if p.bad || !strings.HasPrefix(p.s[p.i:], literal) {
		return false
	}
	p.i += len(literal)
	return true
}

// number is one as it is written.
func (p *plain) number() string {
	from := p.i
	p.take('-')
	if !p.take('0') {
		p.digits()
	}
	if p.take('.') {
		p.digits()
	}
	if p.take('e') || p.take('E') {
		if !p.take('+') {
			p.take('-')
		}
		p.digits()
	}
	return p.s[from:p.i]
}

// digits goes past one or more.
func (p *plain) digits() {
	from := p.i
	for c := p.peek(); '0' <= c && c <= '9'; c = p.peek() {
		p.i++
	}
	if p.i == from {
		p.fail()
	}
}

// literal is a number, true, false or null as it is written.
func (p *plain) literal() string {
	for _, literal := range []string{"true", "false", "null"} {
		if p.is(literal) {
			return literal
		}
	}
	return p.number()
}

// skip goes past a value, as strictly as if it were read.
func (p *plain) skip() {
	switch p.peek() {
	case '{':
		for m := p.fields(nil); m.next(p); {
			p.skip()
		}
	case '[':
		for m := p.items(); m.next(p); {
			p.skip()
		}
	case '"':
		p.word()
	default:
		p.literal()
	}
}
