package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"sitegate/api"
)

const sessionsHelp = `
Usage: sitegate sessions [WORD…] [--user USER] [--machine NAME] [--product ID] [--capped]
                         [--kind KIND] [--limit N] [--csv | --json] [--config FILE]

Shows who is active on which machine with what, newest first. WORDs narrow it down to
the rows that have each of them. USER is a user's id or e-mail address. With --capped
what has ended in the last three minutes is there, too, as in the vendor's report; with
--kind all checkouts are among the sessions, as in the console, and with --kind checkout
it is what is checked out only.

Examples:
  sitegate sessions ada
  sitegate sessions --machine WS-101 --json
  sitegate sessions --capped --kind all --csv
`

const checkoutsListHelp = `
Usage: sitegate checkouts [list] [WORD…] [--user USER] [--machine NAME] [--product ID] [--capped]
                                 [--limit N] [--csv | --json] [--config FILE]

Shows the licenses that are checked out: whose, to which machine, until when. WORDs
narrow it down to the rows that have each of them. USER is a user's id or e-mail
address.

Example:
  sitegate checkouts LAPTOP-7
`

func sessions(ctx context.Context, p *program, args []string) error {
	return p.opened(ctx, "sessions", sessionsHelp, "session", args)
}

func checkoutsList(ctx context.Context, p *program, args []string) error {
	return p.opened(ctx, "checkouts list", checkoutsListHelp, "checkout", args)
}

// opened lists what is open of a kind.
func (p *program) opened(ctx context.Context, name, help, kind string, args []string) error {
	l := p.listing(name, help, api.PathOpen, "after")
	user := l.String("user", "", "only of this user")
	machine := l.String("machine", "", "only on the machine of this name")
	product := l.String("product", "", "only of the product with this id")
	capped := l.Bool("capped", false, "only of capped products")
	if kind == "session" {
		l.StringVar(&kind, "kind", kind, "session, checkout, or all: both")
	}
	words, err := p.parse(l.FlagSet, args)
	if err != nil {
		return err
	}
	switch kind {
	case "session", "checkout":
		l.query.Set("kind", kind)
	case "all":
	default:
		return usagef("%s: --kind %s: it is session, checkout or all", name, kind)
	}
	for key, value := range map[string]string{"machine": *machine, "product": *product} {
		if value != "" {
			l.query.Set(key, value)
		}
	}
	if *capped {
		l.query.Set("capped", "yes")
	}
	if *user != "" {
		if err := p.named(ctx, l, *user); err != nil {
			return err
		}
	}
	all, _, err := read[api.Open](ctx, p, l, words)
	if err != nil {
		return err
	}
	switch kind {
	case "all":
		err = show(p, l, all, "Nothing is open that fits.", "ID|KIND|USER|MACHINE|PRODUCT|SINCE (GMT)|UNTIL (GMT)|STATE", func(x api.Open) []string {
			return []string{x.ID, x.Kind, person(x.User, x.Name, x.Email), onMachine(x.Machine), cmp.Or(x.ProductName, x.Product), stamp(x.Since), stamp(x.Until), openState(x)}
		})
	case "checkout":
		err = show(p, l, all, "Nothing is checked out that fits.", "ID|USER|MACHINE|PRODUCT|SINCE (GMT)|UNTIL (GMT)|STATE", func(x api.Open) []string {
			return []string{x.ID, person(x.User, x.Name, x.Email), onMachine(x.Machine), cmp.Or(x.ProductName, x.Product), stamp(x.Since), stamp(x.Until), openState(x)}
		})
	default:
		err = show(p, l, all, "Nothing runs that fits.", "ID|USER|MACHINE|PRODUCT|SINCE (GMT)|STATE", func(x api.Open) []string {
			return []string{x.ID, person(x.User, x.Name, x.Email), onMachine(x.Machine), cmp.Or(x.ProductName, x.Product), stamp(x.Since), openState(x)}
		})
	}
	if err == nil && *capped && !l.asCSV && !l.asJSON && !all.At.IsZero() { // as the vendor's report says when it was made
		fmt.Fprintf(p.stdout, "As of %s (GMT).\n", all.At.UTC().Format(time.DateTime))
	}
	return err
}

// openState is what is to be known of something open beside that it is.
func openState(x api.Open) string {
	var words []string
	say := func(yes bool, word string) {
		if yes {
			words = append(words, word)
		}
	}
	say(x.Closed, "ended "+stamp(x.Until))
	say(!x.Closed && x.Provisional, "provisional")
	say(!x.Closed && !x.Provisional, "confirmed")
	say(x.Relayed, "relayed")
	if x.Ending != nil {
		words = append(words, "ending: "+x.Ending.Reason)
	}
	say(x.LicenseType != "Practitioner", x.LicenseType)
	say(x.By != "", because("made by "+x.By, x.Note))
	if w := x.WrittenOff; w != nil {
		words = append(words, because("written off by "+w.By, w.Note))
	}
	say(!x.Flagged.IsZero(), "its right is gone")
	return strings.Join(words, ", ")
}

// person is how a user is called.
func person(id, name, email string) string {
	switch {
	case email != "" && name != "":
		return name + " <" + email + ">"
	case email != "" || name != "":
		return cmp.Or(email, name)
	}
	return id
}

func onMachine(m api.Machine) string { return cmp.Or(m.Name, m.ID) }
