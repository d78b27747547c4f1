package raftstore

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// raftLog makes a logger for raft and its log that ends in l. Their Info is our
// Debug: what an operator would ask for tomorrow is told by this package.
func raftLog(l *slog.Logger) hclog.Logger {
	h := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Output: io.Discard, Level: hclog.Trace})
	h.RegisterSink(sinkTo{l})
	return h
}

type sinkTo struct{ l *slog.Logger }

// Accept passes one line on.
func (s sinkTo) Accept(_ string, level hclog.Level, msg string, args ...any) {
	to := slog.LevelDebug
	switch level {
	case hclog.Warn:
		to = slog.LevelWarn
	case hclog.Error:
		to = slog.LevelError
	}
	ctx := context.Background()
	if !s.l.Enabled(ctx, to) {
		return
	}
	for i := range args {
		if f, ok := args[i].(hclog.Format); ok && len(f) > 0 {
			args[i] = fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
		}
	}
	s.l.Log(ctx, to, "raft: "+msg, args...)
}

// badgerLog makes Badger's lines ours, one level lower than they call themselves.
type badgerLog struct{ l *slog.Logger }

func (b badgerLog) Errorf(f string, args ...any)   { b.line(slog.LevelError, f, args) }
func (b badgerLog) Warningf(f string, args ...any) { b.line(slog.LevelWarn, f, args) }
func (b badgerLog) Infof(f string, args ...any)    { b.line(slog.LevelDebug, f, args) }
func (b badgerLog) Debugf(string, ...any)          {}

func (b badgerLog) line(level slog.Level, f string, args []any) {
	ctx := context.Background()
	if b.l.Enabled(ctx, level) {
		b.l.Log(ctx, level, "the state store says", "text", strings.TrimSpace(fmt.Sprintf(f, args...)))
	}
}
