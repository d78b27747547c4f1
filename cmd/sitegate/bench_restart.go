package main

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"sitegate/load"
	"sitegate/load/desk"
)

const benchRestartHelp = `
Usage: sitegate bench restart [--users N] [--open N] [--tries N] [--kill] [--idle TIME] [--json]

Gives one node as many users, each with a license, and open sessions, ends it, and
starts it again: the time that counts is until it has granted another session. It
also tells the node's resident memory, a moment after it serves and again after
--idle, and the size of its data.

Example:
  sitegate bench restart --users 1000000 --open 100000
`

func benchRestart(ctx context.Context, p *program, args []string) error {
	f := p.flags("bench restart", benchRestartHelp)
	o := benchFlags{nodes: 1, clients: 1, time: time.Second, program: p, name: f.Name()}
	f.IntVar(&o.users, "users", 20_000, "users of the site, each with a license of a capped product")
	open := f.Int("open", 10_000, "sessions that are open")
	tries := f.Int("tries", 3, "how often the node is started again")
	kill := f.Bool("kill", false, "end it with kill -9")
	idle := f.Duration("idle", 0, "look at the node's memory again after so long without a request")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	if *open < 0 || *open >= o.users {
		return usagef("bench restart: --open is less than --users, %d, not %d", o.users, *open)
	}
	if *tries < 1 || *tries > 1000 {
		return usagef("bench restart: --tries is 1 to 1,000, not %d", *tries)
	}
	o.signed = *open + 1
	s, err := o.open(ctx, p, f, nil)
	defer s.close()
	if err != nil {
		return err
	}
	if err := s.alone(ctx); err != nil {
		return s.explain(err)
	}
	o.tell("starting %s", count(*open, "session"))
	sessions, err := s.startSessions(ctx, *open)
	if err != nil {
		return s.explain(err)
	}
	n := s.nodes[0]
	end := n.stop
	if *kill {
		end = n.kill
	}
	var times load.Times
	began := time.Now()
	for range *tries {
		took, err := s.startAgain(ctx, n, end)
		if ctx.Err() != nil {
			return interrupted(ctx)
		}
		if err != nil {
			return s.explain(err)
		}
		times.Add(took)
		o.tell("serves after %s", short(took))
	}
	l := load.LineOf(fmt.Sprintf("restart, %s, %s", count(o.users, "user"), count(*open, "open session")), &times, time.Since(began))
	missing, err := s.missing(ctx, sessions)
	if err != nil {
		return s.explain(err)
	}
	l.Lost = uint64(missing)
	if !sleepFor(ctx, 2*time.Second) {
		return interrupted(ctx)
	}
	size, err := folderSize(n.config.DataDir)
	if err != nil {
		return err
	}
	l.More = map[string]float64{"rss_mb": float64(load.ProcessRSS(n.cmd.Process.Pid)) / 1e6, "data_mb": float64(size) / 1e6}
	if *idle > 0 {
		if !sleepFor(ctx, *idle) {
			return interrupted(ctx)
		}
		l.More["rss_idle_mb"] = float64(load.ProcessRSS(n.cmd.Process.Pid)) / 1e6
	}
	return o.print(l)
}

// startAgain ends the node and starts it, and returns how long it took until it
// granted a session.
func (s *benchSite) startAgain(ctx context.Context, n *childNode, end func()) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, benchStartIn)
	defer cancel()
	end()
	began := time.Now()
	if err := n.start(context.WithoutCancel(ctx)); err != nil {
		return 0, err
	}
	c := s.conn(s.addrs[0])
	defer c.Close()
	u, m, id := s.users[len(s.users)-1], desk.Machine{ID: "m-PROBE", Name: "PROBE"}, desk.NewID()
	for {
		err := c.Start(u, m, id)
		if err == nil {
			return time.Since(began), c.Stop(u, m, id)
		}
		if !sleepFor(ctx, 2*time.Millisecond) {
			return 0, fmt.Errorf("the node does not serve: %w", err)
		}
		select {
		case <-n.done:
			return 0, fmt.Errorf("the node has ended")
		default:
		}
	}
}

// sleepFor waits, and reports whether ctx goes on.
func sleepFor(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// folderSize is what a folder's files take on disk, sparse ones less than their
// length.
func folderSize(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		n, err := onDisk(path)
		size += n
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("measuring %s: %w", dir, err)
	}
	return size, nil
}
