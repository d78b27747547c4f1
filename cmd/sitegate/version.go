package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

const versionHelp = `
Usage: sitegate version

Shows the version of this program, the revision it was built from, and with
which Go.

Example:
  sitegate version
`

func version(_ context.Context, p *program, args []string) error {
	f := p.flags("version", versionHelp)
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "sitegate %s\n%s %s/%s\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// buildVersion is the version of this program, as in status and to the cloud.
func buildVersion() string {
	info, _ := debug.ReadBuildInfo()
	return versionOf(info)
}

func versionOf(info *debug.BuildInfo) string {
	if info == nil {
		return "unknown"
	}
	s := map[string]string{}
	for _, b := range info.Settings {
		s[b.Key] = b.Value
	}
	v := info.Main.Version
	if v == "(devel)" || v == "" { // built without a version: the revision says more
		v = "devel"
		if r := s["vcs.revision"]; r != "" {
			v = "devel-" + r[:min(len(r), 12)]
		}
		if s["vcs.modified"] == "true" {
			v += "+dirty"
		}
	}
	if at := s["vcs.time"]; at != "" {
		v += " (" + at + ")"
	}
	return cmp.Or(v, "unknown")
}
