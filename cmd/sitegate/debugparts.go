package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sitegate/license"
	"sitegate/raftstore"
)

// goroutineText is what each goroutine does. All others wait while that is written, so it
// is bounded; of many goroutines it is said how many do the same.
func goroutineText() ([]byte, error) {
	if runtime.NumGoroutine() > goroutinesMost {
		return profile("goroutine", 1)
	}
	b := make([]byte, partMost+1) // one more: it is seen that something is cut off
	return b[:runtime.Stack(b, true)], nil
}

func profile(name string, how int) ([]byte, error) {
	var b bytes.Buffer
	err := pprof.Lookup(name).WriteTo(&b, how)
	return b.Bytes(), err
}

func buildText() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "sitegate %s\n%s %s/%s, %d processors, GOMAXPROCS %d\n\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.GOMAXPROCS(0))
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if strings.HasPrefix(s.Key, "vcs") || s.Key == "CGO_ENABLED" || s.Key == "GOAMD64" || s.Key == "-race" {
				fmt.Fprintf(&b, "%s=%s\n", s.Key, s.Value)
			}
		}
		for _, m := range info.Deps {
			fmt.Fprintf(&b, "%s %s\n", m.Path, m.Version)
		}
	}
	return b.Bytes()
}

// folderText is what is in the data folder, by size, and the room that is left.
func folderText(ctx context.Context, dir string) ([]byte, error) {
	var b bytes.Buffer
	if free, total, err := raftstore.Room(dir); err == nil && total > 0 {
		fmt.Fprintf(&b, "free %d of %d bytes\n\n", free, total)
	} else {
		fmt.Fprintf(&b, "the room on the disk is not known here\n\n")
	}
	var all int64
	files := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil || e.IsDir() { // gone meanwhile, or closed to this user
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return nil
		}
		all += info.Size()
		if files++; files <= filesMost {
			fmt.Fprintf(&b, "%12d  %s  %s\n", info.Size(), info.ModTime().UTC().Format(time.RFC3339), filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&b, "\n%12d bytes in %d files\n", all, files)
	return b.Bytes(), nil
}

// hostsOf are the hosts and addresses in the value of a setting.
func hostsOf(value string) []string {
	var hosts []string
	for _, w := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(" ,={}", r) }) {
		if strings.Contains(w, "@") { // somebody's address
			continue
		}
		if u, err := url.Parse(w); err == nil && u.Host != "" {
			w = u.Host
		}
		if host, _, err := net.SplitHostPort(w); err == nil {
			hosts = append(hosts, host)
		} else if net.ParseIP(w) != nil || strings.Contains(w, ".") {
			hosts = append(hosts, w)
		}
	}
	return hosts
}

// page is an answer that is kept.
type page struct {
	header http.Header
	bytes.Buffer
}

func (p *page) Header() http.Header { return p.header }
func (p *page) WriteHeader(int)     {}

// labelValue is the value of a label, in quotes.
var labelValue = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

func metricsText(registry *prometheus.Registry, names *veil) []byte {
	p := &page{header: http.Header{}}
	r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/metrics"}, Header: http.Header{}}
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}).ServeHTTP(p, r)
	var b bytes.Buffer
	for line := range strings.Lines(p.String()) {
		if !strings.HasPrefix(line, "#") {
			line = labelValue.ReplaceAllStringFunc(line, names.label)
		}
		b.WriteString(line)
	}
	return b.Bytes()
}

// roleKeys are settings whose values are groups, or people.
var roleKeys = []string{"viewers", "operators", "admins"}

// stays has the nodes and the hosts of the configuration go by their own names. settings
// are as in the bundle, without accounts and paths, which may look like hosts.
func (n *debugNode) stays(v *veil, s setting, settings []byte) {
	v.stay(s.Node, "localhost")
	for _, m := range n.members() {
		host, _, _ := net.SplitHostPort(m.Address)
		v.stay(m.Name, host)
	}
	for line := range strings.Lines(string(settings)) {
		key, value, _ := strings.Cut(line, ": ")
		if name := key[strings.LastIndexByte(key, '.')+1:]; !slices.ContainsFunc(roleKeys, func(role string) bool { return strings.HasPrefix(name, role) }) {
			v.stay(hostsOf(value)...)
		}
	}
}

// debugAlert is an alert in a bundle.
type debugAlert struct {
	Kind    string    `json:"kind"`
	Subject string    `json:"subject,omitempty"`
	Detail  string    `json:"detail,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	Over    time.Time `json:"over,omitzero"` // zero: it lasts
	Told    []string  `json:"told,omitempty"`
}

// alerts are those that last, and then those of the journal, the latest first.
func (n *debugNode) alerts(ctx context.Context, text func(string) (string, error)) ([]debugAlert, error) {
	var all []license.Alert
	n.store.View(func(s *license.State) { all = append(all, s.Head().Alerts...) })
	_, _, err := n.gw.Recall(ctx, 0, alertsMost, alertsLook, func(e license.Event) bool {
		switch x := e.Fact.(type) {
		case license.AlertRaised:
			all = append(all, x.Alert)
		case license.AlertEnded:
			all = append(all, x.Alert)
		default:
			return false
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	list := []debugAlert{}
	for _, a := range all {
		subject, err := text(a.Subject)
		if err != nil {
			return nil, err
		}
		detail, err := text(a.Detail)
		if err != nil {
			return nil, err
		}
		list = append(list, debugAlert{a.Kind, subject, detail, a.Since.Std(), a.Over.Std(), slices.Clone(a.Told)})
	}
	return list, nil
}

// shown is the log without names; of a long one the end.
func (r *recentLines) shown(ctx context.Context, names *veil) ([]byte, error) {
	var b bytes.Buffer
	for _, l := range r.all() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s %-5s %s", l.at.UTC().Format("2006-01-02T15:04:05.000Z"), l.level, names.text(l.text))
		for _, s := range l.said {
			fmt.Fprintf(&b, " %s=%q", s.key, names.value(s.key, s.value))
		}
		b.WriteByte('\n')
	}
	if beyond := b.Len() - partMost; beyond > 0 {
		b.Next(beyond)
		_, _ = b.ReadBytes('\n') // the rest of a line
	}
	return b.Bytes(), nil
}
