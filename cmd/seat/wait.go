package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"sitegate/api"
	"sitegate/client"
)

func waitFlags(fs *pflag.FlagSet, o *options) {
	fs.StringVar(&o.product, "product", "", "`ID` of the product that is wanted here")
}

// wait waits until a product can be started here.
func wait(ctx context.Context, s *seat, o *options, args []string) error {
	if o.product == "" || len(args) > 0 {
		return usagef("which product? Write: seat wait --product ID")
	}
	return s.untilFree(ctx, o, (*client.Client).Wait)
}

// untilFree waits as ask has it, and tells, on the desktop too, when it is over.
func (s *seat) untilFree(ctx context.Context, o *options, ask func(*client.Client, context.Context, string) (*client.Wait, error)) error {
	c, err := s.open(ctx, o)
	if err != nil {
		return err
	}
	defer c.Close()
	left, err := s.await(ctx, o, func(ctx context.Context, product string) (*client.Wait, error) { return ask(c, ctx, product) })
	if err != nil {
		return err
	}
	said := s.textf("Free: start now.")
	if left > 0 {
		said = s.textf("Free, and kept for this machine for %s: start now.", span(left))
	}
	screen := s.screen(o)
	screen.Show("sitegate", o.product+": "+said)
	fmt.Fprintln(s.stdout, said)
	flush(ctx, screen)
	return nil
}

// checkouts lists what the user has checked out, wherever that is.
func checkouts(ctx context.Context, s *seat, o *options, args []string) error {
	if len(args) > 0 {
		return usagef("checkouts takes no arguments")
	}
	var me *api.Me
	err := s.ask(ctx, o, func(ctx context.Context, c *client.Client) (err error) {
		me, err = c.Me(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(s.stdout, api.List[api.Checkout]{Items: append([]api.Checkout{}, me.Checkouts...)})
	}
	if len(me.Checkouts) == 0 {
		fmt.Fprintln(s.stdout, s.textf("Nothing is checked out."))
		return nil
	}
	here, err := o.machine()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PRODUCT\tMACHINE\tUNTIL\tID")
	for _, x := range me.Checkouts {
		note := ""
		if x.WrittenOff != nil {
			note = " (written off)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s%s\t%s\n", plain(x.Product), plain(where(x.Machine, here)), clock(x.Until), note, plain(x.ID))
	}
	return w.Flush()
}
