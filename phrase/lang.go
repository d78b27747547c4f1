package phrase

import (
	"slices"
	"strings"
	"sync"

	"golang.org/x/text/language"
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
func (l Lang) String() string { return l.tag().String() }

func (l Lang) tag() language.Tag {
	switch l {
	case French:
		return language.French
	case German:
		return language.German
	default:
		return language.English
	}
}

func (l Lang) book() *book {
	switch l {
	case French:
		return &french
	case German:
		return &german
	default:
		return &english
	}
}

// maxTag and maxTags bound how much of a tag and of an Accept-Language header is looked at.
const (
	maxTag  = 64
	maxTags = 16
)

// matcher knows which of the languages the speakers of another one read: Luxembourgers
// German, Bretons French.
var matcher = sync.OnceValue(func() language.Matcher {
	var tags []language.Tag
	for _, l := range Langs() {
		tags = append(tags, l.tag())
	}
	return language.NewMatcher(tags)
})

// Parse reads a tag such as "de" or "fr-CA" (BCP 47). It reports whether one of the
// languages fits it; else it is English.
func Parse(tag string) (Lang, bool) {
	if len(tag) > maxTag {
		return English, false
	}
	t, err := language.Parse(strings.TrimSpace(tag))
	if err != nil {
		return English, false
	}
	_, i, confidence := matcher().Match(t)
	if confidence == language.No {
		return English, false
	}
	return Langs()[i], true
}

// Accept picks the best language for an Accept-Language header (RFC 9110 12.5.4):
// the highest weight wins, the first of equals, and English where nothing fits. What
// cannot be read in it is passed over.
func Accept(header string) Lang {
	type wish struct {
		lang   Lang
		weight float32
	}
	var wishes []wish
	for i, part := range strings.SplitN(header, ",", maxTags+1) {
		if i == maxTags || len(part) > maxTag {
			continue
		}
		tags, weights, err := language.ParseAcceptLanguage(part)
		if err != nil || len(tags) != 1 || weights[0] > 1 {
			continue
		}
		if _, l, confidence := matcher().Match(tags[0]); confidence != language.No {
			wishes = append(wishes, wish{Langs()[l], weights[0]})
		}
	}
	if len(wishes) == 0 {
		return English
	}
	return slices.MaxFunc(wishes, func(a, b wish) int { return int(1000*a.weight) - int(1000*b.weight) }).lang
}
