package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"sitegate/configs"
)

// The exit statuses, as in sysexits.h where it has one.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 64 // the command line or the configuration is wrong
	exitUnavailable = 69 // no node answers
)

// command is one row of the table of commands.
type command struct {
	name  string
	brief string // one line of help
	run   func(ctx context.Context, p *program, args []string) error
}

func commands() []command {
	return []command{
		{"serve", "run a node", serve},
		{"demo", "play the main job on this machine, checked step by step", demo},
		{"bench", "measure what a cluster does on this machine, or one that runs", bench},
		{"init", "write a node's configuration, of answers or flags", initNode},
		{"check", "say what is wrong with a configuration, or what it comes to", check},
		{"doctor", "go along the way out and say which hop is to blame", runDoctor},
		{"reload", "have the node take the way out from its configuration anew", reload},
		{"settings", "show what the rules and this node go by, and what is only observed", settings},
		{"status", "show the cluster, the link to the cloud, and counts", status},
		{"sessions", "show who is active on which machine, with what", sessions},
		{"users", "show the account's users, and one of them with what happened", users},
		{"machines", "show what happens on a machine, or take its key from it", machines},
		{"licenses", "show the account's licenses, what to see to, and move them", licenses},
		{"refusals", "show who was refused, why, and what they were told", refusals},
		{"release", "free licenses that are in use, write off checkouts", release},
		{"block", "keep a user or a machine out of the site", block},
		{"unblock", "let a user or a machine in again", unblock},
		{"usage", "show peaks of usage, audit it, carry it to the vendor", usageReports},
		{"checkouts", "show what is checked out, take in what the vendor has made", checkouts},
		{"trust", "show the keys of the issuers of sign-ins, and accept those that are held back", trust},
		{"mirror", "show how fresh the mirror is, fill it from files, accept that it shrinks", mirror},
		{"audit", "show, verify and export what administrators have done", audit},
		{"report", "show what became of the licenses in a day, a week, a month", showReport},
		{"privacy", "export what is kept about a person, or erase it", privacy},
		{"alert", "try the ways by which administrators are told", alerts},
		{"time", "take the time of the nodes' clocks, which are off from the site's", siteTime},
		{"maintenance", "tell everybody when to expect work on the gateway", maintenance},
		{"bypass", "in an emergency, withhold nothing of what is relayed", bypass},
		{"cluster", "make a cluster's certificates and configurations; leave a cluster", cluster},
		{"token", "make, list and revoke API tokens", apiTokens},
		{"account", "make, list, reset and remove local accounts", localAccounts},
		{"backup", "write a backup of the whole site, or look into one", backup},
		{"restore", "build this machine's node from a backup", restore},
		{"debug", "write what support needs to look into a node", debugCommands},
		{"completion", "print what has a shell complete commands and flags", completion},
		{"manual", "print the manual page", manual},
		{"version", "show what this program was built from", version},
	}
}

// program is what surrounds a command.
type program struct {
	environ        []string // "NAME=value"
	stdin          io.Reader
	stdout, stderr io.Writer
	remote         remote // what is asked instead of this machine's node
	tour           *tour  // not nil: commands only show their flags
}

// getenv is a variable of the environment, or empty.
func (p *program) getenv(name string) string {
	for _, e := range p.environ {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

// exitError is an error that ends the program with a status of its own.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// run carries out a command line and returns the exit status. Whatever a command
// has started has ended by then.
func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{environ: environ, stdin: stdin, stdout: stdout, stderr: stderr}
	err := p.dispatch(withRemote(ctx, p), "sitegate", commands(), args)
	var exit *exitError
	switch {
	case err == nil, errors.Is(err, pflag.ErrHelp):
		return exitOK
	case errors.As(err, &exit):
		fmt.Fprintln(stderr, "sitegate:", err)
		return exit.status
	}
	fmt.Fprintln(stderr, "sitegate:", err)
	return exitFailed
}

// dispatchOr is dispatch for a table whose command list is meant where none is named.
func (p *program) dispatchOr(ctx context.Context, list func(context.Context, *program, []string) error, name string, table []command, args []string) error {
	if p.tour != nil {
		at := len(p.tour.stops)
		err := p.dispatch(ctx, name, table, args)
		p.tour.stops[at].lists = true
		return err
	}
	named := len(args) > 0 && (slices.Contains([]string{"help", "--help", "-h"}, args[0]) || slices.ContainsFunc(table, func(c command) bool { return c.name == args[0] }))
	if named {
		return p.dispatch(ctx, name, table, args)
	}
	return list(ctx, p, args)
}

// dispatchBare is dispatchOr for a list that no words narrow down: a word is a command, or
// was meant to be one.
func (p *program) dispatchBare(ctx context.Context, list func(context.Context, *program, []string) error, name string, table []command, args []string) error {
	if p.tour == nil && len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return p.dispatch(ctx, name, table, args)
	}
	return p.dispatchOr(ctx, list, name, table, args)
}

