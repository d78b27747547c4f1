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
	lines []recentLine // in order; those before first have gone
	first int
	bytes int // of those that are kept
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
	recentMost  = 4000    // lines
	recentBytes = 3 << 20 // bytes of all lines' texts, keys and values; the oldest go first
	recentValue = 2048    // bytes of a text, or a value: the rest is cut off
)

func newRecentLog(of slog.Handler) *recentLog {
	return &recentLog{recentLines: &recentLines{}, of: of}
}

func (r *recentLog) Enabled(ctx context.Context, l slog.Level) bool { return r.of.Enabled(ctx, l) }

func (r *recentLog) Handle(_ context.Context, rec slog.Record) error {
	line := recentLine{rec.Time, rec.Level, cutText(rec.Message), append(make([]said, 0, len(r.before)+rec.NumAttrs()), r.before...)}
	rec.Attrs(func(a slog.Attr) bool {
		line.said = saidBy(line.said, r.group, a)
		return true
	})
	r.add(line)
	return nil
}

func (r *recentLines) add(line recentLine) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
	for r.bytes += line.size(); r.first < len(r.lines)-1 && (len(r.lines)-r.first > recentMost || r.bytes > recentBytes); r.first++ {
		r.bytes -= r.lines[r.first].size()
		r.lines[r.first] = recentLine{}
	}
	if r.first > recentMost { // seldom enough
		r.lines = append([]recentLine(nil), r.lines[r.first:]...)
		r.first = 0
	}
}

// lineSize is about what a line, or a value of it, takes besides its texts.
const lineSize = 64

func (l recentLine) size() int {
	n := lineSize + len(l.text)
	for _, s := range l.said {
		n += lineSize + len(s.key) + len(s.value)
	}
	return n
}

// cutText is the beginning of a long text.
func cutText(text string) string {
	if len(text) > recentValue {
		return text[:recentValue] + "…"
	}
	return text
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
	return append(list, said{group + a.Key, cutText(v.String())})
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
	return append([]recentLine(nil), r.lines[r.first:]...)
}
