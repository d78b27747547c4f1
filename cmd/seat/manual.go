package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"sitegate/manpage"
)

//go:generate sh -c "go run . manual >../../docs/seat.1"

// manual prints the manual page, from the same table as the help.
func manual(_ context.Context, s *seat, _ *options, args []string) error {
	if len(args) > 0 {
		return usagef("manual takes no arguments")
	}
	_, err := s.stdout.Write(manualPage())
	return err
}

// statuses are the exit statuses, for help and manual.
var statuses = [][2]string{
	{"0", "all went well; for run: the program's own status, or 128 and the number of the signal that ended it"},
	{"1", "something failed; for doctor: at least one check did"},
	{"64", "the command line, a settings file or the token file is wrong"},
	{"69", "no gateway answers, or it cannot decide now; or the sign-in is to be renewed, and its issuer does not answer: try again later"},
	{"77", "refused: by the rules, or since nobody is signed in, or not any more"},
	{"126, 127", "for run: the program cannot be run, or is not there"},
	{"130", "interrupted; watch, which is ended so, has 0"},
}

// variables are the environment.
var variables = [][2]string{
	{"SITEGATE_GATEWAY", "--gateway"}, {"SITEGATE_DOMAIN", "--domain"}, {"SITEGATE_CA", "--ca"}, {"SITEGATE_SEAT_CONFIG", "--config"},
	{"SITEGATE_TOKEN_FILE", "--token-file"}, {"SITEGATE_KEYRING", "--keyring"}, {"SITEGATE_NOTIFY", "--notify"},
	{"SITEGATE_MACHINE_KEY", "--machine-key"}, {"SITEGATE_TPM", "--tpm"},
}

// manualPage is in the man macros (man(7)).
func manualPage() []byte {
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line(`.\" Made by seat manual.`)
	line(`.TH SEAT 1 "" "sitegate" "User Commands"`)
	line(".SH NAME\nseat %s hold a license of the site's gateway while a program runs", `\-`)
	line(".SH SYNOPSIS\n.B seat\n.RI [ flags ]\n.I command\n.RI [ flags ]\n.RI [ arguments ]")
	line(".SH DESCRIPTION\n%s", manpage.Text("seat runs a program under a license of the site's license gateway, tells its user what concerns them, and checks licenses out and in. "+
		"The program is asked to end before its license could be given to another machine, with a countdown on stderr and on the desktop; it is killed only where --kill-after says so. "+
		"Elsewhere than on Windows that goes to the program itself and not to what it has started: a script that wraps it must exec it."))
	line(".SH COMMANDS")
	for _, c := range commands() {
		line(".TP\n.B %s\n%s", manpage.Text(strings.TrimSpace("seat "+c.name+" "+c.args)), manpage.Text(manpage.Sentence(c.brief)))
		if fs := own(c); fs.HasFlags() {
			line(".RS")
			manpage.Flags(&b, fs)
			line(".RE")
		}
		line(".IP\nExample:\n.B %s", manpage.Text(c.example))
	}
	line(".SH OPTIONS\nThese may stand before and after the command.")
	manpage.Flags(&b, shared())
	line(".SH EXIT STATUS")
	for _, x := range statuses {
		line(".TP\n.B %s\n%s", manpage.Text(x[0]), manpage.Text(manpage.Sentence(x[1])))
	}
	line(".SH ENVIRONMENT\nWhere the flag is not given, and before settings:")
	for _, x := range variables {
		line(".TP\n.B %s\n%s", manpage.Text(x[0]), manpage.Text("as "+x[1]))
	}
	line(".SH FILES")
	for _, x := range [][2]string{
		{"/etc/sitegate/seat.yaml", `settings for all users of a computer; %ProgramData%\sitegate\seat.yaml on Windows, /Library/Application Support/sitegate/seat.yaml on macOS`},
		{"~/.config/sitegate/seat.yaml", `the user's own settings, which win; %AppData%\sitegate on Windows, ~/Library/Application Support/sitegate on macOS`},
		{"~/.config/sitegate/token.json", "the sign-in, sealed with a key in the system's keyring where there is one"},
		{"~/.config/sitegate/machine-id", "from which the computer's id is made"},
		{"~/.config/sitegate/machine-key-HOST", "the computer's key: wrapped by its TPM, or the key itself where there is none that can be used (seat machine)"},
	} {
		line(".TP\n.I %s\n%s", manpage.Text(x[0]), manpage.Text(manpage.Sentence(x[1])))
	}
	return b.Bytes()
}

// shared are the flags of all commands.
func shared() *pflag.FlagSet {
	s := &seat{getenv: func(string) string { return "" }}
	o := s.defaults()
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.SortFlags = false
	o.common(fs)
	return fs
}

// own are the flags of one command.
func own(c command) *pflag.FlagSet {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.SortFlags = false
	if c.flags != nil {
		c.flags(fs, &options{})
	}
	return fs
}
