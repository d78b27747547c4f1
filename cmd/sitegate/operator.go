package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"sitegate/api"
	"sitegate/configs"
)

const (
	operatorTimeout = 10 * time.Second
	maxAnswer       = 16 << 20 // bytes of an operator's answer: a thousand records, and more
)

// operator asks the node whose configuration c is, over the socket in its data
// folder: who can open it is its operator. in and out are JSON; either may be nil.
func operator(ctx context.Context, c configs.Config, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, operatorTimeout)
	defer cancel()
	return patientOperator(ctx, c, method, path, in, out)
}

// patientOperator is operator for what may take longer.
func patientOperator(ctx context.Context, c configs.Config, method, path string, in, out any) error {
	resp, err := askOperator(ctx, c, method, path, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return readAnswer(resp.Body, out)
}

// readAnswer reads the node's answer into out, which may be nil.
func readAnswer(body io.Reader, out any) error {
	data, err := io.ReadAll(io.LimitReader(body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the node's answer: %w", err)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("the node's answer is not what this version understands: %w", err)
	}
	return nil
}

// askOperator is operator for an answer that its caller reads. What the node refuses
// is an error.
func askOperator(ctx context.Context, c configs.Config, method, path string, in any) (*http.Response, error) {
	if r, ok := remoteOf(ctx); ok {
		resp, err := r.ask(ctx, method, path, in)
		if err != nil {
			return nil, err
		}
		return answered(resp, method, path)
	}
	socket := c.OperatorSocket()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encoding the request: %w", err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://operator"+path, body)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, operatorError(c, socket, err)
	}
	return answered(resp, method, path)
}

// answered is an answer that its caller reads, or what the node refuses as an error.
func answered(resp *http.Response, method, path string) (*http.Response, error) {
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the node's answer: %w", err)
	}
	var problem api.Problem
	no := &nodeRefused{fmt.Sprintf("the node answered %s to %s %s", resp.Status, method, path), "", data}
	if json.Unmarshal(data, &problem) == nil && problem.Detail != "" {
		no.text = fmt.Sprintf("the node refused: %s %s (%s, request %s)", problem.Detail, strings.Join(problem.Next, " "), problem.Code, problem.RequestID)
		no.code = problem.Code
	}
	return nil, no
}

// nodeRefused is the answer of a node that does not do what it is asked for.
type nodeRefused struct {
	text string
	code string // of the problem; empty: the answer is none
	body []byte // of the answer
}

func (r *nodeRefused) Error() string { return r.text }

func operatorError(c configs.Config, socket string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return &exitError{exitUnavailable, fmt.Errorf("node %s does not run on this machine: nothing answers at %s; start it with sitegate serve", c.Node, socket)}
	case errors.Is(err, fs.ErrPermission):
		return &exitError{exitUnavailable, fmt.Errorf("this user may not open %s: ask as the user that the node runs as", socket)}
	case errors.Is(err, context.DeadlineExceeded):
		return &exitError{exitUnavailable, fmt.Errorf("node %s took longer than %v to answer at %s: look at its log", c.Node, operatorTimeout, socket)}
	}
	return &exitError{exitUnavailable, fmt.Errorf("asking node %s at %s: %w", c.Node, socket, err)}
}

// asking reads the flags and the configuration of a command that asks the node for
// something and takes nothing else.
func (p *program) asking(name, help string, args []string) (configs.Config, error) {
	f := p.flags(name, help)
	p.configFlags(f)
	p.remoteFlags(f)
	if err := p.parseNone(f, args); err != nil {
		return configs.Config{}, err
	}
	c, _, err := p.load(f)
	return c, err
}

// looking reads the flags and the configuration of a command that only looks at the node.
func (p *program) looking(name, help string, args []string) (c configs.Config, asJSON bool, err error) {
	f := p.flags(name, help)
	p.configFlags(f)
	p.remoteFlags(f)
	f.BoolVar(&asJSON, "json", false, "print it as JSON")
	if err := p.parseNone(f, args); err != nil {
		return c, asJSON, err
	}
	c, _, err = p.load(f)
	return c, asJSON, err
}

// json prints a value for programs to read.
func (p *program) json(v any) error {
	e := json.NewEncoder(p.stdout)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	return nil
}
