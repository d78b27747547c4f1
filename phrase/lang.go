package phrase

import (
	"strconv"
	"strings"
)

// Lang is a language of this package. The zero value is English.
type Lang uint8

// The languages.
const (
	English Lang = iota
	French
	German
)

// Langs lists them.
func Langs() []Lang { return []Lang{English, French, German} }

// String is the language's tag: en, fr or de.
func (l Lang) String() string {
	switch l {
	case French:
		return "fr"
	case German:
		return "de"
	default:
		return "en"
	}
}

func (l Lang) catalog() *catalog {
	switch l {
	case French:
		return &french
	case German:
		return &german
	default:
		return &english
	}
}

// Parse reads a tag such as "de" or "fr-CA".
func Parse(tag string) (Lang, bool) {
	primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
	for _, l := range Langs() {
		if primary == l.String() {
			return l, true
		}
	}
	return English, false
}

// maxTags bounds how much of an Accept-Language header is looked at.
const maxTags = 16

// Accept picks the best language for an Accept-Language header (RFC 9110 12.5.4):
// the highest weight wins, the first of equals, and English where nothing fits.
func Accept(header string) Lang {
	best, weight := English, 0.0
	for i, part := range strings.SplitN(header, ",", maxTags+1) {
		if i == maxTags {
			break
		}
		tag, params, _ := strings.Cut(part, ";")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q="); ok {
			parsed, err := strconv.ParseFloat(v, 64)
			if err != nil || parsed < 0 || parsed > 1 {
				continue
			}
			q = parsed
		}
		lang, ok := Parse(tag)
		if strings.TrimSpace(tag) == "*" {
			lang, ok = English, true
		}
		if ok && q > weight {
			best, weight = lang, q
		}
	}
	return best
}
