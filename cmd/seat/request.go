package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"sitegate/api"
	"sitegate/client"
)

func requestFlags(fs *pflag.FlagSet, o *options) {
	fs.StringVar(&o.product, "product", "", "`ID` of the product that is active on the other machine, and wanted here")
}

// request asks the machine the user is active on to let go, and waits until it
// has.
func request(ctx context.Context, s *seat, o *options, args []string) error {
	if o.product == "" || len(args) > 0 {
		return usagef("which product? Write: seat request --product ID")
	}
	return s.untilFree(ctx, o, (*client.Client).Request)
}

// sayAsked tells how the active machine was asked.
func (s *seat) sayAsked(w api.Wait) {
	switch w.Asks {
	case api.AsksAsk:
		s.sayf("the other machine is asked to let go")
	case api.AsksGrace:
		s.sayf("the other machine has until %s", clock(w.Until))
	}
}

func letGoFlags(fs *pflag.FlagSet, o *options) {
	fs.BoolVar(&o.decline, "decline", false, "say no to the machine that asks, and go on here")
}

// letGo gives up what runs on this machine, or says no to who asks for it.
func letGo(ctx context.Context, s *seat, o *options, args []string) error {
	if len(args) > 0 {
		return usagef("let-go takes no arguments")
	}
	here, err := o.machine()
	if err != nil {
		return err
	}
	said := ""
	err = s.ask(ctx, o, func(ctx context.Context, c *client.Client) error {
		me, err := c.Me(ctx)
		if err != nil {
			return err
		}
		if o.decline {
			no := errors.New(s.textf("no machine asks for your license"))
			var told []string
			for _, x := range me.Waiting {
				if x.Asks == "" {
					continue
				}
				err := c.Decline(ctx, x.ID)
				switch {
				case err == nil:
					told = append(told, plain(x.Machine.Name))
				case client.Denied(err): // another machine is asked
					no = err
				default:
					return err
				}
			}
			if len(told) == 0 {
				return no
			}
			said = s.textf("Declined. Told: %s.", strings.Join(told, ", "))
			return nil
		}
		n := 0
		for _, x := range me.Sessions {
			if x.Machine.ID != here.ID {
				continue
			}
			if err := c.LetGo(ctx, x.ID); err != nil {
				return err
			}
			n++
		}
		said = s.textf("Let go on this machine: %d. The license is free when what runs has closed.", n)
		if n == 0 {
			said = s.textf("Nothing runs on this machine.")
		}
		return nil
	})
	if err == nil {
		fmt.Fprintln(s.stdout, said)
	}
	return err
}
