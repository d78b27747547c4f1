package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"sitegate/configs"
	"sitegate/manpage"
)

//go:generate sh -c "go run . manual >../../docs/sitegate.1"

const manualHelp = `
Usage: sitegate manual

Prints the manual page.

Example:
  sitegate manual > /usr/share/man/man1/sitegate.1
`

func manual(ctx context.Context, p *program, args []string) error {
	f := p.flags("manual", manualHelp)
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	_, err := p.stdout.Write(manualPage(stops(ctx)))
	return err
}

// manualPage is made from the commands' own help.
func manualPage(all []stop) []byte {
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line(`.\" Made by sitegate manual.`)
	line(`.TH SITEGATE 1 "" "sitegate" "User Commands"`)
	line(".SH NAME\nsitegate %s a node of a site's license gateway, and the tool its operators work it with", `\-`)
	line(".SH SYNOPSIS\n.B sitegate\n.I command\n.RI [ flags ]\n.RI [ arguments ]")
	line(".SH COMMANDS")
	shared := pflag.NewFlagSet("", pflag.ContinueOnError)
	configs.AddFlags(shared)
	told := map[string]bool{} // a help is that of several commands now and then
	for _, s := range all {
		if s.flags == nil {
			continue
		}
		line(".SS %s", manpage.Text("sitegate "+s.name))
		if told[s.help] {
			line("%s See above.", manpage.Text(manpage.Sentence(s.brief)))
		} else {
			told[s.help] = true
			line(".nf")
			for text := range strings.Lines(strings.TrimSpace(s.help)) {
				line("%s", manpage.Text(strings.TrimRight(text, "\n")))
			}
			line(".fi")
		}
		own := pflag.NewFlagSet("", pflag.ContinueOnError)
		own.SortFlags = false
		s.flags.VisitAll(func(f *pflag.Flag) {
			if shared.Lookup(f.Name) == nil {
				own.AddFlag(f)
			}
		})
		manpage.Flags(&b, own)
	}
	line(".SH SETTINGS\nEach of these takes the place of a line of the configuration, for commands that read one.")
	manpage.Flags(&b, shared)
	line(".SH EXIT STATUS")
	for _, x := range [][2]string{{"0", "done"}, {"1", "failed"}, {"64", "the command line or the configuration is wrong"}, {"69", "no node answers"}} {
		line(".TP\n.B %s\n%s", x[0], manpage.Text(manpage.Sentence(x[1])))
	}
	line(".SH ENVIRONMENT")
	for _, x := range [][2]string{{"SITEGATE_CONFIG", "as --config"}, {"SITEGATE_URL", "as --url"}, {"SITEGATE_TOKEN_FILE", "as --token-file"}, {"SITEGATE_CA_FILE", "as --ca-file"}} {
		line(".TP\n.B %s\n%s", manpage.Text(x[0]), manpage.Text(x[1]))
	}
	line(".SH SEE ALSO\n.BR seat (1)")
	return b.Bytes()
}
