package doctor

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// width is how long lines may be, so that they fit a terminal and a mail.
const width = 110

// Text writes a report for people: what to do first, each check, and what to hand to the firewall team.
func (r Report) Text(w io.Writer) error {
	p := &printer{w: w}
	running := "not running"
	if r.Running {
		running = "running"
	}
	p.line("sitegate %s, node %s (%s), configuration %s", r.Version, r.Node, running, r.Config)
	counts := map[State]int{}
	var first *Check
	for i, c := range r.Checks {
		counts[c.State]++
		if c.State == Fail && first == nil {
			first = &r.Checks[i]
		}
	}
	p.line("%d failed, %d to be seen to, %d in order, %d not tried or needed", counts[Fail], counts[Warn], counts[Pass], counts[Skip])
	p.line("")
	if first != nil {
		p.wrap("FIRST  ", first.title()+": "+first.Found)
		if first.Action != "" {
			p.wrap("    -> ", first.Action)
		}
		p.line("")
	}
	for _, c := range r.Checks {
		p.wrap(string(c.State)+"  ", c.title()+": "+c.Found)
		if c.Action != "" {
			p.wrap("   -> ", c.Action)
		}
	}
	p.line("\nFor the firewall and proxy teams:\n")
	if p.err == nil {
		p.err = r.table(w)
	}
	return p.err
}

// table writes what is to be opened.
func (r Report) table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SOURCE\tDESTINATION\tPROTOCOL\tPURPOSE")
	for _, o := range r.Firewall {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", o.Source, o.Destination, o.Protocol, o.Purpose)
	}
	return t.Flush()
}

// title is what a check is about.
func (c Check) title() string {
	t := c.Step
	if c.Of != "" {
		t += " " + c.Of
	}
	if c.Code != "" {
		t += " (" + c.Code + ")"
	}
	return t
}

// printer writes lines until one cannot be written.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// wrap writes text after a mark, with what follows indented as far.
func (p *printer) wrap(mark, text string) {
	line, indent := mark, strings.Repeat(" ", len(mark))
	used := false
	for _, word := range strings.Fields(text) {
		if used && len([]rune(line))+1+len([]rune(word)) > width {
			p.line("%s", line)
			line, used = indent, false
		}
		if used {
			line += " "
		}
		line, used = line+word, true
	}
	p.line("%s", line)
}
