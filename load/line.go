package load

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Line is one run as it is printed, and one object of --json. Times are in
// milliseconds.
type Line struct {
	Name    string  `json:"name"`
	Ops     float64 `json:"ops_per_s"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	P999    float64 `json:"p999_ms"`
	Max     float64 `json:"max_ms"`
	Errors  uint64  `json:"errors"`
	Lost    uint64  `json:"lost"` // acknowledged, and not there afterwards
	Count   uint64  `json:"count"`
	Seconds float64 `json:"seconds"`
	// Clients are connected meanwhile, and RSS is the memory of a node for each of them.
	Clients int     `json:"clients,omitempty"`
	RSS     float64 `json:"rss_kb_per_conn,omitempty"`
	// CPU is the processor time of what was measured, for each call, in
	// microseconds; Driver is that of the program that measured. Zero: not known.
	CPU    float64 `json:"cpu_us_per_op,omitempty"`
	Driver float64 `json:"driver_cpu_us_per_op,omitempty"`
	// LogEntries is by how much the log has grown meanwhile.
	LogEntries *uint64 `json:"log_entries,omitempty"`
	// More are further figures, by name.
	More map[string]float64 `json:"more,omitempty"`

	// The same of a peer in the same run, and ours divided by it.
	PeerOps float64 `json:"peer_ops_per_s,omitempty"`
	PeerP99 float64 `json:"peer_p99_ms,omitempty"`
	Ratio   float64 `json:"ratio,omitempty"`

	Said map[string]uint64 `json:"said,omitempty"` // by failed calls
}

// Line is the result under a name.
func (r *Result) Line(name string) Line {
	l := Line{Name: name, Ops: r.PerSecond(), Seconds: r.Elapsed.Seconds(), Errors: r.Failed(), Said: r.Errors()}
	l.times(&r.Times)
	return l
}

// LineOf is times that were gathered elsewhere, within elapsed, under a name.
func LineOf(name string, t *Times, elapsed time.Duration) Line {
	l := Line{Name: name, Seconds: elapsed.Seconds()}
	if elapsed > 0 {
		l.Ops = float64(t.Count()) / elapsed.Seconds()
	}
	l.times(t)
	return l
}

func (l *Line) times(t *Times) {
	l.Count = t.Count()
	l.P50, l.P99, l.P999, l.Max = MS(t.Quantile(0.5)), MS(t.Quantile(0.99)), MS(t.Quantile(0.999)), MS(t.Max())
}

// MS is a duration in milliseconds, to the microsecond.
func MS(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Print writes the line for people, or as one JSON object.
func (l Line) Print(w io.Writer, asJSON bool) error {
	if asJSON {
		b, err := json.Marshal(l)
		if err != nil {
			return fmt.Errorf("writing a result: %w", err)
		}
		_, err = fmt.Fprintf(w, "%s\n", b)
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n  %10.0f ops/s   p50 %s   p99 %s   p99.9 %s   max %s   %d calls in %.1f s\n",
		l.Name, l.Ops, ms(l.P50), ms(l.P99), ms(l.P999), ms(l.Max), l.Count, l.Seconds)
	fmt.Fprintf(&b, "  errors %d   lost %d", l.Errors, l.Lost)
	if l.CPU > 0 {
		fmt.Fprintf(&b, "   CPU %.1f µs/op", l.CPU)
	}
	if l.Driver > 0 {
		fmt.Fprintf(&b, "   (and %.1f µs/op of the driver)", l.Driver)
	}
	if l.Clients > 0 {
		fmt.Fprintf(&b, "   clients %d", l.Clients)
	}
	if l.RSS > 0 {
		fmt.Fprintf(&b, "   RSS %.1f kB/client", l.RSS)
	}
	if l.LogEntries != nil {
		fmt.Fprintf(&b, "   log entries %d", *l.LogEntries)
	}
	b.WriteByte('\n')
	if l.PeerOps > 0 {
		fmt.Fprintf(&b, "  peer %.0f ops/s   p99 %s   ratio %.2f\n", l.PeerOps, ms(l.PeerP99), l.Ratio)
	}
	for _, name := range sorted(l.More) {
		fmt.Fprintf(&b, "  %s %.3g\n", name, l.More[name])
	}
	for _, text := range sorted(l.Said) {
		fmt.Fprintf(&b, "  %d × %s\n", l.Said[text], text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// ms shows milliseconds as precisely as they mean something.
func ms(v float64) string {
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f ms", v)
	case v < 100:
		return fmt.Sprintf("%.1f ms", v)
	default:
		return fmt.Sprintf("%.0f ms", v)
	}
}

func sorted[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
