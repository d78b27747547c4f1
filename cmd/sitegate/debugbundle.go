package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sitegate/api"
	"sitegate/doctor"
	"sitegate/endpoint"
	"sitegate/gateway"
	"sitegate/raftstore"
)

// A debug bundle is what somebody needs who looks into a node from afar: a tar.gz of texts.
// Each part has its own bound in bytes and time, so that a node of which something hangs
// still gives the rest; what could not be made says why in contents.txt.

// debugging makes debug bundles of one node.
type debugging struct {
	setting func() setting // what it goes by
	node    *debugNode     // nil: it does not run, and there is what is in its data folder
	busy    sync.Mutex     // one at a time
}

// debugNode is what of a running node goes into its bundles.
type debugNode struct {
	log      *recentLog
	store    *raftstore.Store
	gw       *gateway.Gateway
	members  func() []api.ClusterMember
	registry *prometheus.Registry
}

// debugPart is one file of a bundle.
type debugPart struct {
	name string
	what string
	most int           // bytes; what is beyond is cut off
	time time.Duration // to make it in
	make func(ctx context.Context) ([]byte, error)
}

const (
	partTime   = 15 * time.Second
	doctorTime = 75 * time.Second
	bundleTime = 3 * time.Minute

	partMost       = 4 << 20
	alertsMost     = 100
	goroutinesMost = 5_000  // that are listed one by one
	alertsLook     = 50_000 // events that are looked through for alerts
	filesMost      = 5_000  // of the data folder, that are listed
	contentsTxt    = "contents.txt"
)

// write writes a bundle, and returns its list of contents. examine: the doctor goes along
// the way out, which takes a minute at most.
func (d *debugging) write(ctx context.Context, w io.Writer, examine bool) (contents string, err error) {
	ctx, cancel := context.WithTimeout(ctx, bundleTime)
	defer cancel()
	s := d.setting()
	var about doctor.Config
	var clean doctor.Redactor
	var names *veil // nil: not known
	text := func(s string) (string, error) {
		if names == nil {
			return "", errors.New("the names that it may have in it could not be read from the state, so it was left out")
		}
		return names.text(s), nil
	}
	indented := func(v any) ([]byte, error) { return json.MarshalIndent(v, "", "  ") }
	now := time.Now().UTC()

	var parts []debugPart
	add := func(name, what string, f func(ctx context.Context) ([]byte, error)) {
		parts = append(parts, debugPart{name, what, partMost, partTime, f})
	}
	if d.node != nil { // first of all: it waits for nothing
		add("goroutines.txt", "what each goroutine of the node does", func(context.Context) ([]byte, error) { return goroutineText() })
		add("heap.pprof", "what its memory is used for; for go tool pprof", func(context.Context) ([]byte, error) { return profile("heap", 0) })
	}
	add("version.txt", "the program, the system, and what it was built of", func(context.Context) ([]byte, error) { return buildText(), nil })
	add("settings.txt", "every setting and where it is from; no secrets, accounts or paths", func(ctx context.Context) ([]byte, error) {
		return clean.Settings(), nil
	})
	add("disk.txt", "the files of the data folder with their sizes, and the room on the disk", func(ctx context.Context) ([]byte, error) {
		return folderText(ctx, s.DataDir)
	})
	if n := d.node; n != nil {
		add("status.json", "what the node says of itself: link, cluster, counts, usage, disk", func(context.Context) ([]byte, error) {
			if about.Status == nil {
				return nil, fmt.Errorf("the node does not answer: %w", about.Silent)
			}
			return indented(clean.Status())
		})
		add("members.json", "the nodes of the cluster, as this one sees them", func(context.Context) ([]byte, error) { return indented(n.members()) })
		add("raft.json", "term, indexes, the log on disk, and the configuration in it", func(context.Context) ([]byte, error) {
			st, err := n.store.Status()
			if err != nil {
				return nil, err
			}
			return indented(st)
		})
		add("metrics.txt", "all metrics at this moment", func(context.Context) ([]byte, error) {
			if names == nil {
				_, err := text("")
				return nil, err
			}
			return metricsText(n.registry, names), nil
		})
		add("alerts.json", "alerts that last, and the last hundred of the journal", func(ctx context.Context) ([]byte, error) {
			list, err := n.alerts(ctx, text)
			if err != nil {
				return nil, err
			}
			return indented(list)
		})
		add("log.txt", fmt.Sprintf("the last %d lines of the log, people and machines by pseudonyms", recentMost), func(ctx context.Context) ([]byte, error) {
			if names == nil {
				_, err := text("")
				return nil, err
			}
			return n.log.shown(ctx, names)
		})
	}
	if examine {
		add("doctor.txt", "the doctor's table: which hop of the way out is to blame", func(ctx context.Context) ([]byte, error) {
			if d.node != nil && names == nil {
				_, err := text("")
				return nil, err
			}
			var b bytes.Buffer
			r := doctor.Run(ctx, about)
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			err := clean.Report(r).Text(&b)
			if names != nil {
				return []byte(names.known(b.String())), err
			}
			return b.Bytes(), err
		})
		parts[len(parts)-1].time = doctorTime
	}

	// What the others need to know first. A node that hangs tells none of it.
	made := make([]partMade, len(parts))
	begin := 0
	if d.node != nil {
		made[0], begin = within(ctx, parts[0]), 1
	}
	about = doctor.Config{Version: buildVersion(), File: s.file, Settings: s.Config, Origins: s.from, Way: wayOut(s.Config, slog.New(slog.DiscardHandler))}
	var asked doctor.Config
	first := func(f func(ctx context.Context) error) error {
		return within(ctx, debugPart{time: partTime, make: func(ctx context.Context) ([]byte, error) { return nil, f(ctx) }}).err
	}
	if about.Silent = first(func(ctx context.Context) error { asked = s.doctor(ctx); return nil }); about.Silent == nil {
		about = asked
	}
	clean = doctor.NewRedactor(about)
	if n := d.node; n != nil {
		v := newVeil(clean)
		if first(func(ctx context.Context) error { n.stays(v, s, clean.Settings()); return v.learn(ctx, n.store.View) }) == nil {
			names = v
		}
	}
	for i := begin; i < len(parts); i++ {
		made[i] = within(ctx, parts[i])
	}
	for i, m := range made {
		switch {
		case m.err == nil:
		case names != nil:
			made[i].err = errors.New(names.text(m.err.Error()))
		default:
			made[i].err = errors.New(clean.Text(m.err.Error()))
		}
	}
	return writeTar(w, now, s.Node, d.node != nil, parts, made)
}

