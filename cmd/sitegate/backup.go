package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/license"
	"sitegate/raftstore"
)

const backupHelp = `
Usage: sitegate backup FILE [--config FILE]
       sitegate backup now [--json] [--config FILE]
       sitegate backup inspect FILE [--json]
       sitegate backup verify FILE [--json]

Writes a backup of the whole site into FILE, which must not exist yet, while the
node on this machine goes on working: users, licenses, what runs and what is
checked out, and the journal, as of one moment. Any node can be asked. The file is
checked as it is written. It has names, e-mail addresses and machines in it: only
its owner can read it.

Not in it are a node's configuration, its certificates and the secrets that they
name: keep the configuration folder, and that of the site CA, as well.

now has the node make one in the folder that backup.folder names, as it does by
itself, and wants no FILE.

inspect says what a backup is of, once it is certain that the file is whole and
unchanged. verify also reads every record and event as a node would. Neither needs
a node.

Example:
  sitegate backup /srv/backup/site.backup
  sitegate backup verify /srv/backup/site.backup
`

// pairsHeader says how many records and events will be in a backup.
const pairsHeader = "Sitegate-Backup-Pairs"

func backup(ctx context.Context, p *program, args []string) error {
	if len(args) > 0 && (args[0] == "inspect" || args[0] == "verify") {
		return lookIntoBackup(p, args[0], args[1:])
	}
	if len(args) > 0 && args[0] == "now" {
		return backupNow(ctx, p, args[1:])
	}
	f := p.flags("backup", backupHelp)
	p.configFlags(f)
	rest, err := p.parse(f, args)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return usagef("backup: name one file to write; see sitegate backup --help")
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	file := rest[0]
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return usagef("backup: there is a file %s already, and nothing is overwritten: name another", file)
	}
	b, size, err := p.fetchBackup(ctx, c, file)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s: cluster %s at index %d, epoch %d, of %s, %s.\n", file, b.Cluster, b.Index, b.Epoch, when(b.Time), bytesOf(size))
	if !b.Current {
		fmt.Fprintf(p.stderr, "sitegate: no leader answered node %s: this is what that node has, and may lack the latest. Make another one when the cluster is whole.\n", b.Node)
	}
	return nil
}

// backupNow has the node make one in its folder.
func backupNow(ctx context.Context, p *program, args []string) error {
	c, asJSON, err := p.looking("backup now", backupHelp, args)
	if err != nil {
		return err
	}
	var made api.MadeBackup
	if err := patientOperator(ctx, c, http.MethodPost, api.PathBackup, nil, &made); err != nil {
		return err
	}
	if asJSON {
		return p.json(made)
	}
	fmt.Fprintf(p.stdout, "%s: as of index %d, %s, made and checked on the node.\n", filepath.Join(made.Folder, made.File), made.Index, bytesOf(made.Bytes))
	return nil
}

// fetchBackup has the node write a backup into a file, which gets its name once it is
// complete and on disk.
func (p *program) fetchBackup(ctx context.Context, c configs.Config, file string) (b raftstore.Backup, size int64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := askOperator(ctx, c, http.MethodGet, api.PathBackup, nil)
	if err != nil {
		return b, 0, err
	}
	defer resp.Body.Close()
	all, _ := strconv.ParseUint(resp.Header.Get(pairsHeader), 10, 64)
	// A node that stalls is given up; one that is slow is waited for.
	stalled := time.AfterFunc(backupStall, cancel)
	defer stalled.Stop()
	bar := p.progress("backing up", "records and events", all)
	defer bar.end()
	size, err = writeWhole(file, func(w io.Writer) error {
		r := raftstore.BackupReader{Progress: func(n uint64) { bar.at(n); stalled.Reset(backupStall) }}
		b, err = r.Check(io.TeeReader(resp.Body, w))
		return err
	})
	if err != nil {
		return b, 0, fmt.Errorf("the backup is not complete, and %s was not written: %w", file, err)
	}
	return b, size, nil
}

// backupStall is how long a node may be silent in the middle of a backup.
const backupStall = 2 * time.Minute

// writeWhole makes a file that only this user reads, under a name that it gets when it
// is complete and on disk.
func writeWhole(file string, write func(io.Writer) error) (size int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".sitegate-backup-*")
	if err != nil {
		return 0, fmt.Errorf("making a file for it: %w", err)
	}
	if err = write(f); err == nil {
		err = f.Sync()
	}
	if err == nil {
		size, err = f.Seek(0, io.SeekEnd)
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return 0, errors.Join(err, os.Remove(f.Name()))
	}
	return size, syncFolder(filepath.Dir(file))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("syncing %s: %w", dir, err)
	}
	return nil
}

