package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sitegate/configs"
	"sitegate/endpoint"
	"sitegate/raftstore"
	"sitegate/siteca"
)

// firstAccount offers the one-time token that the site's first local account is made with,
// for as long as there is none: in a file of the data folder, for this user alone, of the
// node that leads when one is needed. What is in a log is read by more people than who
// may open the data folder.
type firstAccount struct {
	c      configs.Config
	ep     *endpoint.Endpoint
	leads  func() bool
	people io.Writer // a terminal, where the token is told, too; nil: there is none
	log    *slog.Logger
	told   string // the token whose file is in the log
}

const (
	firstLook  = time.Second      // how often is looked whether there is an account
	firstRenew = 30 * time.Minute // before a token ends there is another
	firstTime  = 10 * time.Second // to propose one
)

// firstTokenFile is where the token is.
func firstTokenFile(c configs.Config) string { return filepath.Join(c.DataDir, "first-account.token") }

func offerFirstAccount(ctx context.Context, c configs.Config, ep *endpoint.Endpoint, store *raftstore.Store, people io.Writer, log *slog.Logger) error {
	f := &firstAccount{c: c, ep: ep, leads: func() bool { return store.Cluster().Leader == c.Node }, people: people, log: log}
	for {
		next := firstLook
		if err := f.look(ctx); err != nil && ctx.Err() == nil {
			log.Warn("no token for a first account could be made: sitegate account create makes an account", "err", err)
			next = time.Minute
		}
		wait := time.NewTimer(next)
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-wait.C:
		}
	}
}

// look makes what the file has, and what the state knows of it, be as it should.
func (f *firstAccount) look(ctx context.Context) error {
	file := firstTokenFile(f.c)
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the token for a first account: %w", err)
	}
	token := strings.TrimSpace(string(text))
	needed, mine, others := f.ep.FirstAccount(f.c.Node, token)
	switch {
	case needed && mine > firstRenew:
		return f.tell(token)
	case needed && others <= firstRenew && f.leads():
		return f.offer(ctx, file)
	case token != "" && (!needed || mine == 0):
		return os.Remove(file)
	}
	return nil
}

// offer writes a new token before it counts: so that none is good that nobody has.
func (f *firstAccount) offer(ctx context.Context, file string) error {
	token := endpoint.NewFirstToken()
	if err := siteca.WriteFile(file, []byte(token+"\n")); err != nil {
		return fmt.Errorf("writing the token for a first account: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, firstTime)
	defer cancel()
	until, err := f.ep.OfferFirstAccount(ctx, f.c.Node, token)
	if err != nil && !f.leads() {
		return nil // the next leader makes one
	}
	if err != nil || until.IsZero() {
		return err
	}
	return f.tell(token)
}

func (f *firstAccount) tell(token string) error {
	if f.told == token {
		return nil
	}
	f.told = token
	page := f.c.API.URL + "/console/sign-in/first"
	f.log.Info("the site has no local account: a one-time token to make the first one with is in a file", "file", firstTokenFile(f.c), "page", page)
	if f.people == nil {
		return nil
	}
	_, err := fmt.Fprintf(f.people, "To make the site's first local account, open %s with this one-time token:\n  %s\n", page, token)
	return err
}
