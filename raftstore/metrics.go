package raftstore

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is what a store counts.
type metrics struct {
	entries, commands, expired, leads, stalled prometheus.Counter
	terms, leaders                             prometheus.Counter
	without                                    prometheus.CounterFunc
	commit, apply, fsync, batch                prometheus.Histogram
	index, onDisk, seq, lag                    prometheus.Gauge
	diskFree, diskSize, diskState, backlog     prometheus.Gauge
	leases                                     prometheus.GaugeFunc
	forwarded                                  *prometheus.CounterVec
}

// newMetrics makes them; leases is how many are counted, without for how many seconds
// no leader was known.
func newMetrics(leases, without func() float64) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "sitegate", Subsystem: "store", Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "sitegate", Subsystem: "store", Name: name, Help: help})
	}
	seconds := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "sitegate", Subsystem: "store", Name: name, Help: help,
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16)})
	}
	return &metrics{
		entries:  counter("entries_total", "Log entries this node has proposed."),
		commands: counter("commands_total", "Commands this node has proposed, in entries."),
		expired:  counter("expired_total", "Sessions this node has expired while it led."),
		leads:    counter("leaderships_total", "How often this node has become the leader."),
		terms:    counter("terms_total", "Terms that have begun since this node started: each is an election, won or not."),
		leaders:  counter("leader_changes_total", "How often another node leads than before, by this node's word."),
		without: prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "sitegate", Subsystem: "store", Name: "without_leader_seconds_total",
			Help: "Time in which this node knew of no leader, in seconds."}, without),
		stalled: counter("disk_stalls_total", "Writes to disk that took longer than a leader may wait for one."),
		commit:  seconds("commit_seconds", "From proposing an entry to its outcome, in seconds."),
		apply:   seconds("apply_seconds", "Applying one entry, in seconds."),
		fsync:   seconds("log_fsync_seconds", "Appending entries to the log on disk, in seconds."),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "sitegate", Subsystem: "store", Name: "batch_commands",
			Help: "Commands per proposed entry.", Buckets: prometheus.ExponentialBuckets(1, 2, 11)}),
		index:     gauge("applied_index", "Index of the last entry that was applied."),
		onDisk:    gauge("state_index", "Index at which the state on disk is."),
		seq:       gauge("journal_seq", "Seq of the last event on disk."),
		lag:       gauge("state_lag_entries", "Entries that were applied and are not in the state on disk yet."),
		diskFree:  gauge("disk_free_bytes", "Room in the data folder, without the ballast."),
		diskSize:  gauge("disk_size_bytes", "Size of the data folder's file system."),
		diskState: gauge("disk_state", "0: there is room, 1: less than a tenth is free, 2: nothing new is granted."),
		backlog:   gauge("usage_backlog_bytes", "What the journal keeps because its usage is not with the cloud yet, before compression."),
		leases: prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "sitegate", Subsystem: "store", Name: "leases",
			Help: "Sessions whose lease this node counts; zero where it does not lead."}, leases),
		forwarded: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "sitegate", Subsystem: "store", Name: "forwarded_total",
			Help: "Requests forwarded to the leader, by result."}, []string{"result"}),
	}
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{m.entries, m.commands, m.expired, m.leads, m.terms, m.leaders, m.without, m.stalled, m.commit, m.apply, m.fsync, m.batch,
		m.index, m.onDisk, m.seq, m.lag, m.diskFree, m.diskSize, m.diskState, m.backlog, m.leases, m.forwarded} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("registering the store's metrics: %w", err)
		}
	}
	return nil
}

func (m *metrics) committed(commands int, took time.Duration) {
	m.entries.Inc()
	m.commands.Add(float64(commands))
	m.batch.Observe(float64(commands))
	m.commit.Observe(took.Seconds())
}

func (m *metrics) applied(index uint64, commands int, took time.Duration) {
	m.index.Set(float64(index))
	if commands > 0 {
		m.apply.Observe(took.Seconds())
	}
}

func (m *metrics) flushed(s sealed, applied uint64) {
	m.onDisk.Set(float64(s.pos.Index))
	m.seq.Set(float64(s.head.Seq))
	m.lag.Set(float64(applied - min(applied, s.pos.Index)))
}
