package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/pflag"

	"sitegate/api"
	"sitegate/client"
)

func checkoutFlags(fs *pflag.FlagSet, o *options) {
	fs.StringVar(&o.product, "product", "", "`ID` of the product to take along")
	fs.StringVar(&o.until, "until", "", "`TIME` of the end: 2006-01-02, \"2006-01-02 15:04\" (local) or RFC 3339")
	fs.DurationVar(&o.duration, "for", 0, "how long, as in 72h; with neither, for as long as the site usually gives")
	jsonFlag(fs, o)
}

// checkOut takes a license along.
func checkOut(ctx context.Context, s *seat, o *options, args []string) error {
	if o.product == "" || len(args) > 0 {
		return usagef("which product? Write: seat checkout --product ID")
	}
	end, err := o.end(time.Now())
	if err != nil {
		return err
	}
	var got *api.Checkout
	err = s.ask(ctx, o, func(ctx context.Context, c *client.Client) (err error) {
		got, err = c.CheckOut(ctx, o.product, end)
		return err
	})
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(s.stdout, got)
	}
	fmt.Fprintln(s.stdout, s.textf("%s is checked out on this machine until %s.\nGive it back earlier with: seat return %s",
		plain(got.Product), clock(got.Until), plain(got.ID)))
	return nil
}

// end is when a checkout is to end; the zero time: for the site to say.
func (o *options) end(now time.Time) (time.Time, error) {
	switch {
	case o.until != "" && o.duration != 0:
		return time.Time{}, usagef("until when? Give either --until or --for, or neither")
	case o.duration < 0:
		return time.Time{}, usagef("--for must be more than nothing")
	case o.duration != 0:
		return now.Add(o.duration), nil
	case o.until == "":
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, o.until); err == nil {
		return t, nil
	}
	if t, err := time.ParseInLocation("2006-01-02 15:04", o.until, time.Local); err == nil {
		return t, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, o.until, time.Local); err == nil {
		return t.AddDate(0, 0, 1).Add(-time.Second), nil // through that day
	}
	return time.Time{}, usagef("--until %q: write it as 2006-01-02, \"2006-01-02 15:04\" or RFC 3339", o.until)
}

// giveBack returns a checkout.
func giveBack(ctx context.Context, s *seat, o *options, args []string) error {
	if len(args) != 1 {
		return usagef("which checkout? Write: seat return ID; seat status shows the ids")
	}
	if _, err := uuid.Parse(args[0]); err != nil {
		return usagef("%q is not the id of a checkout; seat status shows the ids of yours", args[0])
	}
	err := s.ask(ctx, o, func(ctx context.Context, c *client.Client) error { return c.Return(ctx, args[0]) })
	if e, ok := errors.AsType[*client.Error](err); ok && errors.Is(err, client.ErrUnknownCheckout) {
		e.Next = append(slices.Clone(e.Next), "See which checkouts are yours, and on which machine: seat status")
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(s.stdout, s.textf("Given back."))
	return nil
}
