package main

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// recentLog keeps the last lines of the log in memory, for who makes a debug bundle: as they
// were given, by key and value, so that it is known what is a name. It writes nothing.
type recentLog struct {
	*recentLines
	of     slog.Handler // the log proper: what that leaves out is left out here
	group  string       // with its dot; empty: none
	before []said       // of each line
}

// recentLines are what all handlers of one log keep together.
type recentLines struct {
	mu    sync.Mutex
	lines []recentLine // a ring: next is the oldest, once it is full
	next  int
}

// recentLine is a line of the log.
type recentLine struct {
	at    time.Time
	level slog.Level
	text  string
	said  []said
}

// said is what a line says by a key.
type said struct{ key, value string }

const (
	recentMost  = 4000 // lines
	recentValue = 2048 // bytes of a value: the rest is cut off
)

func newRecentLog(of slog.Handler) *recentLog {
	return &recentLog{recentLines: &recentLines{}, of: of}
}

func (r *recentLog) Enabled(ctx context.Context, l slog.Level) bool { return r.of.Enabled(ctx, l) }

func (r *recentLog) Handle(_ context.Context, rec slog.Record) error {
	line := recentLine{rec.Time, rec.Level, rec.Message, append([]said(nil), r.before...)}
	rec.Attrs(func(a slog.Attr) bool {
		line.said = saidBy(line.said, r.group, a)
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) < recentMost {
		r.lines = append(r.lines, line)
		return nil
	}
	r.lines[r.next] = line
	r.next = (r.next + 1) % recentMost
	return nil
}

func saidBy(list []said, group string, a slog.Attr) []said {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, b := range v.Group() {
			list = saidBy(list, group, b)
		}
		return list
	}
	text := v.String()
	if len(text) > recentValue {
		text = text[:recentValue] + "…"
	}
	return append(list, said{group + a.Key, text})
}

func (r *recentLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *r
	with.before = append([]said(nil), r.before...)
	for _, a := range attrs {
		with.before = saidBy(with.before, r.group, a)
	}
	return &with
}

func (r *recentLog) WithGroup(name string) slog.Handler {
	with := *r
	with.group += name + "."
	return &with
}

// all are the lines, the oldest first.
func (r *recentLines) all() []recentLine {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]recentLine, 0, len(r.lines))
	return append(append(list, r.lines[r.next:]...), r.lines[:r.next]...)
}
