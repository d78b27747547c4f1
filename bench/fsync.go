package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"sitegate/load"
)

// fsyncs appends 4 KiB to a file and fsyncs it, again and again: what everybody who
// promises that nothing is lost has to do.
func fsyncs(ctx context.Context, d time.Duration) (load.Line, error) {
	f, err := os.CreateTemp("", "bench-fsync-")
	if err != nil {
		return load.Line{}, fmt.Errorf("making a file: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 4096)
	l := load.Load{Callers: 1, Time: d, Call: func(context.Context, int) (time.Time, error) {
		if _, err := f.Write(block); err != nil {
			return time.Time{}, err
		}
		return time.Time{}, f.Sync()
	}}.Run(ctx).Line("append of 4 KiB and fsync")
	return l, counted(l)
}
