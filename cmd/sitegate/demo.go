package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const demoHelp = `
Usage: sitegate demo [--exit] [--json]

Plays the main job on this machine, in less than half a minute: a vendor's cloud
that can be reached through a corporate proxy only, a cluster of three nodes in
processes of their own, desktops that start, are refused, wait, check out, lose
the link to the cloud and lose the leader. Every step is checked. Everything is on
loopback and in a temporary folder, and is gone when it ends.

Afterwards it stays up and says what to try; --exit ends it, with status 0 if
every step came out as it must, else 1.

Example:
  sitegate demo --exit
`

// demoStepTime is how long a step may take before it has failed.
const demoStepTime = 30 * time.Second

// demoLine is one step of --json.
type demoLine struct {
	Step   int     `json:"step"`
	OK     bool    `json:"ok"`
	MS     float64 `json:"ms"`
	Title  string  `json:"title"`
	Detail string  `json:"detail"`
}

func demo(ctx context.Context, p *program, args []string) error {
	f := p.flags("demo", demoHelp)
	end := f.Bool("exit", false, "end after the last step")
	asJSON := f.Bool("json", false, "print one JSON object a step")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sitegate-demo-")
	if err != nil {
		return fmt.Errorf("making a folder for the demonstration: %w", err)
	}
	defer os.RemoveAll(dir)

	outliveReaders()
	began := time.Now()
	if !*asJSON {
		fmt.Fprintf(p.stdout, "A cloud, a proxy that is the only way to it, three nodes and five desktops, on this machine.\n\n")
	}
	s, err := newStage(ctx, dir)
	defer s.close()
	if err != nil {
		return err
	}
	play := &play{stage: s}
	failed := 0
	for i, step := range demoSteps {
		line := playStep(ctx, play, i+1, step)
		if ctx.Err() != nil {
			return errors.New("the demonstration was interrupted")
		}
		if err := p.tellStep(line, *asJSON); err != nil {
			return err
		}
		if !line.OK {
			failed = i + 1
			break // the steps build on each other
		}
	}
	if failed != 0 {
		for _, n := range s.nodes {
			fmt.Fprintf(p.stderr, "\nThe end of the log of %s:\n%s\n", n.name, n.tail())
		}
		return fmt.Errorf("step %d did not come out as it must", failed)
	}
	if !*asJSON {
		fmt.Fprintf(p.stdout, "\nAll %d steps came out as they must, in %s.\n", len(demoSteps), short(time.Since(began)))
	}
	if *end {
		return nil
	}
	if err := p.tellDemo(ctx, play); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func playStep(ctx context.Context, play *play, number int, step demoStep) demoLine {
	ctx, cancel := context.WithTimeout(ctx, demoStepTime)
	defer cancel()
	began := time.Now()
	detail, err := step.act(play, ctx)
	line := demoLine{Step: number, OK: err == nil, Title: step.title, Detail: detail,
		MS: float64(time.Since(began).Microseconds()) / 1000}
	if err != nil {
		line.Detail = err.Error()
	}
	return line
}

func (p *program) tellStep(line demoLine, asJSON bool) error {
	if asJSON {
		b, err := json.Marshal(line)
		if err != nil {
			return fmt.Errorf("writing a step: %w", err)
		}
		_, err = fmt.Fprintf(p.stdout, "%s\n", b)
		return err
	}
	mark := "ok"
	if !line.OK {
		mark = "FAILED"
	}
	_, err := fmt.Fprintf(p.stdout, "%d  %s\n   %s  %s  %s\n", line.Step, line.Title, mark,
		short(time.Duration(line.MS*float64(time.Millisecond))), line.Detail)
	return err
}

// tellDemo leaves a token behind and says what can be tried.
func (p *program) tellDemo(ctx context.Context, play *play) error {
	if err := play.ben.Stop(ctx); err != nil {
		return err // or WS-303 would be refused below
	}
	token, err := play.ben303.token(ctx)
	if err != nil {
		return err
	}
	tokenFile := filepath.Join(play.dir, "token")
	if err := os.WriteFile(tokenFile, []byte(token), 0o600); err != nil {
		return fmt.Errorf("writing a token to try things with: %w", err)
	}
	ca := filepath.Join(play.dir, "site", "ca", "site-ca.pem")
	fmt.Fprintf(p.stdout, "\nThe site stays up until Ctrl-C. %s is signed in by %s. Try:\n\n", play.ben303.email, tokenFile)
	var url string
	for _, n := range play.nodes {
		if seen, err := n.status(ctx); err == nil {
			url = n.config.API.URL
			leads := ""
			if seen.Cluster.Leader == n.name {
				leads = ", which leads"
			}
			fmt.Fprintf(p.stdout, "  # %s at %s%s\n  go run ./cmd/sitegate status --config %s\n", n.name, url, leads,
				filepath.Join(filepath.Dir(n.config.DataDir), "sitegate.yaml"))
		}
	}
	fmt.Fprintf(p.stdout, `
  sed 's/^/Authorization: Bearer /' %[2]s | curl -sS --cacert %[1]s -H @- %[3]s/v1/me
  go run ./cmd/seat --gateway %[3]s --ca %[1]s --token-file %[2]s --machine-name WS-303 run --product 3101 -- sleep 5
  go run ./cmd/seat --gateway %[3]s --ca %[1]s --token-file %[2]s --machine-name WS-303 watch
`, ca, tokenFile, url)
	return nil
}
