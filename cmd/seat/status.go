package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"sitegate/api"
	"sitegate/client"
)

// status shows what the site knows of the user.
func status(ctx context.Context, s *seat, o *options, args []string) error {
	if len(args) > 0 {
		return usagef("status takes no arguments")
	}
	return tell(ctx, s, o, (*client.Client).Me)
}

// refresh has the site send usage and read the cloud now, and shows what it knows
// of the user after that.
func refresh(ctx context.Context, s *seat, o *options, args []string) error {
	if len(args) > 0 {
		return usagef("refresh takes no arguments")
	}
	return tell(ctx, s, o, (*client.Client).Refresh)
}

func tell(ctx context.Context, s *seat, o *options, of func(*client.Client, context.Context) (*api.Me, error)) error {
	var me *api.Me
	err := s.ask(ctx, o, func(ctx context.Context, c *client.Client) (err error) {
		me, err = of(c, ctx)
		return err
	})
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(s.stdout, me)
	}
	m, err := o.machine()
	if err != nil {
		return err
	}
	return show(s.stdout, me, m)
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// show prints it for people: who, what, where, and whom to ask (R21, R23).
func show(out io.Writer, me *api.Me, here api.Machine) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(head, format string, args ...any) {
		fmt.Fprintf(w, "%s\t%s\n", head, plain(fmt.Sprintf(format, args...)))
	}
	line("this machine", "%s", cmp.Or(here.Name, here.ID))
	line("signed in", "%s", cmp.Or(me.SignedIn, me.Email))
	if me.SignedIn != "" && me.Email != "" && !strings.EqualFold(me.SignedIn, me.Email) {
		line("assigned to", "%s", me.Email)
	}
	for _, l := range me.Licenses {
		ends := ""
		if !l.Ends.IsZero() {
			ends = ", until " + clock(l.Ends)
		}
		capped := ""
		if l.Capped == "yes" {
			capped = ", one machine at a time"
		}
		line("license", "%s %s: %s%s%s", l.Product, l.ProductName, l.LicenseType, capped, ends)
	}
	if len(me.Licenses) == 0 {
		line("license", "none is assigned to you")
	}
	for _, x := range me.Products {
		if x.LicenseType != "" {
			line("starts as", "%s %s: %s", x.Product, x.Name, x.LicenseType)
		} else {
			line("starts not", "%s %s: %s", x.Product, x.Name, cmp.Or(x.Text, x.Reason))
			for _, next := range x.Next {
				line("", "- %s", next)
			}
		}
		for _, w := range x.Warnings {
			line("", "%s", w.Text)
		}
	}
	for _, x := range me.Sessions {
		provisional := ""
		if x.Provisional {
			provisional = ", not yet confirmed by the cloud"
		}
		line("active", "%s on %s since %s as %s%s", x.Product, where(x.Machine, here), clock(x.Since), x.LicenseType, provisional)
		for _, w := range x.Warnings {
			line("", "%s", w.Text)
		}
	}
	for _, x := range me.Checkouts {
		line("checked out", "%s on %s until %s (%s)", x.Product, where(x.Machine, here), clock(x.Until), x.ID)
	}
	for _, x := range me.Waiting {
		what := "waits for"
		if x.Free {
			what = "may now start"
		}
		line("waiting", "%s %s %s", where(x.Machine, here), what, x.Product)
	}
	for _, a := range me.Administrators {
		line("ask", "%s <%s>", a.Name, a.Email)
	}
	switch l := me.Link; {
	case l.Up:
		line("cloud", "reached")
	case l.Contact.IsZero():
		line("cloud", "not reached yet")
	default:
		line("cloud", "not reached since %s", clock(l.Contact))
	}
	return w.Flush()
}

// where names a machine, and says if it is this one.
func where(m, here api.Machine) string {
	if m.ID == here.ID {
		return cmp.Or(m.Name, m.ID) + " (this machine)"
	}
	return cmp.Or(m.Name, m.ID)
}
