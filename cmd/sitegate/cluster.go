package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"sitegate/api"
)

func cluster(ctx context.Context, p *program, args []string) error {
	return p.dispatch(ctx, "sitegate cluster", []command{
		{"init", "write a site CA, and certificates and a configuration for each node", clusterInit},
		{"members", "show the nodes: who leads, how far behind, when last heard of", clusterMembers},
		{"token", "make a token that lets one machine join", clusterToken},
		{"join", "have this machine join a cluster, with a token", clusterJoin},
		{"remove", "take a node that is lost out of the cluster", clusterRemove},
		{"rekey", "replace the site CA while the cluster works", clusterRekey},
		{"leave", "take this machine's node out of its cluster", leave},
		{"recover", "go on with this machine's node alone when most nodes are lost for good", recoverNode},
		{"step-down", "have the leader hand over to another node", clusterStepDown},
		{"drain", "make a node ready to be stopped", clusterDrain},
	}, args)
}

// operatorName is who is asking, for the audit trail.
func (p *program) operatorName() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		if sudo := p.getenv("SUDO_USER"); sudo != "" && sudo != u.Username {
			return sudo + " as " + u.Username
		}
		return u.Username
	}
	return fmt.Sprintf("uid %d", os.Getuid())
}

const membersHelp = `
Usage: sitegate cluster members [--config FILE] [--json]

Shows the nodes as the one that runs on this machine sees them: what each is, how
many entries of the log it has not applied yet, when it was last heard of, which
version it runs and the highest level that can do, and when its certificate ends,
which is renewed before. A newcomer has no vote until it has caught up. No node
here: exit status 69.

Example:
  sitegate cluster members --config /etc/sitegate/sitegate.yaml
`

func clusterMembers(ctx context.Context, p *program, args []string) error {
	c, asJSON, err := p.looking("cluster members", membersHelp, args)
	if err != nil {
		return err
	}
	var list api.List[api.ClusterMember]
	if err := operator(ctx, c, http.MethodGet, api.PathMembers, nil, &list); err != nil {
		return err
	}
	if asJSON {
		return p.json(list.Items)
	}
	var s api.Status
	if err := operator(ctx, c, http.MethodGet, api.PathStatus, nil, &s); err != nil {
		return err
	}
	if err := p.showMembers(list.Items, s.Cluster.Level, time.Now()); err != nil {
		return err
	}
	if r := s.Cluster.Replacement; r != nil {
		fmt.Fprintf(p.stdout, "\n%s\n", replacementWords(*r))
	}
	return nil
}

