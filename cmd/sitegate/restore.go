package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/raftstore"
	"sitegate/siteca"
)

const restoreHelp = `
Usage: sitegate restore FILE [--config FILE]
       sitegate restore accept --because TEXT [--by NAME] [--config FILE]

Builds the data folder of this machine's node from a backup. The node must not
run, and its data folder must be new or empty. What comes of it is a cluster of
this one node, in a new epoch: the site goes on from the moment of the backup, and
the other nodes join again, with empty data folders.

What was answered after the backup is lost. Somebody may still work with a license
that was granted then, so nothing capped is granted until the longest lease is over
and the checkouts were read from the cloud again. sitegate status tells until when.

Stop all other nodes of the cluster before you start this one, and do not start
them again with their old data.

accept is for a cloud that cannot say what a site has checked out: ask everybody,
return or write off what is not out any more, and say how you made sure. It stays in
the audit trail. The wait for leases is not shortened by it.

Example:
  sitegate backup verify /srv/backup/site.backup
  sitegate restore /srv/backup/site.backup
  sitegate serve
`

func restore(ctx context.Context, p *program, args []string) error {
	if len(args) > 0 && args[0] == "accept" {
		return acceptRestore(ctx, p, args[1:])
	}
	f := p.flags("restore", restoreHelp)
	p.configFlags(f)
	other := f.Bool("other-cluster", false, "take the backup of another cluster: this node's cluster goes on from it")
	acceptTime := f.Bool("accept-time", false, "go on from this machine's clock though the backup is more than a week old")
	rest, err := p.parse(f, args)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return usagef("restore: name one backup; see sitegate restore --help")
	}
	c, log, err := p.loadOffline(f)
	if err != nil {
		return err
	}
	b, err := beginning(c, log)
	if err != nil {
		return err
	}
	file, err := os.Open(rest[0])
	if err != nil {
		return fmt.Errorf("opening the backup: %w", err)
	}
	defer file.Close()
	bar := p.progress("restoring", "records and events", 0)
	b.OtherCluster, b.AcceptTime = *other, *acceptTime
	b.Progress = func(done, all uint64) { bar.all = all; bar.at(done) }
	begun, err := raftstore.Restore(b, file)
	bar.end()
	if err != nil {
		return advise(err)
	}
	fmt.Fprintf(p.stdout, "Node %s goes on from %s, in epoch %d. What was answered after that is lost.\n", c.Node, when(begun.Time), begun.Epoch)
	fmt.Fprint(p.stdout, "API tokens and sign-ins have ended: make the tokens anew. Local accounts, their passwords, blocks and machines' keys are those of the backup:\nreview them (sitegate account list, and blocks in the console), and take back again what was taken back after it.\n")
	p.tellBegun(c, begun)
	return nil
}

// acceptRestore tells the node that IT has seen to what is checked out.
func acceptRestore(ctx context.Context, p *program, args []string) error {
	f := p.flags("restore accept", restoreHelp)
	p.configFlags(f)
	by := f.String("by", "", "who accepts it (default: the user of this machine who asks)")
	because := f.String("because", "", "how it was made sure; needed")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	if *because == "" {
		return usagef("restore accept: say --because how it was made sure what is checked out")
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	if err := operator(ctx, c, http.MethodPost, api.PathRestore+"/accept", api.ReleaseRequest{By: p.asker(*by), Note: *because}, nil); err != nil {
		return err
	}
	fmt.Fprintln(p.stdout, "The checkouts are taken as they are. sitegate status tells whether there is more to wait for.")
	return nil
}

// loadOffline loads the configuration for what is done while the node does not run,
// and a log for its problems.
func (p *program) loadOffline(f *pflag.FlagSet) (configs.Config, *slog.Logger, error) {
	c, _, err := p.load(f)
	if err != nil {
		return c, nil, err
	}
	return c, slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), nil
}

// beginning is who this node is, by its configuration and by what its data folder has
// beside the store: keys, certificates, its place in the cluster.
func beginning(c configs.Config, log *slog.Logger) (b raftstore.Beginning, err error) {
	m, _, err := readMembership(c)
	if err != nil {
		return b, err
	}
	b = raftstore.Beginning{Dir: storeDir(c), Node: c.Node, Address: m.over(c).Advertise, Logger: log}
	if c.Cluster.Made() {
		b.Cluster = c.Cluster.ID
	} else if b.Cluster, err = siteca.ClusterOf(filepath.Join(siteca.CAFolder(c.DataDir), siteca.CAFile)); err != nil {
		return b, fmt.Errorf("the site CA in the data folder: %w", err)
	}
	if k, err := siteca.OpenKeys(c.DataDir, b.Cluster, c.Node); err == nil {
		b.Generation = k.Generation()
	} else if c.Cluster.Made() {
		peer, err := siteca.LoadPeer(c.Cluster.ID, c.Node, c.Cluster.CAFile, c.Cluster.CertFile, c.Cluster.KeyFile)
		if err != nil {
			return b, fmt.Errorf("this node's certificates (cluster.ca_file, cert_file, key_file): %w", err)
		}
		if b.Generation, err = siteca.GenerationOf(peer.Certificate().Leaf); err != nil {
			return b, fmt.Errorf("this node's certificate: %w", err)
		}
	} // else it gets its first one when it starts
	return b, nil
}

// storeDir is where a node keeps its log and state.
func storeDir(c configs.Config) string { return filepath.Join(c.DataDir, "store") }

// advise adds what to do where a flag would help.
func advise(err error) error {
	var other *raftstore.OtherCluster
	var wrong *raftstore.WrongTime
	switch {
	case errors.As(err, &other):
		return fmt.Errorf("%w; take the right backup, or the right configuration; to go on from another cluster's backup all the same, say --other-cluster", err)
	case errors.As(err, &wrong) && wrong.Clock < wrong.Last:
		return fmt.Errorf("%w: set the clock right first", err)
	case errors.As(err, &wrong):
		return fmt.Errorf("%w, more than a week before: if the clock is right, say --accept-time; what has ended since then by its date ends at once", err)
	}
	return err
}

// tellCA says what becomes of a replacement of the site's CA that this node was in.
func (p *program) tellCA(c configs.Config) {
	cluster, err := siteca.ClusterOf(filepath.Join(siteca.CAFolder(c.DataDir), siteca.CAFile))
	if err != nil {
		return // the node says so at its start
	}
	k, err := siteca.OpenKeys(c.DataDir, cluster, c.Node)
	if err != nil || len(k.CAs()) < 2 {
		return
	}
	fmt.Fprintf(p.stdout, "The site's CA was being replaced. That ends here: from the first start on only the CA counts that this node's certificate is by,\n%s.\nClients that trust only the other one need it: /ca.pem of the node has it.\n", siteca.Fingerprint(k.Issuer().Raw))
}

func (p *program) tellBegun(c configs.Config, b raftstore.Begun) {
	p.tellCA(c)
	settings := c.SiteSettings()
	fmt.Fprintf(p.stdout, "Nothing capped is granted before %v have passed from its start, and the checkouts were read from the cloud.\n\n", settings.LongestLease())
	next := []string{"sitegate serve, on this machine", "sitegate status: it tells until when the site waits"}
	if len(b.Others) > 0 {
		fmt.Fprintf(p.stdout, "It is the only node now. %s must not start with the data they have.\n", strings.Join(b.Others, ", "))
		next = append(next, "on each of the others: move its data folder away, and let it join again")
	}
	fmt.Fprintf(p.stdout, "Next:\n  %s\n", strings.Join(next, "\n  "))
}
