package configs

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	maxFile = 256 << 10 // bytes of a configuration file
	maxList = 256       // entries of a list
)

// yamlLine is how the parser says where it stopped.
var yamlLine = regexp.MustCompile(`^line (\d+): (.+)$`)

// decoder reads a file's keys into a Config. Nothing stops it: what cannot be
// used is a problem, and the rest is read on.
type decoder struct {
	file     string // as the operator named it
	dir      string // where relative paths count from
	origins  Origins
	problems Problems
	garbled  bool // the file is not YAML: nothing of it is known
}

func (d *decoder) read(r io.Reader, c *Config) error {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	if len(data) > maxFile {
		return fmt.Errorf("%s is larger than %d KiB, which no configuration is", d.file, maxFile>>10)
	}
	dec := yaml.NewDecoder(strings.NewReader(string(data)))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil // an empty file sets nothing
	} else if err != nil {
		where, text := d.file, strings.TrimPrefix(err.Error(), "yaml: ")
		if m := yamlLine.FindStringSubmatch(text); m != nil {
			where, text = d.file+":"+m[1], m[2]
		}
		d.problems = append(d.problems, Problem{Where: where, Text: "this is not YAML: " + text})
		d.garbled = true
		return nil
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		d.problems = append(d.problems, Problem{Where: d.file, Text: "there is more after the first document; keep one, without a --- line"})
	}
	d.section(doc.Content[0], reflect.ValueOf(c).Elem(), "")
	return nil
}

func (d *decoder) at(n *yaml.Node) string { return fmt.Sprintf("%s:%d", d.file, n.Line) }

func (d *decoder) fault(n *yaml.Node, key, format string, args ...any) {
	d.problems = append(d.problems, Problem{Where: d.at(n), Key: key, Text: fmt.Sprintf(format, args...)})
}

func (d *decoder) section(n *yaml.Node, v reflect.Value, key string) {
	if isNull(n) {
		return // all of it is commented out
	}
	if n.Kind != yaml.MappingNode {
		d.fault(n, key, "%s stands where keys of the form \"name: value\" belong", kindOf(n))
		return
	}
	fields := fieldsOf(v.Type())
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		sub := join(key, name.Value)
		if line, twice := seen[name.Value]; twice {
			d.fault(name, sub, "is given twice, first in line %d; keep one", line)
			continue
		}
		seen[name.Value] = name.Line
		f := slices.IndexFunc(fields, func(f field) bool { return f.name == name.Value })
		if f < 0 {
			d.unknown(name, sub, fields)
			continue
		}
		d.value(value, v.Field(fields[f].index), fields[f], sub)
	}
}

func (d *decoder) unknown(n *yaml.Node, key string, fields []field) {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	if near := Nearest(n.Value, names); near != "" {
		d.fault(n, key, "there is no such key; did you mean %s?", near)
		return
	}
	d.fault(n, key, "there is no such key; here belong %s", strings.Join(names, ", "))
}

func (d *decoder) value(n *yaml.Node, v reflect.Value, f field, key string) {
	switch {
	case n.Kind == yaml.AliasNode:
		d.fault(n, key, "refers to another place (*%s); write the value out", n.Value)
	case isSection(v.Type()):
		if !isNull(n) {
			d.section(n, section(v), key)
		}
	case v.Kind() == reflect.Slice:
		d.list(n, v, f, key)
	case n.Kind != yaml.ScalarNode:
		d.fault(n, key, "%s stands where one value belongs", kindOf(n))
	case isNull(n):
		d.fault(n, key, "%v", errNoValue)
	default:
		if err := setText(v, n.Value); err != nil {
			d.fault(n, key, "%v", err)
			return
		}
		if f.path {
			v.SetString(d.path(v.String()))
		}
		d.origins[key] = Origin{File, d.at(n)}
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, f field, key string) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.fault(n, key, "%s stands where a list belongs: [a, b], or lines that begin with a dash", kindOf(n))
		return
	}
	if len(n.Content) > maxList {
		d.fault(n, key, "has %d entries; %d are the most", len(n.Content), maxList)
		return
	}
	list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.value(item, list.Index(i), f, keyf("%s[%d]", key, i+1))
		d.origins[keyf("%s[%d]", key, i+1)] = Origin{File, d.at(item)}
	}
	v.Set(list)
	d.origins[key] = Origin{File, d.at(n)}
}

func (d *decoder) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(d.dir, p)
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a section with keys"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "a reference"
	}
	return "a single value"
}
