package main

import (
	"cmp"
	"context"

	"sitegate/api"
)

const refusalsHelp = `
Usage: sitegate refusals [WORD…] [--observed | --refused] [--limit N] [--csv | --json] [--config FILE]

Shows who was refused, why, what they were told and what you can do, newest first; and
who would have been where the rules are only observed. WORDs narrow it down. It is read from the
journal of the node that is asked, as far back as that goes.

Example:
  sitegate refusals ada --limit 20
`

func refusals(ctx context.Context, p *program, args []string) error {
	l := p.listing("refusals", refusalsHelp, api.PathRefusals, "before")
	observed := l.Bool("observed", false, "only what would have been refused")
	refused := l.Bool("refused", false, "only what was refused")
	words, err := p.parse(l.FlagSet, args)
	if err != nil {
		return err
	}
	switch {
	case *observed && *refused:
		return usagef("refusals: choose one of --observed and --refused")
	case *observed:
		l.query.Set("kind", "observed")
	case *refused:
		l.query.Set("kind", "refused")
	}
	all, _, err := read[api.SiteRefusal](ctx, p, l, words)
	if err != nil {
		return err
	}
	return show(p, l, all, "Nobody was refused, as far back as the journal goes.", "WHEN (GMT)|USER|MACHINE|PRODUCT|WHY|WHAT THEY WERE TOLD|WHAT IT CAN DO|WITH", func(x api.SiteRefusal) []string {
		why := x.Reason
		if x.Observed {
			why += " (observed)"
		}
		with := ""
		if x.Open != "" && x.OpenKind == "session" { // a checkout is to be returned first
			with = "sitegate release session " + x.Open + " --note WHY"
		}
		return []string{stamp(x.At), person(x.User, x.Name, x.Email), onMachine(x.Machine), cmp.Or(x.ProductName, x.Product), why, x.Told, x.Remedy, with}
	})
}
