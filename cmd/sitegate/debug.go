package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"sitegate/configs"
)

const debugHelp = `
Usage: sitegate debug bundle [FILE] [--no-doctor] [--config FILE]

Writes a tar.gz of what support needs to look into a node: version, settings, status,
members, raft's configuration, metrics, the last lines of the log, the last alerts, sizes on
disk, a goroutine dump and a heap profile, and the doctor's table. It lists what is in
it. Secrets, tokens and keys are not; people, machines and their addresses go by
pseudonyms that are good within the bundle only. Read it before you send it.

It needs no leader. Where the node does not run there is what its configuration and its
data folder tell. The doctor takes up to a minute, and shows proxies their secret once;
--no-doctor leaves it out. FILE must not be there yet.

Example:
  sitegate debug bundle /tmp/gw1.tar.gz --config /etc/sitegate/sitegate.yaml
`

const (
	pathDebug     = "/v1/node/debug"
	maxBundle     = 64 << 20
	askBundleTime = bundleTime + 30*time.Second
)

func debugCommands(ctx context.Context, p *program, args []string) error {
	return p.dispatch(ctx, "sitegate debug", []command{
		{"bundle", "write what support needs to look into a node", debugBundle},
	}, args)
}

func debugBundle(ctx context.Context, p *program, args []string) error {
	f := p.flags("debug bundle", debugHelp)
	p.configFlags(f)
	p.remoteFlags(f)
	without := f.Bool("no-doctor", false, "leave the doctor's table out")
	rest, err := p.parse(f, args)
	if err != nil {
		return err
	}
	if len(rest) > 1 {
		return usagef("debug bundle: name one file, or none")
	}
	c, origins, err := p.load(f)
	if err != nil {
		return err
	}
	file := fmt.Sprintf("sitegate-debug-%s-%s.tar.gz", c.Node, time.Now().UTC().Format("20060102T150405Z"))
	if p.remote.url != "" {
		file = fmt.Sprintf("sitegate-debug-%s.tar.gz", time.Now().UTC().Format("20060102T150405Z"))
	}
	if len(rest) == 1 {
		file = rest[0]
	}
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("making the file: %s exists; name one that is not there yet", file)
	}
	path := pathDebug
	if *without {
		path += "?doctor=no"
	}
	var data []byte
	asking, cancel := context.WithTimeout(ctx, askBundleTime)
	defer cancel()
	var resp *http.Response
	if err = p.hangs(asking, c, answerTime); err == nil {
		resp, err = askOperator(asking, c, http.MethodGet, path, nil)
		if err != nil && errors.Is(asking.Err(), context.DeadlineExceeded) {
			err = &exitError{exitUnavailable, fmt.Errorf("node %s took longer than %v to make the bundle", c.Node, askBundleTime)}
		}
	}
	switch exit := (*exitError)(nil); {
	case err == nil:
		defer resp.Body.Close()
		if data, err = io.ReadAll(io.LimitReader(resp.Body, maxBundle)); err != nil {
			return fmt.Errorf("reading the bundle: %w", err)
		}
	case errors.As(err, &exit) && exit.status == exitUnavailable && p.remote.url == "":
		fmt.Fprintf(p.stderr, "sitegate: %v\nsitegate: the bundle has what can be known without the node\n", err)
		of := &debugging{setting: func() setting { s := setting{Config: c, from: origins}; s.file, _ = f.GetString("config"); return s }}
		var b bytes.Buffer
		if _, err := of.write(ctx, &b, !*without); err != nil {
			return err
		}
		data = b.Bytes()
	default:
		return err
	}
	contents, err := contentsOf(data)
	if err != nil {
		return fmt.Errorf("the node's answer is no debug bundle: %w", err)
	}
	if err := writeNew(file, data); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s\n%s: %d bytes, for this user's eyes.\n", contents, file, len(data))
	return err
}

// answerTime is how long a node that runs takes to say anything at all: that needs neither
// a leader nor its state.
const answerTime = 30 * time.Second

// hangs is an error where the node takes connections and answers nothing for so long, not
// even that there is no such page.
func (p *program) hangs(ctx context.Context, c configs.Config, most time.Duration) error {
	if p.remote.url != "" {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	resp, err := askOperator(within, c, http.MethodGet, "/", nil)
	if err == nil {
		return resp.Body.Close()
	}
	if errors.Is(within.Err(), context.DeadlineExceeded) && ctx.Err() == nil {
		return &exitError{exitUnavailable, fmt.Errorf("node %s answers nothing within %v, as if it was stopped or hung", c.Node, most)}
	}
	return nil // which is told by what follows
}

// contentsOf is the list of what is in a bundle.
func contentsOf(data []byte) (string, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return "", err
	}
	for files := tar.NewReader(z); ; {
		h, err := files.Next()
		if err != nil {
			return "", err
		}
		if strings.HasSuffix(h.Name, "/"+contentsTxt) {
			text, err := io.ReadAll(io.LimitReader(files, partMost))
			return string(text), err
		}
	}
}
