package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"sitegate/client"
	"sitegate/desktop"
)

// The exit statuses, as in sysexits.h where it has one. A program that seat runs
// passes its own on.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 64  // the command line, or a file it names, is wrong
	exitUnavailable = 69  // no gateway answers, or it cannot decide now
	exitDenied      = 77  // refused, or nobody is signed in
	exitNotRunnable = 126 // the program is there and cannot be run
	exitNotFound    = 127 // there is no such program
	exitSignal      = 128 // and the number of the signal
	exitInterrupted = exitSignal + 2
)

// command is one row of the table of commands.
type command struct {
	name, args string
	brief      string // one line of help
	example    string
	flags      func(fs *pflag.FlagSet, o *options)
	run        func(ctx context.Context, s *seat, o *options, args []string) error
}

func commands() []command {
	return []command{
		{"run", "--product P [flags] -- PROGRAM [ARGS…]", "run a program under a license",
			"seat run --product 3101 --wait -- gable model.dgn", runFlags, runProgram},
		{"watch", "", "tell what concerns you, on the desktop and line by line, until interrupted",
			"seat watch --json", jsonFlag, watch},
		{"status", "", "show who is signed in, the licenses, and where they are in use",
			"seat status", jsonFlag, status},
		{"refresh", "", "send usage and read licenses now: after one was assigned, or in trial mode",
			"seat refresh", jsonFlag, refresh},
		{"checkout", "--product P [--until T | --for D]", "take a license along, away from the network",
			"seat checkout --product 3101 --for 72h", checkoutFlags, checkOut},
		{"return", "ID", "give a checkout back",
			"seat return 019a9f3e-7a10-7c5e-9d8a-1f0e6a2b3c4d", nil, giveBack},
		{"request", "--product P", "ask the machine you are active on to let go, and wait until it has",
			"seat request --product 3101", requestFlags, request},
		{"let-go", "[--decline]", "close what runs on this machine for another of yours, or say no to it",
			"seat let-go --decline", letGoFlags, letGo},
		{"wait", "--product P", "wait until a product can be started here",
			"seat wait --product 3101", waitFlags, wait},
		{"checkouts", "", "list what you have checked out, on whichever machine",
			"seat checkouts", jsonFlag, checkouts},
		{"login", "[--issuer URL]", "sign in with a browser, here or elsewhere, and keep the token",
			"seat login --issuer https://ims.example --proxy http://sitegate.example:8080", loginFlags, login},
		{"doctor", "", "look at what keeps you from working: clock, ways, names, versions, sign-in, licenses",
			"seat doctor", doctorFlags, examine},
		{"machine", "", "show what this computer is to the gateway: name, id, and where its key is kept",
			"seat machine", jsonFlag, showMachine},
		{"completion", "SHELL", "print a script that completes what is typed: for bash, zsh, fish or powershell",
			shells[0][1], nil, completion},
		{"manual", "", "print the manual page, for man",
			"seat manual | man -l -", nil, manual},
		{"version", "", "show the version of this program",
			"seat version", nil, showVersion},
		{"logout", "", "end what you run on this machine, and forget the sign-in",
			"seat logout", logoutFlags, logout},
	}
}

// unsettled are commands that need no settings, and work where those are wrong.
var unsettled = []string{"completion", "manual", "version"}

// seat is what surrounds a command.
type seat struct {
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer

	lang     string // of the user: en, fr, de
	computer string // folder of settings for all users; may be empty
	keys     keyring
	lookup   func(ctx context.Context, name string) (at string, _ []*net.SRV, _ error)
	origin   func() (name string, there bool)
	desktop  func(app string) notifier
}

// keyring keeps a key for the token file. desktop.Keyring is the system's.
type keyring interface {
	Get(ctx context.Context, name string) (string, error)
	Set(ctx context.Context, name, secret string) error
	Forget(ctx context.Context, name string) error
}

// exitError is an error that ends seat with a status of its own. Without an
// error nothing more is said.
type exitError struct {
	status int
	err    error
	next   []string // what one can do
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &exitError{status: exitUsage, err: fmt.Errorf(format, args...)}
}

// run carries out a command line and returns the exit status. Whatever a command
// has started has ended by then.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	s := &seat{getenv: getenv, stdin: stdin, stdout: stdout, stderr: stderr, computer: computerDir(getenv),
		keys: desktop.Keyring{Getenv: getenv}, lookup: lookupSRV, origin: desktop.Origin,
		desktop: func(app string) notifier { return desktop.NewNotifier(getenv, app) }}
	return s.main(ctx, args)
}

// main carries out a command line and returns the exit status.
func (s *seat) main(ctx context.Context, args []string) int {
	err := s.dispatch(ctx, args)
	if err == nil {
		return exitOK
	}
	status, said := s.explain(err)
	if said != "" {
		fmt.Fprint(s.stderr, said)
	}
	return status
}

