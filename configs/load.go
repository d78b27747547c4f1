package configs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/spf13/pflag"
)

// Kind is what kind of place a setting came from.
type Kind string

// The places of settings, the weakest first.
const (
	ByDefault   Kind = "default"
	Derived     Kind = "from" // another setting, which Place names
	File        Kind = "file"
	Environment Kind = "environment"
	Flag        Kind = "flag"
)

// Origin is where a setting came from. The zero Origin is the default.
type Origin struct {
	Kind  Kind
	Place string // "sitegate.yaml:12", "SITEGATE_NODE", "--node", "api.listen"
}

func (o Origin) String() string {
	if o.Kind == "" || o.Kind == ByDefault {
		return string(ByDefault)
	}
	return string(o.Kind) + " " + o.Place
}

// Origins tells for each key that was set where it came from.
type Origins map[string]Origin

// of is the origin of a key, or of what it is a part of.
func (o Origins) of(key string) (Origin, bool) {
	for key != "" {
		if origin, ok := o[key]; ok {
			return origin, true
		}
		key = key[:max(strings.LastIndexAny(key, ".["), 0)]
	}
	return Origin{}, false
}

// flagKeys are the few settings that a command line may hold.
var flagKeys = []struct{ flag, key, usage string }{
	{"node", "node", "name of this node in its cluster"},
	{"data-dir", "data_dir", "folder of what this node keeps"},
	{"api-listen", "api.listen", "host:port of the API"},
	{"log-level", "log.level", "debug, info, warn or error"},
	{"log-format", "log.format", "text or json"},
}

// AddFlags adds the flags that Load reads.
func AddFlags(flags *pflag.FlagSet) {
	for _, f := range flagKeys {
		flags.String(f.flag, "", f.usage)
	}
}

// EnvironmentOf is the variable that sets a key: SITEGATE_API_LISTEN for
// api.listen. Lists of sections have none.
func EnvironmentOf(key string) string {
	return "SITEGATE_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// Load puts a configuration together: the defaults, then the file (unless its
// name is empty), then the environment as getenv tells it, then the flags of
// AddFlags (nil: none). What follows from other settings is filled in, and all
// of it is validated.
//
// environ, if given, is the whole environment ("NAME=value", as of os.Environ): a
// variable that is nearly that of a key is then a problem, instead of being
// without effect.
//
// What is wrong comes as Problems, all of them; the Config is then what could be
// understood. A file that is not YAML is one problem, and leaves a Config of
// nothing. Another error means that the file could not be read.
func Load(file string, getenv func(string) string, flags *pflag.FlagSet, environ ...string) (Config, Origins, error) {
	c := Default()
	d := &decoder{file: file, dir: filepath.Dir(file), origins: Origins{}}
	if file != "" {
		f, err := os.Open(file)
		if errors.Is(err, fs.ErrNotExist) {
			return c, nil, fmt.Errorf("there is no configuration at %s: name it with --config, or with SITEGATE_CONFIG", file)
		} else if err != nil {
			return c, nil, fmt.Errorf("opening the configuration: %w", err)
		}
		err = d.read(f, &c)
		_ = f.Close() // it was only read
		if err != nil {
			return c, nil, err
		}
	}
	if d.garbled {
		return Config{}, nil, d.problems.err()
	}
	d.environment(environ)
	return d.finish(c, getenv, flags)
}

// finish is Load after the file.
func (d *decoder) finish(c Config, getenv func(string) string, flags *pflag.FlagSet) (Config, Origins, error) {
	root := reflect.ValueOf(&c).Elem()
	override := func(key, text string, o Origin) {
		if err := setText(at(root, key), text); err != nil {
			d.problems = append(d.problems, Problem{Where: o.String(), Key: key, Text: err.Error()})
			return
		}
		d.origins[key] = o
	}
	leaves(root.Type(), reflect.Value{}, "", func(key string, _ field, t reflect.Type, _ reflect.Value) {
		name := EnvironmentOf(key)
		text := getenv(name)
		switch {
		case text == "":
		case isList(t):
			d.problems = append(d.problems, Problem{Where: "environment " + name, Key: key, Text: "has entries of several keys, which only a file can set"})
		default:
			override(key, text, Origin{Environment, name})
		}
	})
	if flags != nil {
		for _, f := range flagKeys {
			if g := flags.Lookup(f.flag); g != nil && g.Changed {
				override(f.key, g.Value.String(), Origin{Flag, "--" + f.flag})
			}
		}
	}
	c.derive(func(key, from string) { d.origins[key] = Origin{Derived, from} })

	var invalid Problems
	if errors.As(c.Validate(), &invalid) {
		for _, p := range invalid {
			if o, ok := d.origins.of(p.Key); ok {
				if p.Where = o.String(); o.Kind == File {
					p.Where = o.Place
				}
			}
			d.problems = append(d.problems, p)
		}
	}
	return c, d.origins, d.problems.err()
}
