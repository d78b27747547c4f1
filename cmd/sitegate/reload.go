package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/endpoint"
	"sitegate/license"
	"sitegate/upstream/egress"
)

const reloadHelp = `
Usage: sitegate reload [--config FILE]

Has the node that runs on this machine read its configuration anew and take the way
out (egress) from it, with certificates and the PAC file, and what the forward proxy
goes by (connect, but for listen); take what is enforced of relayed traffic
(rules.modes); read the certificate files that it shows itself; and open its log anew,
where that goes into a file (log.target). The site goes by the modes of the node that
leads: reload all nodes, whose files are to be alike.
What is open stays open. SIGHUP does the same, and leaves the answer to the log. A
configuration that is wrong changes nothing, and a certificate that is wrong leaves the
one of before. The rest of a changed configuration, the names of the certificate files
among it, waits for a restart, and is named.

Exit status: 0 taken, 1 the node refused it, 64 the configuration is wrong, 69 no
node answers.

Example:
  sitegate reload --config /etc/sitegate/sitegate.yaml
`

func reload(ctx context.Context, p *program, args []string) error {
	c, err := p.asking("reload", reloadHelp, args)
	if err != nil {
		return err
	}
	var now api.Reloaded
	if err := operator(ctx, c, http.MethodPost, api.PathReload, nil, &now); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "node %s has taken the way out anew: %s\n", c.Node, wayInWords(now))
	if err == nil && now.Modes {
		_, err = fmt.Fprintln(p.stdout, "what is enforced of relayed traffic has changed here: the site goes by the file of the node that leads")
	}
	if err == nil && len(now.Waits) > 0 {
		_, err = fmt.Fprintf(p.stdout, "what waits for a restart: %s\n", strings.Join(now.Waits, ", "))
	}
	return err
}

// wayInWords is the way out in short.
func wayInWords(w api.Reloaded) string {
	words := []string{}
	for _, p := range w.Proxies {
		words = append(words, "proxy "+p)
	}
	if w.PAC != "" {
		words = append(words, "PAC "+w.PAC)
	}
	if w.Direct {
		words = append(words, "direct")
	}
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

// reloading takes the way out from the configuration anew, and the certificates from
// their files, whoever asks.
type reloading struct {
	again        func() (setting, error)
	begun        setting // what the node has begun with
	taken        setting // what it goes by now: that, with what was taken anew since
	dialer       *egress.Dialer
	certificates *certificates // nil: there are none yet
	// also are what else is taken: each says what is wrong with a configuration, or how
	// to take it, which cannot fail. It is complete before a door opens.
	also []func(configs.Config) (take func(), err error)
	// reopen opens the log anew, where it goes into a file; nil: there is nothing to open.
	reopen func() error
	log    *slog.Logger
	mu     sync.Mutex // one at a time, so that the last one's stays
}

// takenAnew reports whether a setting is one that reloading takes.
func takenAnew(key string) bool {
	return strings.HasPrefix(key, "egress.") || strings.HasPrefix(key, "connect.") && key != "connect.listen" || key == keyModes
}

// keyModes is the one of the rules that is taken: a rollout goes on step by step.
const keyModes = "rules.modes"

// modesAgain has the site go by the modes of a configuration that was read anew.
func modesAgain(set func([]license.Mode)) func(configs.Config) (func(), error) {
	return func(c configs.Config) (func(), error) {
		modes := c.SiteSettings().Modes
		return func() { set(modes) }, nil
	}
}

// withTaken is what holds once a configuration was read anew: what is taken of it, and the
// rest as it was. A section connect that has come or gone is not taken.
func (s setting) withTaken(read setting) setting {
	connect := s.Connect != nil && read.Connect != nil
	taken := func(key string) bool {
		return takenAnew(key) && (connect || !strings.HasPrefix(key, "connect."))
	}
	now := s
	now.Egress, now.Rules.Modes = read.Egress, read.Rules.Modes
	if connect {
		c := *read.Connect
		c.Listen = s.Connect.Listen
		now.Connect = &c
	}
	now.from = configs.Origins{}
	for key, o := range s.from {
		if !taken(key) {
			now.from[key] = o
		}
	}
	for key, o := range read.from {
		if taken(key) {
			now.from[key] = o
		}
	}
	return now
}

// take reads both. Neither waits for the other to be right.
func (r *reloading) take() (api.Reloaded, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var reopened error // first, so that what follows is told in the new one
	if r.reopen != nil {
		reopened = r.reopen()
	}
	now, err := r.takeWay()
	if r.certificates != nil {
		err = errors.Join(err, r.certificates.reread())
	}
	if reopened != nil {
		r.log.Error("the log could not be opened anew, and goes on in the old file", "err", reopened)
	}
	return now, errors.Join(err, reopened)
}

// takeWay reads the configuration. What is wrong with it changes nothing.
func (r *reloading) takeWay() (api.Reloaded, error) {
	read, err := r.again()
	c := read.Config
	var takes []func()
	for _, prepare := range r.also {
		var take func()
		if err == nil {
			take, err = prepare(c)
			takes = append(takes, take)
		}
	}
	if err == nil {
		err = r.dialer.Reload(wayOut(c, r.log))
	}
	if err != nil {
		r.log.Error("the configuration was read anew and is wrong: the way out stays as it was, and so does the rest", "err", err)
		return api.Reloaded{}, err
	}
	for _, take := range takes {
		take()
	}
	before := r.taken
	r.taken = before.withTaken(read)
	now := api.Reloaded{Modes: slices.Contains(configs.Differences(before.Config, r.taken.Config), keyModes), Proxies: []string{}, Direct: c.Egress.Direct, Waits: slices.DeleteFunc(configs.Differences(r.begun.Config, c), takenAnew)}
	for _, p := range c.Egress.Way().Proxies {
		now.Proxies = append(now.Proxies, p.Name)
	}
	if p := c.Egress.PAC; p != nil {
		now.PAC = p.URL + p.File
	}
	r.log.Info("the way out is as the configuration now says", "proxies", len(now.Proxies), "pac", now.PAC != "", "direct", now.Direct)
	if now.Modes {
		r.log.Info("what is enforced of relayed traffic has changed here: the site goes by it while this node leads")
	}
	if len(now.Waits) > 0 {
		r.log.Warn("settings have changed that wait for a restart", "keys", strings.Join(now.Waits, ", "))
	}
	return now, nil
}

// run does so whenever hangups says so, until ctx ends.
func (r *reloading) run(ctx context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			_, _ = r.take() // the log says what is wrong
		}
	}
}

// onDemand does so for an administrator, and refuses where the configuration is wrong.
func (r *reloading) onDemand(refuse refusing) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		now, err := r.take()
		if err != nil {
			refuse(w, endpoint.NotDone(api.CodeSettings, err))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(now) // who has gone reads no answer
	}
}
