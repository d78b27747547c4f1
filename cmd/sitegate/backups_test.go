package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/raftstore"
)

// canned gives the same backup again and again, with another index, or an error.
type canned struct {
	file []byte
	info raftstore.Backup

	mu    sync.Mutex
	index uint64
	err   error
	stale bool
	asked int
}

func (c *canned) Backup(_ context.Context, w io.Writer, _ func(raftstore.Backup)) (raftstore.Backup, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	if c.err != nil {
		if _, err := w.Write(c.file[:len(c.file)/2]); err != nil {
			return raftstore.Backup{}, err
		}
		return raftstore.Backup{}, c.err
	}
	info := c.info
	c.index++
	info.Index, info.Current = c.index, !c.stale
	_, err := w.Write(c.file)
	return info, err
}

func (c *canned) set(err error, stale bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err, c.stale = err, stale
}

func (c *canned) times() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

// realBackup is a backup of a node without anything in it.
func realBackup(t *testing.T) *canned {
	t.Helper()
	config, _ := backedUp(t, itself)
	file := filepath.Join(t.TempDir(), "one")
	if status, _, stderr := sitegate(t, nil, "backup", file, "--config", config); status != exitOK {
		t.Fatal(stderr)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return &canned{file: b}
}

func namesIn(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// scheduling runs a node's backups in a bubble of time until the test has ended.
func scheduling(t *testing.T, c *canned, folder string) *backups {
	t.Helper()
	b, err := newBackups(c, "gw1", configs.Backup{Folder: folder, Every: 24 * time.Hour, Keep: 3}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b
}

// value is what a metric says now.
func value(t *testing.T, m prometheus.Collector) float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(m)
	families, err := r.Gather()
	if err != nil || len(families) != 1 {
		t.Fatalf("%d metrics, %v", len(families), err)
	}
	x := families[0].GetMetric()[0]
	return x.GetGauge().GetValue() + x.GetCounter().GetValue()
}

// pass lets time pass, and everything happen that is due.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestBackupsAreMadeOnScheduleAndTheOldestRemoved(t *testing.T) {
	c, folder := realBackup(t), t.TempDir()
	for _, others := range []string{"notes.txt", "sitegate-gw2-20000101T000000Z-5.backup", "sitegate-gw1-old.backup"} {
		if err := os.WriteFile(filepath.Join(folder, others), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, ".sitegate-backup-gw1-123"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		b := scheduling(t, c, folder)
		pass(time.Second)
		if got := c.times(); got != 1 {
			t.Errorf("%d backups after the start, want 1", got)
		}
		pass(4*24*time.Hour + time.Minute)
		s := b.status()
		if c.times() != 5 || s.Kept != 3 || s.Index != 5 || s.Overdue || s.Problem != "" || time.Since(s.Last) > time.Hour || s.Bytes != int64(len(c.file)) {
			t.Errorf("%d backups, %+v; want 5, of which 3 are kept", c.times(), s)
		}
		got := namesIn(t, folder)
		for _, others := range []string{"notes.txt", "sitegate-gw2-20000101T000000Z-5.backup", "sitegate-gw1-old.backup"} {
			if !slices.Contains(got, others) {
				t.Errorf("%s is gone", others)
			}
		}
		if len(got) != 6 {
			t.Errorf("%q, want those three and three backups", got)
		}
		if n := value(t, b.last); time.Unix(int64(n), 0).Before(time.Now().Add(-time.Hour)) {
			t.Errorf("the metric says %v", n)
		}
	})
}

// A node that starts again goes on from what is there.
func TestBackupsGoOnFromTheLastOne(t *testing.T) {
	c, folder := realBackup(t), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		file := fmt.Sprintf("sitegate-gw1-%s-7.backup", time.Now().Add(-20*time.Hour).UTC().Format(backupTime))
		later := fmt.Sprintf("sitegate-gw1-%s-8.backup", time.Now().Add(90*24*time.Hour).UTC().Format(backupTime)) // before the clock was set back
		for _, f := range []string{file, later} {
			if err := os.WriteFile(filepath.Join(folder, f), c.file, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		b := scheduling(t, c, folder)
		pass(3 * time.Hour)
		if s := b.status(); c.times() != 0 || s.Index != 7 || s.Overdue {
			t.Errorf("%d backups after 3 h, %+v; want none before 4 h", c.times(), s)
		}
		pass(2 * time.Hour)
		if c.times() != 1 {
			t.Errorf("%d backups after 5 h, want 1", c.times())
		}
	})
}

func TestABackupThatFailsIsTriedAgainAndMissed(t *testing.T) {
	c, folder := realBackup(t), t.TempDir()
	c.set(errors.New("no space left on device"), false)
	synctest.Test(t, func(t *testing.T) {
		b := scheduling(t, c, folder)
		pass(61 * time.Second) // a node that has just started may know of no leader yet
		if c.times() != 2 {
			t.Errorf("%d tries in a minute, want a second one after it", c.times())
		}
		pass(9 * time.Minute)
		s := b.status()
		if c.times() < 3 || s.Kept != 0 || s.Overdue || !strings.Contains(s.Problem, "no space left") || value(t, b.failures) < 3 {
			t.Errorf("%d tries, %+v", c.times(), s)
		}
		if left := namesIn(t, folder); len(left) > 0 {
			t.Errorf("it left %q", left)
		}
		pass(48 * time.Hour)
		if s := b.status(); !s.Overdue || value(t, b.overdue) != 1 {
			t.Errorf("after two days: %+v, want it overdue", s)
		}
		c.set(nil, true) // nobody confirms that it is all there is
		pass(time.Hour)
		if s := b.status(); !s.Overdue || s.Kept != 0 || !strings.Contains(s.Problem, "no leader answers") {
			t.Errorf("with what may lack something: %+v", s)
		}
		c.set(nil, false)
		pass(time.Hour)
		if s := b.status(); s.Overdue || s.Kept != 1 || s.Problem != "" || value(t, b.overdue) != 0 {
			t.Errorf("once it works again: %+v", s)
		}
	})
}

func TestStatusTellsOfBackups(t *testing.T) {
	for want, b := range map[string]*api.BackupStatus{
		"every 24 h to /srv, 0 kept; none yet":                   {Folder: "/srv", EveryMS: (24 * time.Hour).Milliseconds()},
		"2 kept; the last 3 h ago (index 7, 1.5 MB)":             {Folder: "/srv", EveryMS: 1, Kept: 2, Last: at.Add(-3 * time.Hour), Index: 7, Bytes: 1_500_000},
		"THE LAST GOOD ONE IS TOO OLD; the last try failed: why": {Folder: "/srv", EveryMS: 1, Overdue: true, Problem: "why"},
	} {
		file := writeSingle(t)
		answerAt(t, file, statusOf(api.Status{Time: at, Backup: b}))
		if _, stdout, stderr := sitegate(t, nil, "status", "--config", file, "--data-dir", filepath.Dir(file)); !strings.Contains(stdout, want) {
			t.Errorf("%+v: %q, %q; want %q in it", b, stdout, stderr, want)
		}
	}
}

func TestHalfWrittenBackupsAreClearedAwayWhateverTheFolderIsCalled(t *testing.T) {
	for _, name := range []string{"plain", "a[b]c", "a[b"} {
		folder := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		const of2 = ".sitegate-backup-gw2-1234"
		for _, file := range []string{".sitegate-backup-gw1-1234", of2} {
			if err := os.WriteFile(filepath.Join(folder, file), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		b := &backups{node: "gw1", cfg: configs.Backup{Folder: folder}, log: slog.New(slog.DiscardHandler)}
		b.clearAway()
		if left := namesIn(t, folder); !slices.Equal(left, []string{of2}) {
			t.Errorf("%s: left are %q, want only another node's", name, left)
		}
	}
}
