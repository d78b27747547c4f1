// Package manpage writes manual pages in the man macros (man(7)).
package manpage

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

// Text is a text without what the formatter would obey.
func Text(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n", " ").Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

// Sentence begins with a capital and ends with a full stop.
func Sentence(s string) string {
	if s == "" || strings.HasPrefix(s, "--") {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// Flags writes a list of flags with what each means.
func Flags(w io.Writer, fs *pflag.FlagSet) {
	fs.VisitAll(func(f *pflag.Flag) {
		arg, usage := pflag.UnquoteUsage(f)
		if arg != "" {
			arg = " " + arg
		}
		fmt.Fprintf(w, ".TP\n.B %s\n%s\n", Text("--"+f.Name+arg), Text(Sentence(usage)))
	})
}
