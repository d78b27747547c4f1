package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/google/uuid"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/upstream/egress"
)

const reloadHelp = `
Usage: sitegate reload [--config FILE]

Has the node that runs on this machine read its configuration anew and take the way
out (egress) from it, with certificates and the PAC file. What is open stays open.
SIGHUP does the same, and leaves the answer to the log. A configuration that is
wrong changes nothing. The rest of a changed configuration waits for a restart.

Exit status: 0 taken, 1 the node refused it, 64 the configuration is wrong, 69 no
node answers.

Example:
  sitegate reload --config /etc/sitegate/sitegate.yaml
`

const pathReload = "/v1/reload"

// wayTaken is what a node has taken from its configuration.
type wayTaken struct {
	Proxies []string `json:"proxies"`
	PAC     string   `json:"pac,omitempty"`
	Direct  bool     `json:"direct,omitempty"`
}

func reload(ctx context.Context, p *program, args []string) error {
	c, err := p.asking("reload", reloadHelp, args)
	if err != nil {
		return err
	}
	var now wayTaken
	if err := operator(ctx, c, http.MethodPost, pathReload, nil, &now); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "node %s has taken the way out anew: %s\n", c.Node, now.words())
	return err
}

// words are the way out in short.
func (w wayTaken) words() string {
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

// reloading takes the way out from the configuration anew, whoever asks.
type reloading struct {
	again  func() (configs.Config, error)
	dialer *egress.Dialer
	log    *slog.Logger
	mu     sync.Mutex // one at a time, so that the last one's stays
}

// take reads the configuration. What is wrong with it changes nothing.
func (r *reloading) take() (wayTaken, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, err := r.again()
	if err == nil {
		err = r.dialer.Reload(wayOut(c, r.log))
	}
	if err != nil {
		r.log.Error("the configuration was read anew and is wrong: the way out stays as it was", "err", err)
		return wayTaken{}, err
	}
	now := wayTaken{Proxies: []string{}, Direct: c.Egress.Direct}
	for _, p := range c.Egress.Way().Proxies {
		now.Proxies = append(now.Proxies, p.Name)
	}
	if p := c.Egress.PAC; p != nil {
		now.PAC = p.URL + p.File
	}
	r.log.Info("the way out is as the configuration now says", "proxies", len(now.Proxies), "pac", now.PAC != "", "direct", now.Direct)
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

// ServeHTTP does so for the operator.
func (r *reloading) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	id := uuid.NewString()
	w.Header().Set("X-Request-Id", id)
	now, err := r.take()
	if err == nil {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(now) // who has gone reads no answer
		return
	}
	const status = http.StatusUnprocessableEntity
	w.Header().Set("Content-Type", api.ProblemType)
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(api.Problem{Type: api.ProblemBase + "wrong-configuration", Code: "wrong-configuration", Status: status,
		Title: "The configuration is wrong", Detail: err.Error(), RequestID: id, Next: []string{"The way out stays as it was.", "Correct it; sitegate check says what is wrong."}})
}
