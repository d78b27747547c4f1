package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"

	"sitegate/api"
)

const licensesHelp = `
Usage: sitegate licenses [WORD…] [--state STATE] [--product ID] [--user USER]
                         [--limit N] [--csv | --json] [--config FILE]
       sitegate licenses show LICENSE [--json] [--config FILE]
       sitegate licenses products [--json] [--config FILE]
       sitegate licenses reminders [--limit N] [--csv | --json] [--config FILE]
       sitegate licenses learned [--limit N] [--csv | --json] [--config FILE]
       sitegate licenses move LICENSE --to USER --note WHY [--by WHO] [--config FILE]

Shows the licenses of the account by product, with whom each is assigned to. STATE is
unassigned, not-found (its assignee is not in the account), never-used, ending (within
30 days) or ended. "show" is one license and, where its assignee is not in the account,
the service requests by which the vendor mends that, ready to be copied. "products" shows how much is owned and in use; "reminders", what to
see to; "learned", the uses that the vendor's own clients told of on their way through the
gateway, of which the mirror may have no assignment. "move" assigns a license to another user, where the cloud lets the site do it:
that is free for 24 hours after an assignment, and then locked for 30 days. USER is a
user's id or e-mail address.

Examples:
  sitegate licenses --state never-used
  sitegate licenses move V-0017 --to ada@acme.example --note "joined the team"
`

func licenses(ctx context.Context, p *program, args []string) error {
	return p.dispatchOr(ctx, licensesList, "sitegate licenses", []command{
		{"list", "show the licenses of the account", licensesList},
		{"show", "show a license, and the service request for one whose user is gone", licensesShow},
		{"products", "show how much of each product is owned, and in use", licensesProducts},
		{"reminders", "show what to see to: unassigned, never used, ending", licensesReminders},
		{"learned", "show what relayed clients use, and the mirror may not have", licensesLearned},
		{"move", "assign a license to another user", licensesMove},
	}, args)
}

func licensesList(ctx context.Context, p *program, args []string) error {
	l := p.listing("licenses list", licensesHelp, api.PathSiteLicenses, "after")
	state := l.String("state", "", "only these: unassigned, not-found, never-used, ending or ended")
	product := l.String("product", "", "only of the product with this id")
	user := l.String("user", "", "only of this assignee")
	words, err := p.parse(l.FlagSet, args)
	if err != nil {
		return err
	}
	for key, value := range map[string]string{"state": *state, "product": *product} {
		if value != "" {
			l.query.Set(key, value)
		}
	}
	if *user != "" {
		if err := p.named(ctx, l, *user); err != nil {
			return err
		}
	}
	all, _, err := read[api.SiteLicense](ctx, p, l, words)
	if err != nil {
		return err
	}
	return show(p, l, all, "No license fits.", "ID|PRODUCT|CAPPED|TYPE|ASSIGNEE|LOCKED UNTIL (GMT)|ENDS (GMT)|LAST USED|STATE", func(x api.SiteLicense) []string {
		return []string{x.ID, cmp.Or(x.ProductName, x.Product), x.Capped, x.Type, person(x.Assignee, x.Name, x.Email), stamp(x.LockedUntil),
			moment(x.Ends, "2006-01-02", ""), moment(x.LastUsed, "2006-01-02", ""), licenseState(x)}
	})
}