// partMade is what became of a part.
type partMade struct {
	data []byte
	cut  bool
	err  error
}

// within makes a part in its time. One that takes longer is left to itself.
func within(ctx context.Context, p debugPart) partMade {
	ctx, cancel := context.WithTimeout(ctx, p.time)
	defer cancel()
	got := make(chan partMade, 1)
	go func() {
		data, err := p.make(ctx)
		got <- partMade{data: data, err: err}
	}()
	select {
	case m := <-got:
		if p.most > 0 && len(m.data) > p.most {
			m.data, m.cut = m.data[:p.most], true
		}
		return m
	case <-ctx.Done():
		return partMade{err: fmt.Errorf("it was not made within %v", p.time)}
	}
}

func writeTar(w io.Writer, at time.Time, node string, runs bool, parts []debugPart, made []partMade) (string, error) {
	var list strings.Builder
	fmt.Fprintf(&list, "Debug bundle of node %s, %s, sitegate %s.\n", node, at.Format(time.RFC3339), buildVersion())
	if !runs {
		list.WriteString("The node does not run, or does not answer: this is what can be known without it. Its log is left out:\nwhich words of it are names is known from the state only.\n")
	}
	list.WriteString("People, machines and their addresses go by pseudonyms that are good within this bundle only. Read it all the same before you send it.\n\n")
	t := tabwriter.NewWriter(&list, 0, 0, 2, ' ', 0)
	for i, p := range parts {
		size := fmt.Sprintf("%d bytes", len(made[i].data))
		switch {
		case made[i].err != nil:
			size = "missing"
		case made[i].cut:
			size += ", cut off"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", p.name, size, p.what)
		if err := made[i].err; err != nil {
			fmt.Fprintf(t, "\t\t  missing: %s\n", shown(err.Error()))
		}
	}
	_ = t.Flush() // into memory
	z := gzip.NewWriter(w)
	out := tar.NewWriter(z)
	file := func(name string, data []byte) error {
		if err := out.WriteHeader(&tar.Header{Name: "sitegate-debug/" + name, Mode: 0o600, Size: int64(len(data)), ModTime: at, Format: tar.FormatPAX}); err != nil {
			return err
		}
		_, err := out.Write(data)
		return err
	}
	err := file(contentsTxt, []byte(list.String()))
	for i, p := range parts {
		if err == nil && made[i].err == nil {
			err = file(p.name, made[i].data)
		}
	}
	if err = errors.Join(err, out.Close(), z.Close()); err != nil {
		return "", fmt.Errorf("writing the debug bundle: %w", err)
	}
	return list.String(), nil
}

// asked is what a bundle needs of the door that it is asked for at.
type asked interface {
	Note(ctx context.Context, what string) error
	Examine(ctx context.Context) (over func(), err error)
	Refuse(w http.ResponseWriter, err error)
}

// bundleAgain is when to ask anew who finds that a bundle is being made.
const bundleAgain = time.Minute

// give answers a request for a bundle.
func (d *debugging) give(at asked, log *slog.Logger) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b, err := d.bundle(r.Context(), at, r.URL.Query().Get("doctor") != "no")
		if err != nil {
			at.Refuse(w, err)
			return
		}
		log.Info("a debug bundle was made", "bytes", b.Len())
		control := http.NewResponseController(w)
		_ = control.SetWriteDeadline(time.Now().Add(patience)) // what has none is not kept waiting
		w.Header().Set("Content-Type", "application/gzip")
		w.Write(b.Bytes())
	}
}

// bundle makes a bundle for somebody who asks, one at a time.
func (d *debugging) bundle(ctx context.Context, at asked, examine bool) (*bytes.Buffer, error) {
	if !d.busy.TryLock() {
		return nil, endpoint.TooMany("a debug bundle is being made already", bundleAgain)
	}
	defer d.busy.Unlock()
	if examine {
		over, err := at.Examine(ctx)
		if err != nil {
			return nil, err
		}
		defer over()
	}
	if err := at.Note(ctx, "debug-bundle-made"); err != nil {
		return nil, err
	}
	var b bytes.Buffer // small enough, and an error can still be told
	if _, err := d.write(ctx, &b, examine); err != nil {
		return nil, fmt.Errorf("making a debug bundle: %w", err)
	}
	return &b, nil
}
