package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"sitegate/api"
	"sitegate/portal"
)

const checkoutsBulkHelp = `
Usage: sitegate checkouts bulk FILE.csv --product ID… --note WHY [--until DATE] [--yes] [--id ID]
                               [--by WHO] [--json] [--config FILE]

Checks licenses out for many users at once, each to one machine. The first line of FILE
names the columns, of which "user" (an id or e-mail address) and "machine" (a name) are
read. It first looks at every row and shows what would come of it; with --yes it makes the
checkouts, and none at all where a row is bad. They are out until the end of the day DATE,
GMT; without --until as long as the site's default is.

Where the site cannot go on in the middle of it, or its answer is lost, the same command
with the --id that is printed makes the rest, and nothing twice.

Examples:
  sitegate checkouts bulk ship.csv --product 3101 --until 2026-05-31 --note "ship, until May"
  sitegate checkouts bulk ship.csv --product 3101 --until 2026-05-31 --note "ship, until May" --yes
`

// maxBulkFile is the largest file of a bulk checkout, in bytes.
const maxBulkFile = 1 << 20

func checkoutsBulk(ctx context.Context, p *program, args []string) error {
	f := p.flags("checkouts bulk", checkoutsBulkHelp)
	a := p.act(f)
	products := f.StringArray("product", nil, "the product that is checked out, by its id; may be given several times")
	until := f.String("until", "", "the last day, as 2026-05-31 (default: as long as the site's default is)")
	yes := f.Bool("yes", false, "do it; without, only show what would come of it")
	id := f.String("id", "", "go on with a bulk checkout that did not come to its end")
	asJSON := f.Bool("json", false, "print it as JSON")
	files, err := p.parse(f, args)
	if err != nil {
		return err
	}
	if len(files) != 1 || len(*products) == 0 {
		return usagef("checkouts bulk: name one file, and a product with --product: sitegate licenses products shows their ids")
	}
	in := api.BulkCheckoutRequest{ID: *id, DryRun: !*yes}
	for _, x := range *products {
		in.Products = append(in.Products, api.BulkProduct{Product: x})
	}
	if *until != "" {
		day, err := time.Parse(time.DateOnly, *until)
		if err != nil {
			return usagef("checkouts bulk: --until %s: it is a day such as 2026-05-31", *until)
		}
		in.Until = day.Add(24*time.Hour - time.Second)
	}
	if in.ID == "" {
		made, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("making an id: %w", err)
		}
		in.ID = made.String()
	}
	data, err := readBounded(files[0], maxBulkFile)
	if err != nil {
		return fmt.Errorf("reading whom to check out for: %w", err)
	}
	if len(data) > maxBulkFile {
		return fmt.Errorf("%s is larger than %d bytes: make several files of it", files[0], maxBulkFile)
	}
	if in.CSV, err = portal.Text(files[0], data, portal.Guess); err != nil {
		return err
	}
	c, said, err := a.ready(p)
	if err != nil {
		return err
	}
	in.By, in.Note = said.By, said.Note
	var r api.BulkReport
	err = patientOperator(ctx, c, http.MethodPost, api.PathCheckouts+"/bulk", in, &r)
	if no, is := errors.AsType[*nodeRefused](err); is && no.code == "" && json.Unmarshal(no.body, &r) == nil && r.Bad > 0 {
		err = nil // a report of what is bad
	}
	switch {
	case err != nil && *yes: // some may have been made
		return fmt.Errorf("%w\nThe same with --id %s makes what is missing, and nothing twice", err, in.ID)
	case err != nil:
		return err
	}
	if *asJSON {
		err = p.json(struct {
			ID string `json:"id"`
			api.BulkReport
		}{in.ID, r})
	} else {
		err = p.bulkText(r, in.ID)
	}
	if err == nil && r.Bad > 0 {
		err = fmt.Errorf("%s not made", count(r.Bad, "checkout"))
	}
	return err
}

func (p *program) bulkText(r api.BulkReport, id string) error {
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ROW\tUSER\tMACHINE\tPRODUCT\tUNTIL (GMT)\tSTATE")
	for _, x := range r.Items {
		state := "good"
		if x.Reason != "" {
			state = x.Reason + ": " + shown(x.Text)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", x.Row, shown(x.User), shown(x.Machine), shown(x.Product), moment(x.Until, "2006-01-02 15:04", "-"), state)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	unknown := slices.ContainsFunc(r.Items, func(x api.BulkRow) bool { return x.Reason == api.CodeUnknown })
	switch {
	case r.Bad > 0 && r.Made == 0 && unknown:
		fmt.Fprintf(p.stdout, "It is not known whether one was checked out. To go on: the same with --id %s\n", id)
	case r.Bad > 0 && r.Made == 0:
		fmt.Fprintln(p.stdout, "Nothing was checked out; STATE says why.")
	case r.Bad > 0:
		fmt.Fprintf(p.stdout, "%s made. For the rest: the same with --id %s\n", count(r.Made, "checkout"), id)
	case r.DryRun:
		fmt.Fprintf(p.stdout, "Nothing was checked out. To make %s: the same with --yes\n", count(len(r.Items), "checkout"))
	default:
		fmt.Fprintf(p.stdout, "%s made.\n", count(r.Made, "checkout"))
	}
	return nil
}
