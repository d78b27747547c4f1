package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"sitegate/api"
)

const statusHelp = `
Usage: sitegate status [--config FILE] [--json]

Asks the node that runs on this machine how things are: who leads the cluster,
whether the cloud answers, what is mirrored, what runs, and whether usage has
been delivered. It uses the socket in the node's data folder. No node: exit
status 69.

Example:
  sitegate status --config /etc/sitegate/sitegate.yaml
`

func status(ctx context.Context, p *program, args []string) error {
	c, asJSON, err := p.looking("status", statusHelp, args)
	if err != nil {
		return err
	}
	var s api.Status
	if err := operator(ctx, c, http.MethodGet, api.PathStatus, nil, &s); err != nil {
		return err
	}
	if asJSON {
		return p.json(s)
	}
	return p.showStatus(s)
}

// oldMirror is when it is said how old the mirror is.
const oldMirror = 10 * time.Minute

func (p *program) showStatus(s api.Status) error {
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("node", "%s, version %s, %s connected", s.Node, s.Version, count(s.Connected, "client"))
	leader := "no leader: most nodes cannot reach each other"
	switch {
	case s.Cluster.Leader != "":
		leader = "led by " + s.Cluster.Leader
	case len(s.Cluster.Members) == 0:
		leader = "which waits for its first nodes to meet, all of them; the log names those that are missing"
	}
	if s.Cluster.Diverged {
		row("state", "DIVERGED: the nodes have different states, and no majority has the same: nothing new is granted; restore a backup, or recover from the node that is right")
	}
	row("cluster", "%s, %s (term %d, index %d)%s", cmp.Or(s.Cluster.ID, "not begun"), leader, s.Cluster.Term, s.Cluster.Index, atLevel(s.Cluster))
	for _, m := range s.Cluster.Members {
		row("  "+m.Name, "%s", strings.Join(memberWords(s, m), ", "))
	}
	if r := s.Restored; r != nil {
		row("restored", "%s", restoredWords(r))
		if !r.Read {
			row("", "the checkouts are not read from the cloud yet; where it cannot tell, see sitegate restore accept --help")
		}
	}
	row("link", "%s", linkWords(s))
	for _, e := range s.Egress {
		words, more := egressWords(s.Time, e)
		row("  "+e.Name, "%s", words)
		if more != "" {
			row("", "%s", more)
		}
	}
	for _, words := range cloudWords(s.Cloud) {
		row("  cloud", "%s", words)
	}
	if s.Bypass != nil {
		row("BYPASS", "nothing that is relayed is withheld %s; to end it: sitegate bypass stop --note WHY", bypassWords(s.Bypass))
	}
	if a := s.Audit; a.MostNames > 0 && a.Names >= a.MostNames/5*4 {
		row("audit", "ROOM FOR FEW MORE NAMES, %d of %d are taken: see docs/operator/audit.md", a.Names, a.MostNames)
	}
	for _, issuer := range s.KeysHeld {
		row("sign-in", "%s LISTS OTHER KEYS ONLY than the site knows, which are not believed: see sitegate trust show", issuer)
	}
	for _, l := range s.Lockouts {
		row("", "the proxy %s HAS REJECTED THE SECRET of %s, %s, and taken none since: see sitegate doctor on %s", l.Proxy, l.Node, ago(s.Time, l.Since), l.Node)
	}
	if s.Mirror.Filled {
		row("mirror", "%s, %s, %s, %d of them assigned",
			count(s.Counts.Users, "user"), count(s.Counts.Products, "product"), count(s.Counts.Licenses, "license"), s.Counts.Assigned)
	} else {
		row("mirror", "not filled yet: nothing can be granted before the cloud has been read once")
	}
	if read := s.Mirror.Read; !read.IsZero() && s.Time.Sub(read) > oldMirror && s.Link.Up {
		row("", "the cloud answers, but its list was last read %s: the log of %s says why", ago(s.Time, read), cmp.Or(s.Cluster.Leader, "the leader"))
	}
	if n := s.Mirror.Malformed; n > 0 {
		row("  malformed", "%s of the cloud's cannot be understood and count as deleted: sitegate mirror status lists them", count(n, "record"))
	}
	if h := s.Mirror.Held; h != nil {
		row("  held", "%s the cloud's list lacked %s: nothing of that is taken away", ago(s.Time, h.Since), losses(*h))
		if s.Time.Before(h.Until) {
			row("", "accepted by %s until %s: it comes in as soon as the cloud says so again", h.By, h.Until.UTC().Format(time.RFC3339))
		} else {
			row("", "ask the vendor why; if it is meant: sitegate mirror accept --note WHY")
		}
	}
	row("running", "%s, %d of them provisional; %s", count(s.Counts.Sessions, "session"), s.Counts.Provisional, count(s.Counts.Checkouts, "checkout"))
	if s.Usage.Waiting == 0 {
		row("usage", "all delivered")
	} else {
		oldest := ""
		if at := s.Usage.Oldest; !at.IsZero() {
			oldest = ", the oldest of them made " + ago(s.Time, at)
		}
		row("usage", "%s waiting to be delivered%s", count(int(s.Usage.Waiting), "record"), oldest)
	}
	if words := roomWords(s.Usage); words != "" {
		row("", "%s", words)
	}
	if s.Usage.Refused > 0 {
		row("", "%s refused by the cloud: see sitegate usage refused", count(int(s.Usage.Refused), "record"))
	}
	row("autonomy", "without the cloud: capped products %s, others %s",
		span(time.Duration(s.Autonomy.CappedMS)*time.Millisecond), span(time.Duration(s.Autonomy.UncappedMS)*time.Millisecond))
	if b := s.Backup; b != nil {
		row("backups", "%s", backupWords(s.Time, b))
	}
	for i, x := range s.Certificates {
		name := "certificates"
		if i > 0 {
			name = ""
		}
		row(name, "%s", certificateWords(s.Time, x))
		if x.Problem != "" {
			row("", "THE FILES OF %s CANNOT BE USED, the certificate of before is shown: %s", x.Name, x.Problem)
		}
	}
	if r := s.Cluster.Replacement; r != nil {
		row("site CA", "%s", replacementWords(*r))
	}
	if d := s.Disk; d != nil {
		row("disk", "%s", diskWords(*d))
	}
	if s.Time.IsZero() {
		row("time", "not known yet: no entry has been decided")
	} else {
		row("time", "%s", s.Time.UTC().Format(time.RFC3339))
		if s.TimeHeld {
			row("", "this machine's clock is off and is not followed: set it right, or see sitegate time accept --help")
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("writing the status: %w", err)
	}
	return nil
}

// atLevel is the level that the cluster works at, and what that takes.
func atLevel(c api.ClusterStatus) string {
	switch {
	case c.Level == 0:
		return ""
	case c.Program == "":
		return fmt.Sprintf(", level %d", c.Level)
	}
	return fmt.Sprintf(", level %d, which takes version %s or a later one", c.Level, c.Program)
}

// roomWords tells of the room for usage that waits, where much of it is taken.
func roomWords(u api.UsageStatus) string {
	taken := fmt.Sprintf("%s of %s", bytesOf(int64(u.Bytes)), bytesOf(int64(u.Most)))
	switch u.Backlog {
	case api.BacklogHalf, api.BacklogHigh:
		return "THE ROOM FOR IT FILLS UP, " + taken + " are taken: see to the link, or sitegate usage export"
	case api.BacklogFull:
		return "THE ROOM FOR IT IS FULL, " + taken + ": nothing new is granted before the cloud takes some of it, or an export is acknowledged"
	}
	return ""
}

func linkWords(s api.Status) string {
	since := sinceWords(s.Link.Since)
	switch {
	case s.Link.Up && s.Link.State == api.LinkSlow:
		return fmt.Sprintf("slow, the cloud answered %s, but takes too long or not every question%s", ago(s.Time, s.Link.Contact), since)
	case s.Link.Up:
		return fmt.Sprintf("up, the cloud answered %s%s", ago(s.Time, s.Link.Contact), since)
	case s.Link.Contact.IsZero():
		return "down, the cloud has not answered yet"
	case s.Link.State == api.LinkStale:
		return fmt.Sprintf("STALE, the cloud last answered %s%s: see to the network, or ask the vendor", ago(s.Time, s.Link.Contact), since)
	}
	return fmt.Sprintf("down, the cloud last answered %s%s", ago(s.Time, s.Link.Contact), since)
}

// cloudWords tell what the cloud offers, and what follows where it does not; nothing
// of what nobody has asked for.
func cloudWords(c api.CloudOffers) (lines []string) {
	for _, x := range []struct {
		offer    *api.Offer
		yes, not string
	}{
		{c.Feed, "tells of changes as they are made", "NO LIST OF CHANGES: sitegate mirror import"},
		{c.Holds, "confirms starts and checkouts", "CONFIRMS NOTHING: the account's terms decide"},
		{c.Moves, "takes moves of licenses from here", strings.TrimSpace("takes no moves from here: they are made in the vendor's portal " + c.Portal)},
		{c.Books, "lists what is checked out", "does not list what is checked out: after a restore see sitegate restore accept"},
	} {
		if x.offer == nil {
			continue
		}
		words := x.not
		if x.offer.Offered {
			words = x.yes
		}
		lines = append(lines, words+sinceWords(x.offer.Since))
	}
	if c.UsageWay != "" {
		ways := map[string]string{"site": "usage goes by the site API, each record once", "realtime": "usage goes by the vendor's real-time posts, at least once", "csv": "usage goes in the vendor's CSV files, at least once"}
		lines = append(lines, cmp.Or(ways[c.UsageWay], "usage goes by "+c.UsageWay)+sinceWords(c.UsageSince))
	}
	return lines
}

func sinceWords(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return ", since " + t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// egressWords tells of a way out, and what to do about it.
func egressWords(now time.Time, e api.EgressStatus) (words, more string) {
	words = fmt.Sprintf("%s %s", e.Kind, e.Address)
	if e.Kind == "http" || e.Kind == "https" {
		words = "proxy " + words
	}
	switch e.State {
	case "well":
		words += ", works"
		if e.Scheme != "" {
			words += " with " + e.Scheme
		}
	case "resting":
		words += ", DOES NOT WORK since " + ago(now, e.Since)
	case "locked":
		words += ", HAS REJECTED the configured secret, which is not sent before " + e.Until.UTC().Format(time.RFC3339)
	case "failing":
		words += ", CANNOT BE USED as it is now"
	default:
		words += ", not used yet"
	}
	return words, e.Problem
}

func backupWords(now time.Time, b *api.BackupStatus) string {
	words := fmt.Sprintf("every %s to %s, %d kept", span(time.Duration(b.EveryMS)*time.Millisecond), b.Folder, b.Kept)
	if b.Last.IsZero() {
		words += "; none yet"
	} else {
		words += fmt.Sprintf("; the last %s (index %d, %s)", ago(now, b.Last), b.Index, bytesOf(b.Bytes))
	}
	if b.Overdue {
		words += "; THE LAST GOOD ONE IS TOO OLD"
	}
	if b.Problem != "" {
		words += "; the last try failed: " + b.Problem
	}
	return words
}

func restoredWords(r *api.RestoredStatus) string {
	from := "from a backup"
	if r.Recovered {
		from = "from one node that was left"
	}
	if r.Until.IsZero() {
		return from + "; no leader has gone on from it yet, and nothing capped is granted"
	}
	return fmt.Sprintf("%s; nothing capped is granted before %s", from, r.Until.UTC().Format("2006-01-02 15:04:05 UTC"))
}

func memberWords(s api.Status, m api.Member) []string {
	words := []string{m.Address}
	if m.Leader {
		words = append(words, "leader")
	} else if m.Voter {
		words = append(words, "voter")
	} else {
		words = append(words, "does not vote yet")
	}
	switch {
	case m.Name == s.Node:
		words = append(words, "this node")
	case m.Reached.IsZero():
		words = append(words, "not heard of")
	default:
		words = append(words, "heard of "+ago(s.Time, m.Reached))
	}
	return words
}

func diskWords(d api.DiskStatus) string {
	words := fmt.Sprintf("%.1f of %.1f GB are free", float64(d.Free)/1e9, float64(d.Total)/1e9)
	switch d.State {
	case api.DiskWarn:
		words += ": it is filling up"
	case api.DiskLow:
		words += ": make room; while this node leads, nothing new is granted"
	}
	return words
}

// ago is how long before now t was, roughly.
func ago(now, t time.Time) string {
	d := now.Sub(t)
	if d < time.Second {
		return "just now"
	}
	return span(d) + " ago"
}

// span is a duration in the unit that a person would choose.
func span(d time.Duration) string {
	switch {
	case d <= 0:
		return "never"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 4*24*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
