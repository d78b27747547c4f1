package doctor

import (
	"archive/zip"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"sitegate/api"
	"sitegate/configs"
)

// nodeStatus is what of a node's status is in a bundle: how things are, and nobody's name.
type nodeStatus struct {
	Version   string             `json:"version"`
	Time      time.Time          `json:"time"`
	TimeHeld  bool               `json:"time_held"`
	Link      api.LinkState      `json:"link"`
	Cluster   api.ClusterStatus  `json:"cluster"`
	Filled    bool               `json:"mirror_filled"`
	Read      time.Time          `json:"mirror_read,omitzero"`
	Counts    api.Counts         `json:"counts"`
	Usage     api.UsageStatus    `json:"usage"`
	Autonomy  api.AutonomyStatus `json:"autonomy"`
	Disk      *api.DiskStatus    `json:"disk,omitempty"`
	Connected int                `json:"connected"`
	Egress    []api.EgressStatus `json:"egress"`
}

// WriteBundle writes a ZIP file that can be sent to somebody: the report, the configuration, the node's status and the versions, without secrets,
// names of accounts and people, and paths. A file that is there is not overwritten; one that could not be completed is taken away.
func WriteBundle(file string, c Config, r Report) (err error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("making the bundle: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(fmt.Errorf("writing the bundle: %w", err), os.Remove(file))
		}
	}()
	return bundle(f, c, r)
}

func bundle(w io.Writer, c Config, r Report) error {
	clean := redactorOf(c)
	r = clean.report(r)
	var text bytes.Buffer
	if err := r.Text(&text); err != nil {
		return err
	}
	reportJSON, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	statusJSON := []byte("null")
	if s := c.Status; s != nil {
		statusJSON, err = json.MarshalIndent(clean.status(*s), "", "  ")
		if err != nil {
			return err
		}
	}
	z := zip.NewWriter(w)
	for _, f := range []struct {
		name string
		data []byte
	}{
		{"report.txt", text.Bytes()}, {"report.json", reportJSON}, {"config.txt", clean.settings(c)}, {"status.json", statusJSON},
		{"version.txt", fmt.Appendf(nil, "sitegate %s\n%s %s/%s\n", c.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)},
	} {
		part, err := z.CreateHeader(&zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: r.At})
		if err != nil {
			return err
		}
		if _, err := part.Write(f.data); err != nil {
			return err
		}
	}
	return z.Close()
}

// settings are all settings with where they are from; what names an account or a place on this machine only says that it is set.
func (cl *redactor) settings(c Config) []byte {
	var b bytes.Buffer
	for _, s := range c.Settings.Settings(c.Origins) {
		fmt.Fprintf(&b, "%s: %s (%s)\n", s.Key, cmp.Or(cl.value(s.Key, s.Value), "-"), cmp.Or(s.Origin.Kind, configs.ByDefault))
	}
	return b.Bytes()
}

// status is what may be known of a status.
func (cl *redactor) status(s api.Status) nodeStatus {
	out := nodeStatus{Version: s.Version, Time: s.Time, TimeHeld: s.TimeHeld, Link: s.Link, Cluster: s.Cluster, Filled: s.Mirror.Filled, Read: s.Mirror.Read,
		Counts: s.Counts, Usage: s.Usage, Autonomy: s.Autonomy, Disk: s.Disk, Connected: s.Connected}
	for _, e := range s.Egress {
		e.Address, e.Problem = cl.text(e.Address), cl.text(cut(e.Problem))
		out.Egress = append(out.Egress, e)
	}
	return out
}

// report is a report that may be sent away.
func (cl *redactor) report(r Report) Report {
	r.Config = "(file)"
	checks := make([]Check, len(r.Checks))
	for i, c := range r.Checks {
		c.Of, c.Found, c.Action = cl.text(c.Of), cl.text(cut(c.Found)), cl.text(c.Action)
		checks[i] = c
	}
	r.Checks = checks
	openings := make([]Opening, len(r.Firewall))
	for i, o := range r.Firewall {
		o.Source, o.Destination, o.Purpose = cl.text(o.Source), cl.text(o.Destination), cl.text(o.Purpose)
		openings[i] = o
	}
	r.Firewall = openings
	return r
}

// cut takes out what a proxy has written in its refusal's page, which may name who asked.
func cut(s string) string {
	if before, _, ok := strings.Cut(s, ": '"); ok {
		return before + "."
	}
	return s
}
