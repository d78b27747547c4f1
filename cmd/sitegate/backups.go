package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/raftstore"
)

// backups makes a node's backups by itself, keeps so many of them, and tells when the
// last good one is too old. Every node that is told to makes its own: a cluster that
// loses all nodes but one still has that one's, and nobody has to agree on whose turn it
// is.
type backups struct {
	store backupMaker
	node  string
	cfg   configs.Backup
	log   *slog.Logger

	last, size prometheus.Gauge
	overdue    prometheus.GaugeFunc
	failures   prometheus.Counter

	one sync.Mutex // held while a backup is made

	mu     sync.Mutex // guards all below
	made   []madeBackup
	failed error // of the last try; nil once one was good
	since  time.Time
}

// madeBackup is one of this node's files in the folder.
type madeBackup struct {
	file  string
	at    time.Time
	index uint64
	size  int64
}

const (
	backupPrefix = "sitegate-"
	backupSuffix = ".backup"
	backupTime   = "20060102T150405Z"
	// retryFirst and retryMax are between tries of what failed; alarmEvery is how often
	// it is told in the log that the last good one is too old.
	retryFirst = time.Minute
	retryMax   = 30 * time.Minute
	alarmEvery = time.Hour
	// makeLimit is how long one backup may take.
	makeLimit = time.Hour
)

func newBackups(store backupMaker, node string, c configs.Backup, log *slog.Logger, r prometheus.Registerer) (*backups, error) {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "sitegate", Subsystem: "backup", Name: name, Help: help})
	}
	b := &backups{store: store, node: node, cfg: c, log: log, since: time.Now(),
		last: gauge("last_timestamp_seconds", "When this node's last good backup was made, in seconds since 1970; 0: never."),
		size: gauge("last_bytes", "Size of this node's last good backup, in bytes."),
		failures: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "sitegate", Subsystem: "backup", Name: "failures_total",
			Help: "Scheduled backups that failed."}),
	}
	b.overdue = prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "sitegate", Subsystem: "backup", Name: "overdue",
		Help: "1 where the last good backup is older than twice the time between two, else 0."}, func() float64 {
		if b.late() {
			return 1
		}
		return 0
	})
	for _, c := range []prometheus.Collector{b.last, b.size, b.overdue, b.failures} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("registering the metrics of backups: %w", err)
		}
	}
	return b, nil
}

// run makes backups until ctx ends.
func (b *backups) run(ctx context.Context) error {
	b.clearAway()
	if err := b.look(); err != nil {
		b.fail(err)
	}
	var retry time.Duration
	var tried, alarmed time.Time
	for {
		wait := b.untilDue()
		if b.problem() != nil {
			wait = retry - time.Since(tried)
		}
		if b.late() && time.Since(alarmed) >= alarmEvery {
			alarmed = time.Now()
			b.log.Error("the last good backup is too old", "folder", b.cfg.Folder, "last", b.newest().at, "err", b.problem())
		}
		if wait > 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(min(wait, alarmEvery)):
			}
			if wait > alarmEvery {
				continue
			}
		}
		tried = time.Now()
		if _, err := b.make(ctx); ctx.Err() != nil {
			return nil
		} else if err != nil {
			b.fail(err)
			retry = min(max(2*retry, retryFirst), retryMax)
			continue
		}
		retry = 0
	}
}

// make makes one, reads it again, and removes what is more than is to be kept.
func (b *backups) make(ctx context.Context) (m madeBackup, err error) {
	b.one.Lock()
	defer b.one.Unlock()
	return b.making(ctx)
}

// errUnderWay: a backup is being made.
var errUnderWay = errors.New("a backup is being made already")

// now makes one because somebody wants it.
func (b *backups) now(ctx context.Context) (madeBackup, error) {
	if !b.one.TryLock() {
		return madeBackup{}, errUnderWay
	}
	defer b.one.Unlock()
	return b.making(ctx)
}

func (b *backups) making(ctx context.Context) (m madeBackup, err error) {
	ctx, cancel := context.WithTimeout(ctx, makeLimit)
	defer cancel()
	begun := time.Now()
	f, err := os.CreateTemp(b.cfg.Folder, b.temporary()+"*")
	if err != nil {
		return m, fmt.Errorf("making a file for it: %w", err)
	}
	info, size, err := b.write(ctx, f)
	if err == nil {
		m = madeBackup{at: begun.UTC().Truncate(time.Second), index: info.Index, size: size}
		m.file = fmt.Sprintf("%s%s-%s-%d%s", backupPrefix, b.node, m.at.Format(backupTime), m.index, backupSuffix)
		err = os.Rename(f.Name(), filepath.Join(b.cfg.Folder, m.file))
	}
	if err != nil {
		return m, errors.Join(err, os.Remove(f.Name()))
	}
	if err := syncFolder(b.cfg.Folder); err != nil {
		return m, err
	}
	b.log.Info("a backup was made", "file", m.file, "index", m.index, "bytes", size, "took_ms", time.Since(begun).Milliseconds())
	b.mu.Lock()
	b.failed = nil
	b.mu.Unlock()
	if err := b.look(); err != nil {
		return m, err
	}
	b.prune()
	return m, nil
}