func (p *program) showMembers(members []api.ClusterMember, level uint64, now time.Time) error {
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tADDRESS\tROLE\tLAG\tHEARD OF\tVERSION\tLEVEL\tCERTIFICATE\tDISK")
	voters := 0
	for _, m := range members {
		role, heard, lag, until, can, disk := m.Role, "never", "?", "?", "?", "?"
		if m.Address == m.Name {
			m.Address = "none yet" // it has no peer port
		}
		if m.Role != api.RoleNewcomer {
			voters++
		}
		if m.Drained {
			role += ", drained"
		}
		switch {
		case m.Self:
			heard = "this node"
		case !m.Reached.IsZero():
			heard = ago(now, m.Reached)
		}
		if m.Known {
			lag = fmt.Sprint(m.LagEntries)
		}
		if m.Level != 0 {
			can = fmt.Sprint(m.Level)
		}
		if m.HoldsLevel {
			can += ", held"
		}
		if !m.Certificate.IsZero() {
			until = "until " + m.Certificate.UTC().Format(time.DateOnly)
		}
		if d := m.Disk; d != nil {
			disk = fmt.Sprintf("%.1f of %.1f GB free", float64(d.Free)/1e9, float64(d.Total)/1e9)
			switch d.State {
			case api.DiskWarn:
				disk += ", FILLING UP"
			case api.DiskLow:
				disk += ", LOW"
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.Name, m.Address, role, lag, heard, cmp.Or(m.Version, "?"), can, until, disk)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("writing the members: %w", err)
	}
	if voters == 2 {
		fmt.Fprintln(p.stdout, "\nTwo nodes vote: neither may fail. Add a third.")
	}
	if words := levelWords(members, level); words != "" {
		fmt.Fprintf(p.stdout, "\n%s\n", words)
	}
	return nil
}

// levelWords say what keeps a cluster at a level, where some of its nodes' programs can
// do a higher one.
func levelWords(members []api.ClusterMember, level uint64) string {
	highest := level
	for _, m := range members {
		highest = max(highest, m.Level)
	}
	if level == 0 || highest == level {
		return ""
	}
	var silent, cannot, hold []string
	for _, m := range members {
		switch {
		case m.Level == 0:
			silent = append(silent, m.Name)
		case m.Level <= level:
			cannot = append(cannot, m.Name)
		case m.HoldsLevel:
			hold = append(hold, m.Name)
		}
	}
	words := fmt.Sprintf("The cluster works at level %d, and the way back to an earlier version is open. ", level)
	switch {
	case len(cannot) > 0:
		return words + fmt.Sprintf("Level %d waits for a newer version on %s.", highest, strings.Join(cannot, ", "))
	case len(silent) > 0:
		return words + fmt.Sprintf("Level %d waits for a word of %s.", highest, strings.Join(silent, ", "))
	case len(hold) > 0:
		return words + fmt.Sprintf("Level %d is held back on %s (cluster.hold_level).", highest, strings.Join(hold, ", "))
	}
	return words + fmt.Sprintf("It goes up to level %d as soon as all nodes answer.", highest)
}

const tokenHelp = `
Usage: sitegate cluster token [--for DURATION] [--peer-listen HOST:PORT] [--config FILE]

Makes a token by which one machine may join the cluster of the node that runs here,
once, and prints it. It is a secret: keep it out of command lines and mails. The
cluster itself keeps no more than a digest of it.

A node that has been alone has no peer port yet. --peer-listen opens it, at an
address of this machine that the new one reaches, without a stop; it is remembered.

Example, on a node that has been alone:
  sitegate cluster token --peer-listen 10.20.0.1:7443 > join.token
then, on the new machine, with the file copied there:
  sitegate cluster join --token-file join.token --peer-listen 10.20.0.2:7443
`

func clusterToken(ctx context.Context, p *program, args []string) error {
	f := p.flags("cluster token", tokenHelp)
	p.configFlags(f)
	p.remoteFlags(f)
	life := f.Duration("for", time.Hour, "how long it is good: at most 168h")
	listen := f.String("peer-listen", "", "host:port of the peer port to open, on a node that has been alone")
	advertise := f.String("peer-advertise", "", "host:port by which others reach it, if that is another")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	if *advertise != "" && *listen == "" {
		return usagef("cluster token: --peer-advertise needs --peer-listen")
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	var t api.JoinToken
	r := api.TokenRequest{ForMS: life.Milliseconds(), By: p.operatorName(), Listen: *listen, Advertise: *advertise}
	if err := operator(ctx, c, http.MethodPost, api.PathTokens, r, &t); err != nil {
		return err
	}
	fmt.Fprintln(p.stdout, t.Token)
	fmt.Fprintf(p.stderr, "It lets one machine into cluster %s, once, until %s. On that machine:\n  sitegate cluster join --token-file FILE --peer-listen HOST:PORT\n",
		t.Cluster, t.Expires.UTC().Format(time.RFC3339))
	return nil
}

const stepDownHelp = `
Usage: sitegate cluster step-down [--note WHY] [--config FILE]

Has the node that leads, whichever it is, hand over to another one that has caught
up. Nobody notices but the log. The audit trail keeps why; --note may be left out on
the node's own machine only, and not with --url.

Example:
  sitegate cluster step-down
`

func clusterStepDown(ctx context.Context, p *program, args []string) error {
	f := p.flags("cluster step-down", stepDownHelp)
	p.configFlags(f)
	p.remoteFlags(f)
	note := f.String("note", "", "why, for the audit trail")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	var s api.SteppedDown
	if err := operator(ctx, c, http.MethodPost, api.PathStepDown, api.StepDownRequest{Note: *note}, &s); err != nil {
		return err
	}
	if s.To == "" {
		fmt.Fprintf(p.stdout, "%s leads no more. Who does now is not known here yet: see sitegate cluster members.\n", s.From)
		return nil
	}
	fmt.Fprintf(p.stdout, "%s leads now, in place of %s.\n", s.To, s.From)
	return nil
}

const drainHelp = `
Usage: sitegate cluster drain [NODE] [--over DURATION] [--note WHY] [--config FILE]

Makes a node ready to be stopped, for maintenance: the one that runs on this machine,
or that is named. It hands over what it leads and leads no more, lets no client in any
more, and sends those it has to the other nodes, one after the other. It goes on voting
and keeping the log, so that a majority is left. This returns when the clients of this
machine's node are gone; of another one, when that has begun to send them away.

Then stop it. Started again, it is as before. The audit trail keeps why; --note may be
left out on a node's own machine only, and not with --url.

Examples:
  sitegate cluster drain && systemctl stop sitegate
  sitegate cluster drain gw2 --note "a new disk"
`

// drainPatience is how long clients may take to go after the last was told to.
const drainPatience = 15 * time.Second

func clusterDrain(ctx context.Context, p *program, args []string) error {
	f := p.flags("cluster drain", drainHelp)
	p.configFlags(f)
	p.remoteFlags(f)
	over := f.Duration("over", 10*time.Second, "how long to take for sending the clients elsewhere")
	note := f.String("note", "", "why, for the audit trail")
	rest, err := p.parse(f, args)
	if err != nil {
		return err
	}
	if len(rest) > 1 || len(rest) == 1 && rest[0] == "" { // an empty name, as of a variable that is not set, is not this machine's
		return usagef("cluster drain: name one node, or none for this machine's; see sitegate cluster drain --help")
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	node := strings.Join(rest, "")
	if err := operator(ctx, c, http.MethodPost, api.PathDrain, api.DrainRequest{Node: node, OverMS: over.Milliseconds(), Note: *note}, nil); err != nil {
		return err
	}
	late := time.NewTimer(*over + drainPatience)
	defer late.Stop()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		var s api.Status
		if err := operator(ctx, c, http.MethodGet, api.PathStatus, nil, &s); err != nil {
			return err
		}
		if node != "" && !strings.EqualFold(node, s.Node) {
			fmt.Fprintf(p.stdout, "%s leads no more, and sends its clients elsewhere within %v. sitegate status there shows how many it still has.\n", node, *over)
			return nil
		}
		if s.Connected == 0 && s.Cluster.Leader != "" && s.Cluster.Leader != s.Node {
			fmt.Fprintf(p.stdout, "%s is drained: it has no clients any more, and %s leads. Stop it when you like.\n", s.Node, s.Cluster.Leader)
			return nil
		}
		select {
		case <-tick.C:
		case <-late.C:
			return fmt.Errorf("%s still has %s, and %s leads; stop it all the same if you must: clients that are cut off come back to another node", s.Node, count(s.Connected, "client"), cmp.Or(s.Cluster.Leader, "nobody"))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wrapped breaks a text of several sentences into lines that begin with an indent.
func wrapped(indent string, lines []string) string {
	return indent + strings.Join(lines, "\n"+indent)
}