// contents is what inspect and verify print.
type contents struct {
	Cluster string    `json:"cluster"`
	Node    string    `json:"node"`
	Program string    `json:"program,omitempty"`
	Level   uint32    `json:"level"`
	Epoch   uint64    `json:"epoch"`
	Index   uint64    `json:"index"`
	Term    uint64    `json:"term"`
	Seq     uint64    `json:"seq"`
	Digest  string    `json:"digest"` // of all events up to seq: the same on every node
	Time    time.Time `json:"time"`
	Made    time.Time `json:"made"`
	Current bool      `json:"current"`
	Records uint64    `json:"records"`
	Events  uint64    `json:"events"`
	Members []string  `json:"members,omitempty"`
	Size    int64     `json:"size"`
	Counts  *counts   `json:"counts,omitempty"` // of verify
}

type counts struct {
	Users     int `json:"users"`
	Products  int `json:"products"`
	Licenses  int `json:"licenses"`
	Assigned  int `json:"assigned"`
	Sessions  int `json:"sessions"`
	Checkouts int `json:"checkouts"`
	Nodes     int `json:"nodes"`
}

func lookIntoBackup(p *program, how string, args []string) error {
	f := p.flags("backup "+how, backupHelp)
	asJSON := f.Bool("json", false, "print it as JSON")
	rest, err := p.parse(f, args)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return usagef("backup %s: name one file; see sitegate backup --help", how)
	}
	file, err := os.Open(rest[0])
	if err != nil {
		return fmt.Errorf("opening the backup: %w", err)
	}
	defer file.Close()
	bar := p.progress("reading", "records and events", 0)
	r := raftstore.BackupReader{Begin: func(b raftstore.Backup) error { bar.all = b.Pairs(); return nil }, Progress: bar.at}
	var b raftstore.Backup
	var counted *counts
	if how == "verify" {
		var n raftstore.Contents
		if b, n, err = r.Verify(file); err == nil {
			counted = &counts{n.Users, n.Products, n.Licenses, n.Assigned, n.Sessions, n.Checkouts, n.Nodes}
		}
	} else {
		b, err = r.Check(file)
	}
	bar.end()
	if err != nil {
		return fmt.Errorf("%s is no good backup: %w", rest[0], err)
	}
	out := contents{Cluster: b.Cluster, Node: b.Node, Program: b.Program, Level: b.Level, Epoch: b.Epoch, Index: b.Index, Term: b.Term, Seq: b.Seq,
		Digest: fmt.Sprintf("%016x", b.Digest), Time: b.Time.Std(), Made: b.Made.Std(), Current: b.Current, Records: b.Records, Events: b.Events, Members: b.Members, Counts: counted}
	if info, err := file.Stat(); err == nil {
		out.Size = info.Size()
	}
	if *asJSON {
		return p.json(out)
	}
	return p.showBackup(out)
}

func (p *program) showBackup(b contents) error {
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("cluster", "%s, epoch %d, level %d", b.Cluster, b.Epoch, b.Level)
	row("made", "%s by node %s, version %s", when(license.TimeOf(b.Made)), b.Node, b.Program)
	if len(b.Members) > 0 {
		row("nodes", "%s", strings.Join(b.Members, ", "))
	}
	row("as of", "%s, index %d in term %d, event %d", when(license.TimeOf(b.Time)), b.Index, b.Term, b.Seq)
	if !b.Current {
		row("", "no leader had confirmed it: it may lack what was the latest then")
	}
	row("holds", "%d records, %d events, %s; whole and unchanged", b.Records, b.Events, bytesOf(b.Size))
	if n := b.Counts; n != nil {
		row("", "%s, %s, %s, %d of them assigned; %s, %s; %s", count(n.Users, "user"), count(n.Products, "product"), count(n.Licenses, "license"),
			n.Assigned, count(n.Sessions, "session"), count(n.Checkouts, "checkout"), count(n.Nodes, "node"))
		row("", "every record and event can be read")
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("writing what is in the backup: %w", err)
	}
	return nil
}

// when is a moment as it is written for operators.
func when(t license.Time) string { return t.Std().Format("2006-01-02 15:04:05 UTC") }

// bytesOf is a size as people read it.
func bytesOf(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d bytes", n)
	}
	v, names := float64(n)/unit, []string{"kB", "MB", "GB", "TB"}
	for v >= unit && len(names) > 1 {
		v, names = v/unit, names[1:]
	}
	return fmt.Sprintf("%.1f %s", v, names[0])
}