// dispatch finds the command that args begin with in a table and runs it.
func (p *program) dispatch(ctx context.Context, name string, table []command, args []string) error {
	if p.tour != nil {
		p.tour.table(ctx, p, name, table)
		return pflag.ErrHelp
	}
	if len(args) == 0 {
		p.help(p.stderr, name, table)
		return usagef("say what to do: one of the commands above")
	}
	first := args[0]
	if first == "help" && len(args) > 1 {
		args = []string{args[1], "--help"}
		first = args[0]
	}
	if first == "help" || first == "--help" || first == "-h" {
		p.help(p.stdout, name, table)
		return nil
	}
	if first == "--version" && name == "sitegate" {
		first = "version"
	}
	names := make([]string, len(table))
	for i, c := range table {
		if names[i] = c.name; c.name == first {
			return c.run(ctx, p, args[1:])
		}
	}
	if near := configs.Nearest(first, names); near != "" {
		return usagef("%q is not a command of %s; did you mean %s?", first, name, near)
	}
	return usagef("%q is not a command of %s; there are %s", first, name, strings.Join(names, ", "))
}

func (p *program) help(w io.Writer, name string, table []command) {
	fmt.Fprintf(w, "Usage: %s COMMAND [FLAGS]\n\n", name)
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, c := range table {
		fmt.Fprintf(t, "  %s\t%s\n", c.name, c.brief)
	}
	fmt.Fprint(t, "  help\tshow the help of a command\n")
	_ = t.Flush() // a terminal that has gone reads no help
	fmt.Fprintf(w, "\nExit status: 0 done, 1 failed, 64 wrong command line or configuration, 69 no node answers.\n")
}

// flags begins a command's flags. help is what --help says before them: how to
// use it, what it does, an example.
func (p *program) flags(name, help string) *pflag.FlagSet {
	f := pflag.NewFlagSet(name, pflag.ContinueOnError)
	f.SortFlags = false
	f.SetOutput(io.Discard) // parse says what is wrong
	if p.tour != nil {
		p.tour.help[f] = help
	}
	f.Usage = func() {
		fmt.Fprintln(p.stdout, strings.TrimSpace(help))
		if f.HasFlags() {
			fmt.Fprintf(p.stdout, "\nFlags:\n%s", f.FlagUsages())
		}
	}
	return f
}

// parse reads args into f and returns what is left of them.
func (p *program) parse(f *pflag.FlagSet, args []string) ([]string, error) {
	if p.tour != nil {
		p.tour.command(f)
		return nil, pflag.ErrHelp
	}
	err := f.Parse(args)
	var unknown *pflag.NotExistError
	switch {
	case err == nil:
		return f.Args(), nil
	case errors.Is(err, pflag.ErrHelp):
		return nil, err
	case errors.As(err, &unknown):
		var names []string
		f.VisitAll(func(g *pflag.Flag) { names = append(names, g.Name) })
		if near := configs.Nearest(unknown.GetSpecifiedName(), names); near != "" {
			return nil, usagef("%s: %w; did you mean --%s?", f.Name(), err, near)
		}
	}
	return nil, usagef("%s: %w; see sitegate %s --help", f.Name(), err, f.Name())
}

// parseNone is parse for commands that take flags only.
func (p *program) parseNone(f *pflag.FlagSet, args []string) error {
	rest, err := p.parse(f, args)
	if err == nil && len(rest) > 0 {
		return usagef("%s: %q is too much: it takes flags only; see sitegate %s --help", f.Name(), rest[0], f.Name())
	}
	return err
}