// explain is the exit status of an error and what to say of it: the sentence,
// then what one can do.
func (s *seat) explain(err error) (status int, said string) {
	if exit, ok := errors.AsType[*exitError](err); ok {
		if exit.err == nil {
			return exit.status, ""
		}
		return exit.status, "seat: " + plain(exit.Error()) + "\n" + steps(exit.next)
	}
	e, ok := errors.AsType[*client.Error](err)
	if !ok {
		return exitFailed, "seat: " + plain(err.Error()) + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "seat: %s\n", plain(err.Error()))
	b.WriteString(steps(e.Next))
	if e.RequestID != "" {
		fmt.Fprintf(&b, "  (request %s)\n", plain(e.RequestID))
	}
	switch {
	case e.Denied() || errors.Is(err, client.ErrUnauthorized):
		return exitDenied, b.String()
	case errors.Is(err, client.ErrUnreachable), errors.Is(err, client.ErrNoQuorum), errors.Is(err, client.ErrNotReady), errors.Is(err, client.ErrDiskLow), errors.Is(err, client.ErrDiverged), errors.Is(err, client.ErrCloud),
		errors.Is(err, client.ErrUnknown), errors.Is(err, client.ErrTooMany), errors.Is(err, client.ErrSignIn), errors.Is(err, client.ErrKeyUnusable):
		return exitUnavailable, b.String()
	}
	return exitFailed, b.String()
}

// steps are lines of what one can do.
func steps(next []string) string {
	var b strings.Builder
	for _, n := range next {
		fmt.Fprintf(&b, "  - %s\n", plain(n))
	}
	return b.String()
}

// dispatch finds the command in args and runs it. The common flags may stand
// before and after its name.
func (s *seat) dispatch(ctx context.Context, args []string) error {
	o := s.defaults()
	global := s.flags("seat", &o)
	global.SetInterspersed(false)
	global.Usage = func() { s.help(global) }
	if err := global.Parse(args); err != nil {
		return parsed(err)
	}
	if global.NArg() == 0 {
		s.help(global)
		return &exitError{status: exitUsage}
	}
	name, rest := global.Arg(0), global.Args()[1:]
	if name == "help" && len(rest) > 0 {
		name, rest = rest[0], []string{"--help"}
	}
	for _, c := range commands() {
		if c.name != name {
			continue
		}
		fs := s.flags("seat "+c.name, &o)
		fs.SetInterspersed(c.name != "run") // what follows is the program's
		if c.flags != nil {
			c.flags(fs, &o)
		}
		fs.Usage = func() {
			fmt.Fprintf(s.stdout, "seat %s: %s\n\n  %s\n\nExample:\n\n  %s\n\nFlags:\n\n%s",
				c.name, c.brief, strings.TrimSpace("seat "+c.name+" "+c.args), c.example, fs.FlagUsages())
		}
		if err := fs.Parse(rest); err != nil {
			return parsed(err)
		}
		flagged := func(name string) bool { return global.Changed(name) || fs.Changed(name) }
		if !slices.Contains(unsettled, c.name) {
			if err := s.settle(&o, flagged); err != nil {
				return err
			}
		}
		// What runs a program hears of signals itself; for all else they are the end.
		if heard := heeded(os.Interrupt, terminate); c.name != "run" && len(heard) > 0 {
			var stop context.CancelFunc
			ctx, stop = signal.NotifyContext(ctx, heard...)
			defer stop()
		}
		err := c.run(ctx, s, &o, fs.Args())
		if err != nil && c.name != "run" && ctx.Err() != nil { // whatever it failed with because of that
			return &exitError{status: exitInterrupted}
		}
		return err
	}
	if name == "help" {
		s.help(global)
		return nil
	}
	return usagef("there is no command %q; try seat --help", name)
}

func parsed(err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return nil
	}
	return usagef("%w; try seat --help", err)
}

func (s *seat) flags(name string, o *options) *pflag.FlagSet {
	fs := pflag.NewFlagSet(name, pflag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are told once, by explain
	fs.SortFlags = false
	o.common(fs)
	return fs
}

func (s *seat) help(global *pflag.FlagSet) {
	var b strings.Builder
	b.WriteString("seat holds a license of your site's gateway while a program runs.\n\nCommands:\n\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %s\n      %s\n      e.g.  %s\n\n", strings.TrimSpace("seat "+c.name+" "+c.args), c.brief, c.example)
	}
	b.WriteString("Flags of all commands:\n\n" + global.FlagUsages())
	b.WriteString("\nExit status:\n\n")
	for _, x := range statuses {
		fmt.Fprintf(&b, "  %-8s  %s\n", x[0], x[1])
	}
	fmt.Fprint(s.stdout, b.String())
}

// plain is text from elsewhere for a person: without what a terminal would obey, and
// with its times as the clock of this computer shows them.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
	return local(s, time.Local)
}

// moment is a time as the gateway writes it into sentences.
var moment = regexp.MustCompile(`\b\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)? UTC\b`)

// local puts the times of a sentence into a zone.
func local(s string, zone *time.Location) string {
	return moment.ReplaceAllStringFunc(s, func(m string) string {
		layout := "2006-01-02 15:04:05"[:len(m)-len(" UTC")]
		t, err := time.Parse(layout+" UTC", m)
		if err != nil {
			return m
		}
		return t.In(zone).Format(layout)
	})
}
