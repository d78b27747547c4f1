package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"sitegate/api"
	"sitegate/client"
)

// lookAgain is how often is looked whether the user is still signed in here.
const lookAgain = 5 * time.Second

// watch prints notices until it is interrupted, or the user has signed
// out.
func watch(ctx context.Context, s *seat, o *options, args []string) error {
	if len(args) > 0 {
		return usagef("watch takes no arguments")
	}
	tokens := s.tokens(o)
	c, err := s.openAs(ctx, o, tokens)
	if err != nil {
		return err
	}
	defer c.Close()
	// One request tells better than the websocket why nothing can be had.
	asking, cancel := context.WithTimeout(ctx, o.timeout)
	_, err = c.Me(asking)
	cancel()
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	w := c.Watch(ctx)
	ready := w.Ready()
	screen := s.screen(o)
	defer flush(ctx, screen)
	signedIn := time.NewTicker(lookAgain)
	defer signedIn.Stop()
	over, byKey := false, false
	for {
		select {
		case <-signedIn.C:
			if _, err := os.Stat(o.tokenFile); errors.Is(err, fs.ErrNotExist) {
				s.sayf("signed out")
				return nil
			}
			s.sayByKey(c, &byKey, func(text string) {
				s.sayf("%s", text)
				screen.Show("sitegate", text)
			})
			if was := over; was != (tokens.expired() && !c.SignIn().Keyed) {
				if over = !was; over {
					text := s.textf("the sign-in has expired, and nothing more is told here: seat login")
					s.sayf("%s", text)
					screen.Show("sitegate", text)
				}
			}
		case <-ready:
			ready = nil
			if me, _, ok := w.State(); ok {
				s.sayf("listening for %s", me.Email)
			}
		case n, ok := <-w.Notices():
			switch {
			case !ok && ctx.Err() != nil:
				return nil
			case !ok:
				return w.Err()
			case o.json:
				if err := json.NewEncoder(s.stdout).Encode(n); err != nil {
					return err
				}
			case n.Kind == client.KindGap:
				fmt.Fprintf(s.stdout, "%s  %s\n", time.Now().Format(time.TimeOnly), n.Text)
			default:
				fmt.Fprintf(s.stdout, "%s  %s\n", n.At.Local().Format(time.TimeOnly), plain(n.Text))
				screen.Show("sitegate", plain(heard(n)))
			}
		}
	}
}

// heard is a notice as it is shown where nothing else says when it happened: somebody who
// comes back to the desk reads what was said meanwhile.
func heard(n api.Notice) string {
	if n.At.IsZero() {
		return n.Text
	}
	return clock(n.At) + "  " + n.Text
}

// clock is a time as people of this computer read it.
func clock(t time.Time) string {
	t = t.Local()
	if now := time.Now(); t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}
