package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// showVersion prints which seat this is.
func showVersion(_ context.Context, s *seat, _ *options, args []string) error {
	if len(args) > 0 {
		return usagef("version takes no arguments")
	}
	_, err := fmt.Fprintf(s.stdout, "seat %s\n%s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// version is that of the module, or the revision it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	if v != "(devel)" {
		return cmp.Or(v, "unknown")
	}
	for _, b := range info.Settings {
		if b.Key == "vcs.revision" {
			return "devel-" + b.Value[:min(len(b.Value), 12)]
		}
	}
	return "devel"
}
