package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/gateway"
	"sitegate/license"
	"sitegate/raftstore"
)

// backedUp is a node's socket as far as backups go, and its configuration.
func backedUp(t *testing.T, maker func(*raftstore.Store) backupMaker) (config string, store *raftstore.Store) {
	t.Helper()
	config = writeSingle(t)
	data := filepath.Join(filepath.Dir(config), "data")
	store, err := raftstore.Open(raftstore.Config{Dir: filepath.Join(data, "store"), Node: "node1", Version: "1.2.3", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := store.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	ln, err := listenUnix(filepath.Join(data, "operator.sock"))
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	folder := filepath.Join(filepath.Dir(config), "backups")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	scheduled, err := newBackups(maker(store), "node1", configs.Backup{Folder: folder, Every: 24 * time.Hour, Keep: 2}, quiet, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ep := endpointOf(t, gateway.New(gateway.Config{Log: &nodeLog{}, Logger: quiet}))
	ep.Administer("GET "+api.PathBackup, license.Admin, license.ClusterScope, giveBackup(maker(store), ep.Refuse, quiet))
	ep.Administer("POST "+api.PathBackup, license.Admin, license.ClusterScope, backUpNow(scheduled, ep.Refuse, quiet))
	d := newDoor("operator", ln, ep.Operator(), quiet)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	deadline := time.Now().Add(time.Minute)
	for {
		if _, err := store.Propose(t.Context(), license.Link{Up: true}); err == nil {
			return config, store
		} else if time.Now().After(deadline) {
			t.Fatalf("the node does not lead: %v", err)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func itself(s *raftstore.Store) backupMaker { return s }

// The node makes a backup in its folder when it is told to, keeps as many as it is to, and
// says what is in its way.
func TestABackupNow(t *testing.T) {
	config, store := backedUp(t, itself)
	folder := filepath.Join(filepath.Dir(config), "backups")
	var made api.MadeBackup
	for up := range 3 {
		if _, err := store.Propose(t.Context(), license.Link{Up: up%2 == 1}); err != nil {
			t.Fatal(err)
		}
		status, stdout, stderr := sitegate(t, nil, "backup", "now", "--json", "--config", config)
		if status != exitOK {
			t.Fatalf("status %d, %s", status, stderr)
		}
		if err := json.Unmarshal([]byte(stdout), &made); err != nil || made.Folder != folder || made.Bytes == 0 || made.Index == 0 {
			t.Fatalf("it says %s, %v", stdout, err)
		}
	}
	if names := namesIn(t, folder); len(names) != 2 {
		t.Errorf("in the folder are %q; want the last 2", names)
	}
	if status, stdout, stderr := sitegate(t, nil, "backup", "verify", filepath.Join(folder, made.File)); status != exitOK {
		t.Errorf("it cannot be read: %d %s %s", status, stdout, stderr)
	}
	if status, stdout, stderr := sitegate(t, nil, "backup", "now", "--config", config); status != exitOK || !strings.Contains(stdout, "made and checked on the node") {
		t.Errorf("status %d, %s %s", status, stdout, stderr)
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := sitegate(t, nil, "backup", "now", "--config", config); status == exitOK || !strings.Contains(stderr, "no such file") || !strings.Contains(stderr, "sitegate status") {
		t.Errorf("without its folder: status %d, %s", status, stderr)
	}
}

func TestBackupIsWrittenLookedIntoAndRestored(t *testing.T) {
	config, store := backedUp(t, itself)
	cluster := store.Cluster().ID
	file := filepath.Join(t.TempDir(), "site.backup")
	status, stdout, stderr := sitegate(t, nil, "backup", file, "--config", config)
	if status != exitOK || !strings.Contains(stdout, "cluster "+cluster) || stderr != "" {
		t.Fatalf("backup: status %d, %q, %q", status, stdout, stderr)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v; want mode 0600", info, err)
	}
	if status, _, stderr := sitegate(t, nil, "backup", file, "--config", config); status != exitUsage || !strings.Contains(stderr, "nothing is overwritten") {
		t.Errorf("over a file: status %d, %q", status, stderr)
	}

	for _, how := range []string{"inspect", "verify"} {
		status, stdout, stderr := sitegate(t, nil, "backup", how, file, "--json")
		var got contents
		if err := json.Unmarshal([]byte(stdout), &got); status != exitOK || err != nil || got.Cluster != cluster || got.Epoch != 1 ||
			got.Program != "1.2.3" || !got.Current || len(got.Digest) != 16 || got.Size != info.Size() || (got.Counts == nil) != (how == "inspect") {
			t.Errorf("%s: status %d, %v, %+v, %q", how, status, err, got, stderr)
		}
		if _, stdout, _ := sitegate(t, nil, "backup", how, file); !strings.Contains(stdout, "whole and unchanged") {
			t.Errorf("%s in words: %q", how, stdout)
		}
	}

	// Into this node's folder it cannot go; into a new one it does.
	if status, _, stderr := sitegate(t, nil, "restore", file, "--config", config); status != exitFailed || !strings.Contains(stderr, "nothing is overwritten") {
		t.Errorf("restoring over a node's data: status %d, %q", status, stderr)
	}
	fresh := writeSingle(t)
	status, stdout, stderr = sitegate(t, nil, "restore", file, "--config", fresh)
	if status != exitOK || !strings.Contains(stdout, "sitegate serve") {
		t.Fatalf("restore: status %d, %q, %q", status, stdout, stderr)
	}
	again, err := raftstore.Open(raftstore.Config{Dir: filepath.Join(filepath.Dir(fresh), "data", "store"), Node: "node1", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	again.View(func(s *license.State) {
		if h := s.Head(); h.Cluster != cluster || h.Epoch < 1_000_000 || h.Restored.Over(again.Now()) {
			t.Errorf("the restored state: %+v", h)
		}
	})
	if err := again.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// half is a node that dies in the middle of a backup, and none one that has nothing.
type half struct{ backupMaker }

func (h half) Backup(ctx context.Context, w io.Writer, begin func(raftstore.Backup)) (raftstore.Backup, error) {
	var all bytes.Buffer
	b, err := h.backupMaker.Backup(ctx, &all, begin)
	if err == nil {
		_, err = w.Write(all.Bytes()[:all.Len()/2])
	}
	return b, errors.Join(err, errors.New("the disk has gone"))
}

type none struct{}

func (none) Backup(context.Context, io.Writer, func(raftstore.Backup)) (raftstore.Backup, error) {
	return raftstore.Backup{}, errors.New("there is nothing in this node's state yet")
}

func TestABackupThatFailsLeavesNoFile(t *testing.T) {
	for name, c := range map[string]struct {
		maker func(*raftstore.Store) backupMaker
		want  string
	}{
		"in the middle":  {func(s *raftstore.Store) backupMaker { return half{s} }, "not complete"},
		"from the start": {func(*raftstore.Store) backupMaker { return none{} }, "there is nothing in this node's state yet"},
	} {
		t.Run(name, func(t *testing.T) {
			config, _ := backedUp(t, c.maker)
			dir := t.TempDir()
			status, _, stderr := sitegate(t, nil, "backup", filepath.Join(dir, "site.backup"), "--config", config)
			if status != exitFailed || !strings.Contains(stderr, c.want) {
				t.Errorf("status %d, %q; want %q in it", status, stderr, c.want)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("it left %v, %v", left, err)
			}
		})
	}
}

func TestBackupCommandLines(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.backup")
	if err := os.WriteFile(bad, []byte("sgbackup1 and no more"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := writeSingle(t)
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"backup"}, exitUsage, "name one file"},
		{[]string{"backup", "verify"}, exitUsage, "name one file"},
		{[]string{"backup", "verify", bad}, exitFailed, "is no good backup"},
		{[]string{"backup", "inspect", bad + "x"}, exitFailed, "no such file"},
		{[]string{"backup", filepath.Join(t.TempDir(), "x"), "--config", config}, exitUnavailable, "does not run"},
		{[]string{"restore"}, exitUsage, "name one backup"},
		{[]string{"restore", "accept"}, exitUsage, "say --because"},
		{[]string{"restore", "accept", "--because", "asked", "--by", "ida", "--config", config}, exitUnavailable, "does not run"},
		{[]string{"restore", bad, "--config", config}, exitFailed, "cannot be restored"},
		{[]string{"help", "backup"}, exitOK, "sitegate backup verify"},
		{[]string{"help", "restore"}, exitOK, "--accept-time"},
	} {
		status, stdout, stderr := sitegate(t, nil, c.args...)
		if status != c.status || !strings.Contains(stdout+stderr, c.want) {
			t.Errorf("%q: status %d, %q, %q; want %d and %q", c.args, status, stdout, stderr, c.status, c.want)
		}
	}
}

func TestProgressIsABarOrLines(t *testing.T) {
	var out bytes.Buffer
	b := &progress{w: &out, terminal: true, what: "backing up", things: "records", all: 200}
	b.at(100)
	if got := out.String(); got != "\rbacking up [===============               ]  50 %" {
		t.Errorf("bar %q", got)
	}
	b.end()
	if got := out.String(); !strings.HasSuffix(got, "\r") {
		t.Errorf("the bar stays: %q", got)
	}
	out.Reset()
	b = &progress{w: &out, what: "backing up", things: "records", all: 200}
	b.at(50)
	b.at(60) // too soon after the last
	b.end()
	if got := out.String(); got != "backing up: 50 of 200 records, 25 %\n" {
		t.Errorf("lines %q", got)
	}
}

func TestStatusSaysUntilWhenARestoredSiteWaits(t *testing.T) {
	for want, r := range map[string]*api.RestoredStatus{
		"from a backup; no leader has gone on from it yet":                                      {Epoch: 9},
		"from a backup; nothing capped is granted before 2026-11-21 12:00:00 UTC":               {Epoch: 9, Since: at, Until: at, Read: true},
		"from one node that was left; nothing capped is granted before 2026-11-21 12:00:00 UTC": {Epoch: 9, Recovered: true, Since: at, Until: at},
		"see sitegate restore accept":                                                           {Epoch: 9, Since: at, Until: at},
	} {
		file := writeSingle(t)
		answerAt(t, file, statusOf(api.Status{Restored: r}))
		if _, stdout, stderr := sitegate(t, nil, "status", "--config", file, "--data-dir", filepath.Dir(file)); !strings.Contains(stdout, want) {
			t.Errorf("%+v: %q, %q; want %q in it", r, stdout, stderr, want)
		}
	}
}
