package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"sitegate/api"
)

const refusalsHelp = `
Usage: sitegate refusals [WORD…] [--observed | --refused] [--limit N] [--csv | --json] [--config FILE]
       sitegate refusals --counts [--from DAY] [--csv | --json] [--config FILE]

Shows who was refused, why, what they were told and what you can do, newest first; and
who would have been where the rules are only observed. WORDs narrow it down. It is read from the
journal of the node that is asked, as far back as that goes.

With --counts it is counted how often somebody would have been refused where the rules
are only observed, by product and network of rules.modes, from DAY on (by default seven
days ago). One user, machine and reason counts once a minute.

Examples:
  sitegate refusals ada --limit 20
  sitegate refusals --counts --from 2026-11-01
`

func refusals(ctx context.Context, p *program, args []string) error {
	l := p.listing("refusals", refusalsHelp, api.PathRefusals, "before")
	observed := l.Bool("observed", false, "only what would have been refused")
	refused := l.Bool("refused", false, "only what was refused")
	counts := l.Bool("counts", false, "count what would have been refused, by product and network")
	from := l.String("from", "", "with --counts: from this day on (default: seven days ago)")
	words, err := p.parse(l.FlagSet, args)
	if err != nil {
		return err
	}
	if *counts {
		if *refused || *observed || len(words) > 0 || l.Changed("limit") {
			return usagef("refusals: --counts goes with no words, and not with --refused, --observed or --limit")
		}
		return observedCounts(ctx, p, l, *from)
	}
	switch {
	case *from != "":
		return usagef("refusals: --from goes with --counts")
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

// observedCounts are how often somebody would have been refused.
func observedCounts(ctx context.Context, p *program, l *listing, from string) error {
	if l.asCSV && l.asJSON {
		return usagef("refusals: choose one of --csv and --json")
	}
	c, _, err := p.load(l.FlagSet)
	if err != nil {
		return err
	}
	path := api.PathObserved
	if from != "" {
		path += "?" + url.Values{"from": {from}}.Encode()
	}
	var all api.ObservedCounts
	if err := patientOperator(ctx, c, http.MethodGet, path, nil, &all); err != nil {
		return err
	}
	if l.asJSON {
		return p.json(all)
	}
	none := "Nobody would have been refused since " + stamp(all.From) + " (GMT)."
	err = show(p, l, rows[api.ObservedCount]{Items: all.Items}, none, "PRODUCT|NAME|NETWORK|REFUSALS|USERS|LAST (GMT)", func(x api.ObservedCount) []string {
		return []string{x.Product, x.Name, cmp.Or(x.Network, "any other"), strconv.Itoa(x.Refusals), strconv.Itoa(x.Users), stamp(x.Last)}
	})
	if err == nil && !all.Whole && !l.asCSV {
		fmt.Fprintf(p.stdout, "The node's journal does not go back to %s: there may have been more.\n", stamp(all.From))
	}
	return err
}
