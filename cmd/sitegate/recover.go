package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"sitegate/configs"
	"sitegate/raftstore"
)

const recoverHelp = `
Usage: sitegate cluster recover [--yes] [--peers NAME=HOST:PORT,...] [--config FILE]

For a cluster most of whose nodes are lost for good, so that no majority will ever
answer again: makes the node on this machine, which must not run, the only one of a
new epoch. Where a majority can be started again, do that instead: it loses nothing.
Where several nodes are left, use the one whose log goes furthest, which this command
tells before it asks.

It says first what may be lost: all that the lost nodes had answered and this one had
not received. Somebody may still work with a license that was granted then, so nothing
capped is granted until the longest lease is over and the checkouts were read from the
cloud again. What this node knows to run goes on.

None of the other nodes may run: each is called, at the address this node knows or the
one that --peers says. They join again afterwards, with empty data folders.

Example:
  sitegate backup /srv/backup/before-recovery.backup     (if the node still runs)
  sitegate cluster recover --config /etc/sitegate/sitegate.yaml
`

func recoverNode(ctx context.Context, p *program, args []string) error {
	f := p.flags("cluster recover", recoverHelp)
	p.configFlags(f)
	yes := f.Bool("yes", false, "do not ask")
	peers := f.StringToString("peers", nil, "where the other nodes were, as NAME=HOST:PORT")
	acceptTime := f.Bool("accept-time", false, "go on from this machine's clock though the last entry is more than a week old")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	for name, address := range *peers {
		if _, _, err := net.SplitHostPort(address); err != nil || !configs.ValidName(name) {
			return usagef("cluster recover: --peers %s=%s is not NAME=HOST:PORT", name, address)
		}
	}
	c, log, err := p.loadOffline(f)
	if err != nil {
		return err
	}
	b, err := beginning(c, log)
	if err != nil {
		return err
	}
	b.AcceptTime = *acceptTime
	begun, err := raftstore.Recover(ctx, b, func(r raftstore.Recovery) error {
		p.tellRecovery(c, r)
		if err := noneRuns(ctx, r.Others, *peers); err != nil {
			return err
		}
		if *yes {
			return nil
		}
		return p.confirm(ctx, "Go on with this node alone?")
	})
	if err != nil {
		return advise(err)
	}
	fmt.Fprintf(p.stdout, "Node %s goes on from index %d, in epoch %d.\n", c.Node, begun.Index, begun.Epoch)
	p.tellBegun(c, begun)
	return nil
}

func (p *program) tellRecovery(c configs.Config, r raftstore.Recovery) {
	fmt.Fprintf(p.stdout, "Node %s of cluster %s, epoch %d: its log goes to index %d in term %d, of %s.\n", c.Node, r.Cluster, r.Epoch, r.Index, r.Term, when(r.Time))
	if r.Again {
		fmt.Fprintln(p.stdout, "An earlier recovery of this node was interrupted.")
	}
	var others []string
	for _, o := range r.Others {
		others = append(others, o.Name)
	}
	if len(others) > 0 {
		fmt.Fprintf(p.stdout, "Lost is what %s answered after that and this node had not received: how much, nobody can tell. Starts, checkouts,\nreturns and usage can be among it.\n", strings.Join(others, " and "))
	}
}

// noneRuns refuses to recover beside nodes of the old cluster: a majority of them would
// go on deciding.
func noneRuns(ctx context.Context, others []raftstore.Peer, said map[string]string) error {
	address := map[string]string{}
	for _, o := range others {
		address[o.Name] = o.Address
	}
	for name, a := range said {
		address[name] = a
	}
	var mu sync.Mutex
	var running []error
	var group sync.WaitGroup
	for name, a := range address {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, callLimit)
			defer cancel()
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", a)
			if err != nil {
				return
			}
			conn.Close()
			mu.Lock()
			defer mu.Unlock()
			running = append(running, fmt.Errorf("something answers at %s, where node %s was: if it is that node, start the others too and recover nothing, or stop it first; if it is not, say with --peers where the node was", a, name))
		})
	}
	group.Wait()
	return errors.Join(running...)
}

// callLimit is how long a node is called that should not run.
const callLimit = 3 * time.Second

// confirm asks for a "yes" on a terminal. Elsewhere it has to be said by --yes.
func (p *program) confirm(ctx context.Context, question string) error {
	f, ok := p.stdin.(*os.File)
	if info, err := statOf(f); !ok || err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return errNotAgreed
	}
	fmt.Fprintf(p.stdout, "%s Type yes: ", question)
	line := make(chan string, 1)
	go func() { // ends with the program, if nothing is ever typed
		text, err := bufio.NewReader(io.LimitReader(f, 100)).ReadString('\n')
		if err != nil {
			text = ""
		}
		line <- text
	}()
	select {
	case text := <-line:
		if strings.TrimSpace(text) == "yes" {
			return nil
		}
	case <-ctx.Done():
		fmt.Fprintln(p.stdout)
	}
	return errNotAgreed
}

var errNotAgreed = usagef("nothing was changed: nobody has agreed to it; say --yes where nobody can be asked")

func statOf(f *os.File) (os.FileInfo, error) {
	if f == nil {
		return nil, os.ErrInvalid
	}
	return f.Stat()
}
