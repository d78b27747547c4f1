package main

import (
	"context"
	"strings"

	"github.com/spf13/pflag"
)

// tour goes through all commands without carrying any out, for what is made from
// them: completion, the manual, and the test of what the guides show.
type tour struct {
	stops []stop
	help  map[*pflag.FlagSet]string
}

// stop is a command, or a table of them.
type stop struct {
	name  string // without sitegate: "cluster join"
	brief string
	help  string         // of a command
	flags *pflag.FlagSet // of a command
	table []command      // of a table
	lists bool           // a table whose command list is meant where none is named
}

// stops are all commands, tables before what is in them.
func stops(ctx context.Context) []stop {
	t := &tour{help: map[*pflag.FlagSet]string{}}
	p := &program{tour: t}
	t.table(ctx, p, "sitegate", commands())
	return t.stops
}

// table visits what is in a table. A command hands in its flags before it does
// anything, and is then told that help was asked for.
func (t *tour) table(ctx context.Context, p *program, name string, table []command) {
	t.stops = append(t.stops, stop{name: inner(name), table: table})
	at := len(t.stops) - 1
	for _, c := range table {
		before := len(t.stops)
		_ = c.run(ctx, p, nil) // pflag.ErrHelp
		if len(t.stops) > before {
			t.stops[before].brief = c.brief
			t.stops[before].name = strings.TrimSpace(t.stops[at].name + " " + c.name)
		}
	}
}

// command notes a command by its flags.
func (t *tour) command(f *pflag.FlagSet) {
	t.stops = append(t.stops, stop{name: f.Name(), flags: f, help: t.help[f]})
}

// inner is a command's name without that of the program.
func inner(name string) string { return strings.TrimSpace(strings.TrimPrefix(name, "sitegate")) }
