// Command plot draws how the cost of a command grows, from runs of "sitegate bench
// store --json" on its standard input, as an SVG on its standard output.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"sitegate/load"
)

func main() {
	if err := plot(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

// point is the median of the runs with as many nodes and open sessions.
type point struct {
	open, cost  float64
	least, most float64
}

// series are the points of clusters of one size.
type series struct {
	nodes  float64
	points []point
}

func plot(r io.Reader, w io.Writer) error {
	all, err := read(r)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, draw(all))
	return err
}

func read(r io.Reader) ([]series, error) {
	costs := map[float64]map[float64][]float64{} // by nodes and open sessions
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		var l load.Line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		nodes, open := l.More["nodes"], l.More["open"]
		if nodes <= 0 || open < 1 || l.CPU <= 0 {
			return nil, fmt.Errorf("line %d: it is no run of bench store with --open", n)
		}
		if costs[nodes] == nil {
			costs[nodes] = map[float64][]float64{}
		}
		costs[nodes][open] = append(costs[nodes][open], l.CPU)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(costs) == 0 {
		return nil, errors.New("there are no runs on the standard input")
	}
	var all []series
	for nodes, by := range costs {
		s := series{nodes: nodes}
		for open, c := range by {
			slices.Sort(c)
			s.points = append(s.points, point{open, c[len(c)/2], c[0], c[len(c)-1]})
		}
		slices.SortFunc(s.points, func(a, b point) int { return cmp.Compare(a.open, b.open) })
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b series) int { return cmp.Compare(a.nodes, b.nodes) })
	return all, nil
}

// The size of the picture, and of the margins around the field.
const (
	width, height = 640, 360
	left, bottom  = 64, 48
	right, top    = 120, 32
)

// draw puts open sessions to the right, in powers of ten, and the processor's time for
// a command upward, from zero.
func draw(all []series) string {
	lowest, highest, most := math.Inf(1), 0.0, 0.0
	for _, s := range all {
		for _, p := range s.points {
			lowest, highest, most = min(lowest, p.open), max(highest, p.open), max(most, p.most)
		}
	}
	first, last := math.Floor(math.Log10(lowest)), math.Ceil(math.Log10(highest))
	if last == first {
		last++
	}
	step := math.Pow(10, math.Floor(math.Log10(most)))
	if most/step < 3 {
		step /= 2
	}
	upTo := math.Ceil(most/step) * step
	x := func(open float64) float64 {
		return left + (math.Log10(open)-first)/(last-first)*(width-left-right)
	}
	y := func(cost float64) float64 { return height - bottom - cost/upTo*(height-bottom-top) }

	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="%d" y="18" font-size="14">Processor time for a command, µs, all nodes and callers together</text>`+"\n", left)
	for v := 0.0; v <= upTo; v += step {
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n",
			left, width-right, y(v), y(v), left-8, y(v)+4, v)
	}
	for e := first; e <= last; e++ {
		at := x(math.Pow(10, e))
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#999"/><text x="%.1f" y="%d" text-anchor="middle">%.0f</text>`+"\n",
			at, at, height-bottom, height-bottom+5, at, height-bottom+20, math.Pow(10, e))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">open sessions</text>`+"\n", (left+width-right)/2, height-8)
	colours := []string{"#1b6ca8", "#c0392b", "#27845a", "#7d5ba6"}
	for i, s := range all {
		colour := colours[i%len(colours)]
		var path strings.Builder
		for _, p := range s.points {
			fmt.Fprintf(&path, "%.1f,%.1f ", x(p.open), y(p.cost))
			fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s" opacity="0.4" stroke-width="3"/><circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n",
				x(p.open), x(p.open), y(p.least), y(p.most), colour, x(p.open), y(p.cost), colour)
		}
		end := s.points[len(s.points)-1]
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/><text x="%.1f" y="%.1f" fill="%s">%.0f nodes</text>`+"\n",
			strings.TrimSpace(path.String()), colour, x(end.open)+10, y(end.cost)+4, colour, s.nodes)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
