package portal

import (
	"fmt"
	"strings"
	"unicode"

	"sitegate/phrase"
)

// maxFaults is how many faults are told: who mends those will see what else there is.
const maxFaults = 20

// Fault is what is wrong with a file, and where.
type Fault struct {
	File   string
	Line   int    // 0: the whole file
	Column string // as the file calls it, or as it is spoken of; empty: no one column
	Reason string // such as "row-date"
	value  string
	more   string
}

func newFault(file string, line int, column, reason, value, more string) *Fault {
	shown := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, value)
	return &Fault{file, line, column, reason, shown, more}
}

// Text is the fault as a sentence, without where it is.
func (f *Fault) Text(lang phrase.Lang) string { return phrase.Fault(lang, f.Reason, f.value, f.more) }

// Error is the fault in English, with its place.
func (f *Fault) Error() string {
	text := f.Text(phrase.English)
	switch {
	case f.Line == 0:
		return fmt.Sprintf("%s: %s", f.File, text)
	case f.Column == "":
		return fmt.Sprintf("%s, line %d: %s", f.File, f.Line, text)
	}
	return fmt.Sprintf("%s, line %d, column %q: %s", f.File, f.Line, f.Column, text)
}

// Faults are what is wrong with files: the first of them, in the order of the lines.
type Faults []*Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].Error()
	}
	return strings.Join(lines, "\n")
}

// add notes a fault, unless there are enough.
func (f *Faults) add(x *Fault) {
	if len(*f) < maxFaults {
		*f = append(*f, x)
	}
}

// full reports whether what follows need not be looked at.
func (f Faults) full() bool { return len(f) >= maxFaults }
