package guides

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is where this module is, and folder where the guides are.
var (
	root, _ = filepath.Abs(filepath.Join("..", ".."))
	folder  = filepath.Join(root, "docs", "operator")
)

// block is what a guide shows between fences.
type block struct {
	at   string // guide and line
	info string // what follows the fence
	text string
	// forLeader: the section that it is in speaks of the node that leads, which some commands
	// have to be given on.
	forLeader bool
}

// notRun is why it is not run; empty: it is.
func (b block) notRun() string {
	_, why, _ := strings.Cut(b.info, " not-run: ")
	return why
}

// command is one of a block, as it is written.
type command struct {
	at      string
	machine string // on which it is given
	line    string
	fails   string // the error that is shown after it; empty: none is
	// forLeader is that of its block.
	forLeader bool
}

// varies is what is another in each run of what an error shows: paths, times, who did it,
// a cluster's id, and which node has answered.
var varies = regexp.MustCompile(`\bgw\d/[\w/]+|by \w+ on \d{4}-\d\d-\d\d \d\d:\d\d UTC|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|node gw\d refuses|, on gw\d\.`)

// shownBy reports whether an output has the error that is shown, but for what varies.
func (c command) shownBy(out string) bool {
	for _, piece := range varies.Split(c.fails, -1) {
		_, after, has := strings.Cut(out, piece)
		if !has {
			return false
		}
		out = after
	}
	return true
}

var prompt = regexp.MustCompile(`^(gw\d)?[$#] (.*)`)

// commands are those of a block that is run.
func (b block) commands() (all []command) {
	kind, _, _ := strings.Cut(b.info, " ")
	if kind != "sh" && kind != "console" || b.notRun() != "" {
		return nil
	}
	goesOn := false
	for line := range strings.Lines(b.text) {
		line = strings.TrimRight(line, "\n")
		m := prompt.FindStringSubmatch(line)
		switch {
		case goesOn:
			all[len(all)-1].line += "\n" + line
		case m != nil:
			all = append(all, command{at: b.at, machine: cmp.Or(m[1], "gw1"), line: m[2], forLeader: b.forLeader})
		case kind == "sh" && line != "":
			all = append(all, command{at: b.at, machine: "gw1", line: line, forLeader: b.forLeader})
		case len(all) > 0 && strings.HasPrefix(line, "sitegate: "):
			all[len(all)-1].fails = line
		}
		goesOn = strings.HasSuffix(line, `\`)
	}
	return all
}

var fence = regexp.MustCompile("^( *)```(.*)$")

// shown finds what looks like a command outside of a block that is run.
var shown = regexp.MustCompile(`^(    +|)((gw\d)?[$#] )?(sudo |\./)?(sitegate|seat|curl|openssl|systemctl|useradd|ssh|go build) `)

// blocksOf are the blocks of a guide, and the lines outside of them that look like commands.
func blocksOf(t *testing.T, guide string) (all []block, stray []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, guide))
	if err != nil {
		t.Fatal(err)
	}
	in, indent := false, ""
	section, first := "", 0 // its text, and the first of its blocks
	ends := func() {
		for i := range all[first:] {
			all[first+i].forLeader = strings.Contains(section, "node that leads")
		}
		section, first = "", len(all)
	}
	for i, line := range strings.Split(string(text), "\n") {
		at := fmt.Sprintf("%s:%d", guide, i+1)
		if m := fence.FindStringSubmatch(line); m != nil {
			if in = !in; in {
				indent = m[1]
				all = append(all, block{at: at, info: m[2]})
			}
			continue
		}
		if in {
			b := &all[len(all)-1]
			line = strings.TrimPrefix(line, indent)
			b.text += line + "\n"
			if kind, _, _ := strings.Cut(b.info, " "); kind == "sh" || kind == "console" || strings.HasPrefix(line, " ") {
				continue
			}
		} else {
			if strings.HasPrefix(line, "#") {
				ends()
			}
			section += line + " "
			if !strings.HasPrefix(line, "    ") {
				continue
			}
		}
		if shown.MatchString(line) {
			stray = append(stray, at+": "+line)
		}
	}
	ends()
	return all, stray
}

// An error that a guide shows is found in what a command writes, with other paths, times and ids, and no other error is.
func TestErrorsAreFound(t *testing.T) {
	const (
		removed = "sitegate: opening the node's log and state in %s: node %s refuses this node: node gw3 was removed from its cluster by %s UTC (disk failed); to use the machine again"
		emptied = "sitegate: opening the node's log and state in %s: gw3 has been a member of cluster %s, and its store in %s was emptied: it does not know any more"
	)
	tells := func(format string, args ...any) string { return fmt.Sprintf(format, args...) }
	shown := []string{
		tells(removed, "gw3/data", "gw2", "root on 2026-11-21 23:16"),
		tells(emptied, "gw3/data", "7ff51347-8bd7-4858-91dc-b54f41d27b1d", "gw3/data/store"),
		"sitegate: Without gw2 the voters are gw1, gw3.",
	}
	written := []string{
		tells(removed, "/tmp/a/site/gw3/data", "gw1", "ida on 2027-01-02 03:04"),
		tells(emptied, "/tmp/a/site/gw3/data", "00000000-8bd7-4858-91dc-b54f41d27b1d", "/tmp/a/site/gw3/data/store"),
		"sitegate: Without gw2 the voters are gw1, gw3.",
	}
	for i, fails := range shown {
		for j, out := range written {
			if got := (command{fails: fails}).shownBy("before\n" + out + "\n"); got != (i == j) {
				t.Errorf("%q, where %q is shown: got %v", out, fails, got)
			}
		}
	}
}

// A block's commands are found, and what it shows of their output is not taken for one.
func TestCommandsAreFound(t *testing.T) {
	b := block{info: "console", text: "$ sitegate status\nall is well\ngw2# sitegate cluster \\\n  members\n\ngw3$ sitegate serve\nsitegate: no\n"}
	want := []command{{machine: "gw1", line: "sitegate status"}, {machine: "gw2", line: "sitegate cluster \\\n  members"}, {machine: "gw3", line: "sitegate serve", fails: "sitegate: no"}}
	if got := fmt.Sprint(b.commands()); got != fmt.Sprint(want) {
		t.Errorf("got %s, want %v", got, want)
	}
	if got := (block{info: "sh", text: "cp a \\\n  b\n\nsitegate status | grep x\n"}).commands(); len(got) != 2 || got[0].line != "cp a \\\n  b" || got[1].line != "sitegate status | grep x" {
		t.Errorf("got %v", got)
	}
	if b = (block{info: "sh not-run: it needs a printer", text: "lpr x\n"}); b.notRun() != "it needs a printer" || len(b.commands()) != 0 {
		t.Errorf("%q, %v", b.notRun(), b.commands())
	}
	for line, want := range map[string]bool{"    sitegate status": true, "      gw1$ sitegate x": true, "    $ seat run": true, "    sitegate_up - 1": false, "    rules:": false} {
		if shown.MatchString(line) != want {
			t.Errorf("%q: is it a command? got %v", line, !want)
		}
	}
}
