package phrase

import (
	"slices"
	"strings"
)

// plain is a sentence without numbers: its texts, and between each two of them the
// fact, by its place in names, that stands there.
type plain struct {
	texts []string
	facts []int
}

// parsePlain takes a sentence apart; false: there are numbers in it.
func parsePlain(sentence string) (p plain, ok bool) {
	for {
		before, rest, found := strings.Cut(sentence, "{")
		if !found {
			p.texts = append(p.texts, sentence)
			return p, true
		}
		name, after, found := strings.Cut(rest, "}")
		fact := slices.Index(names, name)
		if !found || fact < 0 || fact >= numbers {
			return plain{}, false
		}
		p.texts, p.facts = append(p.texts, before), append(p.facts, fact)
		sentence = after
	}
}

func (p plain) say(f *facts, b *book) string {
	if len(p.facts) == 0 {
		return p.texts[0]
	}
	said := make([]byte, 0, 256)
	for i, fact := range p.facts {
		said = append(said, p.texts[i]...)
		said = append(said, f.text(b, fact)...)
	}
	return string(append(said, p.texts[len(p.facts)]...))
}