// errNotCurrent: no leader has confirmed that a backup would hold all there is.
var errNotCurrent = errors.New("no leader answers, so it could lack the latest")

// write writes a backup to a file and reads it back from there.
func (b *backups) write(ctx context.Context, f *os.File) (info raftstore.Backup, size int64, err error) {
	info, err = b.store.Backup(ctx, f, nil)
	if err == nil && !info.Current {
		err = errNotCurrent
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		size, err = f.Seek(0, io.SeekEnd)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil {
		_, err = raftstore.BackupReader{}.Check(f)
	}
	return info, size, errors.Join(err, f.Close())
}

func (b *backups) temporary() string { return ".sitegate-backup-" + b.node + "-" }

// clearAway removes what a crash has left half written.
func (b *backups) clearAway() {
	entries, _ := os.ReadDir(b.cfg.Folder) // look tells of a folder that cannot be read
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), b.temporary()) {
			continue
		}
		file := filepath.Join(b.cfg.Folder, e.Name())
		if err := os.Remove(file); err != nil {
			b.log.Warn("a half written backup could not be removed", "file", file, "err", err)
		}
	}
}

// look reads which backups of this node there are, newest first.
func (b *backups) look() error {
	entries, err := os.ReadDir(b.cfg.Folder)
	if err != nil {
		return fmt.Errorf("looking into the folder for backups: %w", err)
	}
	var made []madeBackup
	for _, e := range entries {
		m, ok := b.parse(e.Name())
		if info, err := e.Info(); ok && err == nil && info.Mode().IsRegular() {
			m.size = info.Size()
			made = append(made, m)
		}
	}
	slices.SortFunc(made, func(a, c madeBackup) int { return cmp.Or(c.at.Compare(a.at), cmp.Compare(c.index, a.index)) })
	b.mu.Lock()
	b.made = made
	b.mu.Unlock()
	if n := b.newest(); !n.at.IsZero() {
		b.last.Set(float64(n.at.Unix()))
		b.size.Set(float64(n.size))
	}
	return nil
}

// parse reads the name of one of this node's files; others' are left alone.
func (b *backups) parse(name string) (m madeBackup, ok bool) {
	rest, ok := strings.CutPrefix(name, backupPrefix+b.node+"-")
	rest, is := strings.CutSuffix(rest, backupSuffix)
	stamp, number, cut := strings.Cut(rest, "-")
	if !ok || !is || !cut {
		return m, false
	}
	at, err := time.Parse(backupTime, stamp)
	if err != nil {
		return m, false
	}
	index, err := strconv.ParseUint(number, 10, 64)
	return madeBackup{file: name, at: at, index: index}, err == nil
}

// prune removes the oldest of this node's files beyond those that are kept.
func (b *backups) prune() {
	b.mu.Lock()
	keep := min(len(b.made), b.cfg.Keep)
	old := b.made[keep:]
	b.made = b.made[:keep:keep]
	b.mu.Unlock()
	for _, m := range old {
		if err := os.Remove(filepath.Join(b.cfg.Folder, m.file)); err != nil {
			b.log.Warn("an old backup could not be removed", "file", m.file, "err", err)
			continue
		}
		b.log.Info("an old backup was removed", "file", m.file)
	}
}

// newest is the last good one. Those of the future, made before the clock was set back,
// say nothing about now.
func (b *backups) newest() (m madeBackup) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.made {
		if time.Until(m.at) < time.Minute {
			return m
		}
	}
	return m
}

// untilDue is how long the next one has time.
func (b *backups) untilDue() time.Duration {
	n := b.newest()
	if n.at.IsZero() {
		return 0
	}
	return b.cfg.Every - time.Since(n.at)
}

// late reports whether the last good one is older than twice the time between two; a
// node that has none yet has that long from its start.
func (b *backups) late() bool {
	since := b.newest().at
	b.mu.Lock()
	defer b.mu.Unlock()
	if since.IsZero() {
		since = b.since
	}
	return time.Since(since) > 2*b.cfg.Every
}

func (b *backups) problem() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

func (b *backups) fail(err error) {
	b.failures.Inc()
	b.log.Warn("a backup could not be made; it is tried again", "folder", b.cfg.Folder, "err", err)
	b.mu.Lock()
	b.failed = err
	b.mu.Unlock()
}

// status is what an operator sees of it.
func (b *backups) status() *api.BackupStatus {
	n, late := b.newest(), b.late()
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &api.BackupStatus{Folder: b.cfg.Folder, EveryMS: b.cfg.Every.Milliseconds(), Kept: len(b.made), Last: n.at, Index: n.index, Bytes: n.size, Overdue: late}
	if b.failed != nil {
		s.Problem = b.failed.Error()
	}
	return s
}