func licensesShow(ctx context.Context, p *program, args []string) error {
	f := p.flags("licenses show", licensesHelp)
	asJSON := f.Bool("json", false, "print it as JSON")
	p.configFlags(f)
	p.remoteFlags(f)
	rest, err := p.parse(f, args)
	id, err := p.oneName(f, rest, err)
	if err != nil {
		return err
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	var x api.SiteLicense
	if err := operator(ctx, c, http.MethodGet, api.Of(api.PathSiteLicenses, id, ""), nil, &x); err != nil {
		return err
	}
	if *asJSON {
		return p.json(x)
	}
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{{"license", x.ID}, {"product", cmp.Or(x.ProductName, x.Product)}, {"capped", x.Capped}, {"type", x.Type}, {"assignee", person(x.Assignee, x.Name, x.Email)},
		{"assigned", stamp(x.AssignedAt)}, {"locked until", stamp(x.LockedUntil)}, {"starts", moment(x.Starts, "2006-01-02", "")}, {"ends", moment(x.Ends, "2006-01-02", "")},
		{"last used", moment(x.LastUsed, "2006-01-02", "")}, {"state", licenseState(x)}} {
		if row[1] != "" {
			fmt.Fprintf(t, "%s\t%s\n", row[0], shown(row[1]))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range x.Requests {
		fmt.Fprintf(p.stdout, "\n%s. %s\n\n", shown(r.Title), shown(r.When))
		for line := range strings.Lines(r.Text + "\n") {
			fmt.Fprintln(p.stdout, shown(strings.TrimSuffix(line, "\n")))
		}
	}
	return nil
}

func licenseState(x api.SiteLicense) string {
	var words []string
	if x.Assignee == "" {
		words = append(words, "unassigned")
	}
	if x.NotFound {
		words = append(words, "assignee not found in the account")
	}
	if x.Ended {
		words = append(words, "ended")
	}
	return strings.Join(words, ", ")
}

func licensesProducts(ctx context.Context, p *program, args []string) error {
	c, asJSON, err := p.looking("licenses products", licensesHelp, args)
	if err != nil {
		return err
	}
	var all rows[api.ProductUse]
	if err := operator(ctx, c, http.MethodGet, api.PathProducts, nil, &all); err != nil {
		return err
	}
	return show(p, &listing{asJSON: asJSON}, all, "The mirror knows no product.", "ID|PRODUCT|CAPPED|OWNED|IN USE|SESSIONS|CHECKOUTS", func(x api.ProductUse) []string {
		return []string{x.Product, x.Name, x.Capped, fmt.Sprint(x.Owned), fmt.Sprint(x.InUse), fmt.Sprint(x.Sessions), fmt.Sprint(x.Checkouts)}
	})
}

func licensesReminders(ctx context.Context, p *program, args []string) error {
	return listed(ctx, p, args, "licenses reminders", api.PathReminders, "There is nothing to see to.", "WHAT|LICENSE|ENDS (GMT)|SENTENCE", func(x api.Reminder) []string {
		return []string{x.Kind, x.License, moment(x.Ends, "2006-01-02", ""), x.Text}
	})
}

func licensesLearned(ctx context.Context, p *program, args []string) error {
	return listed(ctx, p, args, "licenses learned", api.PathLearned, "No relayed client has told of anything.", "USER|PRODUCT|ID|COUNTRY|FIRST|LAST|IN THE MIRROR", func(x api.LearnedUse) []string {
		return []string{cmp.Or(x.Email, x.Name, x.User), x.ProductName, x.Product, x.Country, x.First, x.Last, map[bool]string{true: "yes", false: "no"}[x.Known]}
	})
}

// listed is a command that lists what a path has, page by page.
func listed[T any](ctx context.Context, p *program, args []string, command, path, none, head string, row func(T) []string) error {
	l := p.listing(command, licensesHelp, path, "after")
	if err := p.parseNone(l.FlagSet, args); err != nil {
		return err
	}
	all, _, err := read[T](ctx, p, l, nil)
	if err != nil {
		return err
	}
	return show(p, l, all, none, head, row)
}

func licensesMove(ctx context.Context, p *program, args []string) error {
	f := p.flags("licenses move", licensesHelp)
	to := f.String("to", "", "whom to assign it to, by id or e-mail address")
	a := p.act(f)
	rest, err := p.parse(f, args)
	id, err := p.oneName(f, rest, err)
	if err != nil {
		return err
	}
	if *to == "" {
		return usagef("licenses move: say whom to assign it to, with --to")
	}
	c, said, err := a.ready(p)
	if err != nil {
		return err
	}
	user, err := userID(ctx, c, *to)
	if err != nil {
		return err
	}
	var l api.License
	in := api.MoveRequest{To: user, By: said.By, Note: said.Note}
	if err := patientOperator(ctx, c, http.MethodPost, api.Of(api.PathLicenses, id, "/move"), in, &l); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "License %s of product %s is assigned to %s.\n", l.ID, l.Product, shown(*to))
	return nil
}
