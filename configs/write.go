package configs

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Value is what a key is to be set to, in a configuration that is written.
type Value struct {
	Key  string // as in messages; "sign_in.issuer" is the first issuer's
	Text string // as one would write it, without quotes
	Raw  bool   // Text is YAML already: a list, or sections
}

// Write makes a configuration with these values: the text of Example, with all its
// comments, in which they are set. What Example sets for the sake of showing it, the
// cloud, the way out and the issuer, is commented out unless it is among them. A key that
// Example does not show is an error, which a test would have found.
func Write(values []Value) (string, error) {
	t := readTemplate(Example)
	for _, shown := range []string{"cloud", "egress.direct", "sign_in"} {
		t.comment(shown)
	}
	for _, v := range values {
		if err := t.set(v); err != nil {
			return "", err
		}
	}
	return t.String(), nil
}

// Wrong is what is wrong with this text as the value of a key, which is of no list, as far as
// it can be known from that alone; nil: nothing.
func Wrong(key, text string) error {
	c := Default()
	if err := setText(at(reflect.ValueOf(&c).Elem(), key), text); err != nil {
		return err
	}
	c.derive(func(string, string) {})
	var all Problems
	errors.As(c.Validate(), &all)
	for _, p := range all {
		if p.Key == key {
			return errors.New(p.Text)
		}
	}
	return nil
}

// template is a configuration by its lines.
type template []templateLine

// templateLine is one of them: a key, or a comment.
type templateLine struct {
	text string // without the # that keeps a setting from being one
	off  bool   // it has that #
	key  string // what it sets; empty: a comment, or an entry of a list in one line
	in   int    // how far the key is set in
}

// A line of Example that sets something, or would without its #: sentences are set in by
// one space there, which nothing else is.
var templateKey = regexp.MustCompile(`^((?:  )*)(- )?([a-z][a-z0-9_]*):(?: |$)`)

func readTemplate(text string) template {
	var t template
	type level struct {
		in   int
		name string
	}
	var within []level
	for line := range strings.Lines(text) {
		l := templateLine{text: strings.TrimSuffix(line, "\n")}
		if rest, off := strings.CutPrefix(l.text, "#"); off && !(strings.HasPrefix(rest, " ") && !strings.HasPrefix(rest, "  ")) {
			l.text, l.off = rest, rest != ""
		}
		if m := templateKey.FindStringSubmatch(l.text); m != nil {
			l.in = len(m[1]) + len(m[2])
			for len(within) > 0 && within[len(within)-1].in >= l.in {
				within = within[:len(within)-1]
			}
			if len(within) > 0 {
				l.key = within[len(within)-1].name
			}
			l.key = join(l.key, m[3])
			within = append(within, level{l.in, l.key})
		}
		t = append(t, l)
	}
	return t
}

func (t template) find(key string) int {
	for i := range t {
		if t[i].key == key {
			return i
		}
	}
	return -1
}

// comment takes a key out, with what is below it.
func (t template) comment(key string) {
	i := t.find(key)
	in := t[i].in
	for j := i; j < len(t) && (j == i || t[j].text != "" && (t[j].key == "" || t[j].in > in)); j++ {
		if !strings.HasPrefix(t[j].text, "#") { // the file's own comment
			t[j].off = true
		}
	}
}

// set sets a key, and puts in the sections that it is in.
func (t template) set(v Value) error {
	i := t.find(v.Key)
	if i < 0 {
		return fmt.Errorf("the example of a configuration does not show %s", v.Key)
	}
	text := v.Text
	if !v.Raw {
		b, err := yaml.Marshal(v.Text)
		if err != nil {
			return fmt.Errorf("writing %s: %w", v.Key, err)
		}
		text = strings.TrimSuffix(string(b), "\n")
		if strings.Contains(text, "\n") {
			return fmt.Errorf("the value of %s has several lines", v.Key)
		}
	}
	before, _, _ := strings.Cut(t[i].text, ":")
	t[i].text, t[i].off = before+": "+text, false
	for up := v.Key; strings.Contains(up, "."); {
		up = up[:strings.LastIndex(up, ".")]
		t[t.find(up)].off = false
	}
	return nil
}

func (t template) String() string {
	var b strings.Builder
	for _, l := range t {
		if l.off {
			b.WriteByte('#')
		}
		b.WriteString(l.text)
		b.WriteByte('\n')
	}
	return b.String()
}
