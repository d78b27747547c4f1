package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/doctor"
	"sitegate/siteca"
	"sitegate/upstream/cloudapi"
)

// The doctor's statuses, as programs that watch others know them.
const (
	exitWarn = 1 // something is to be seen to
	exitFail = 2 // something failed, or nothing could be examined
)

const doctorHelp = `
Usage: sitegate doctor [--config FILE] [--json] [--to HOST:PORT] [--hold TIME] [--bundle FILE]

Goes along the way out step by step and says which hop is to blame, and whom to
ask for what: configuration, clock, names, PAC file, each proxy (TCP, TLS, what it
asks for, each scheme), each host of the vendor's (let through, certificate,
answer, this site's token, how long an answer takes), the mail server of alerts
(TLS and a greeting: no mail is sent), and, where the node runs, what desktops come
to (certificate, websocket). Rows are PASS, WARN, FAIL or SKIP; begin with
the first FAIL. At the end is a table for the firewall team. It takes a minute at most.

It reads the configuration as "serve" would. If the node runs, what that knows is
used, too. Nothing is changed. A proxy is shown its secret once in a run, for the
first host that goes through it or for --to; a secret that the node has stopped
sending is not sent. The site's own secret is shown to the sign-in once.

--hold leaves a connection to the cloud without a word for as long, and sees whether
it is still there then: some proxies and firewalls end what is silent.

--bundle writes a ZIP file to send to support: report, configuration, status and
version, without secrets, names of accounts and people, and paths.

Exit status: 0 all is well, 1 something is to be seen to (WARN), 2 something failed,
or the doctor could not run.

Example:
  sitegate doctor --config /etc/sitegate/sitegate.yaml
  sitegate doctor --to sign-in.example.com:443
  sitegate doctor --hold 60s
  sitegate doctor --bundle /tmp/sitegate-doctor.zip
`

// What has been told already, row by row.
var (
	errWarned = errors.New("something is to be seen to: see the rows with WARN")
	errUnwell = errors.New("something failed: see the rows with FAIL")
)

// maxHold is how long the doctor may be silent: twice what a cloud may hold a question open.
const maxHold = 2 * cloudapi.MaxWait

func runDoctor(ctx context.Context, p *program, args []string) error {
	r, err := p.examine(ctx, args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return err
	case err != nil:
		return &exitError{exitFail, err}
	case r.Failed():
		return &exitError{exitFail, errUnwell}
	case r.Warned():
		return &exitError{exitWarn, errWarned}
	}
	return nil
}

// examine runs the doctor and writes what it says. The error is for what keeps it from that.
func (p *program) examine(ctx context.Context, args []string) (r doctor.Report, err error) {
	f := p.flags("doctor", doctorHelp)
	p.configFlags(f)
	asJSON := f.Bool("json", false, "print it as JSON")
	to := f.String("to", "", "host:port of the destination that proxies are shown their secret for; the default is the cloud")
	hold := f.Duration("hold", 0, "for how long a connection to the cloud is left silent, at most 2m; 0 does not try")
	file := f.String("bundle", "", "write a ZIP file to send to support; it must not be there yet")
	if err := p.parseNone(f, args); err != nil {
		return r, err
	}
	if *hold < 0 || *hold > maxHold {
		return r, usagef("--hold is 0 to %s, not %s", maxHold, *hold)
	}
	c, origins, err := p.load(f)
	if err != nil {
		return r, err
	}
	d := doctor.Config{Version: buildVersion(), Settings: c, Origins: origins, Way: wayOut(c, slog.New(slog.DiscardHandler)), To: *to, Hold: *hold}
	d.File, _ = f.GetString("config")
	if known := doctor.Destinations(c); *to != "" && !slices.Contains(known, *to) {
		return r, fmt.Errorf("--to is one of the configuration's destinations, %v, not %q", known, *to)
	}
	var s api.Status
	if d.Silent = operator(ctx, c, http.MethodGet, api.PathStatus, nil, &s); d.Silent == nil {
		d.Status, d.Reach, d.SiteCA = &s, reachSite, siteCAOf(c)
	}
	if r = doctor.Run(ctx, d); ctx.Err() != nil {
		return r, ctx.Err()
	}
	if err := p.tellReport(r, *asJSON); err != nil || *file == "" {
		return r, err
	}
	return r, doctor.WriteBundle(*file, d, r) // after what it says, which is not to be lost with it
}

func (p *program) tellReport(r doctor.Report, asJSON bool) error {
	if !asJSON {
		return r.Text(p.stdout)
	}
	return p.json(r)
}

// siteCAOf is the site's CA as the files of this node have it, the one it was given and those that have come since; nil: there are none, or others may not read them.
func siteCAOf(c configs.Config) (pem []byte) {
	files := []string{filepath.Join(c.DataDir, "cluster", siteca.CAFile), filepath.Join(c.DataDir, "ca", siteca.CAFile)}
	if c.Cluster != nil && c.Cluster.CAFile != "" {
		files = append(files, c.Cluster.CAFile)
	}
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil {
			pem = append(append(pem, b...), '\n')
		}
	}
	return pem
}
