package main

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// guides are the texts that show commands, by their path.
func guides(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	root := filepath.Join("..", "..")
	add := func(path string) {
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		all[path] = string(text)
	}
	for _, file := range []string{"README.md", "SECURITY.md", "CHANGELOG.md", "ARCHITECTURE.md"} {
		add(file)
	}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			path, err = filepath.Rel(root, path)
			add(path)
		}
		return err
	})
	if err != nil || len(all) < 20 {
		t.Fatalf("%d guides, %v", len(all), err)
	}
	return all
}

// Every command that a guide shows is one that there is, with the flags that it has.
func TestGuidesShowCommandsThatThereAre(t *testing.T) {
	all := stops(t.Context())
	find := func(name string) *stop {
		if i := slices.IndexFunc(all, func(s stop) bool { return s.name == name }); i >= 0 {
			return &all[i]
		}
		return nil
	}
	called := regexp.MustCompile(`(?m)(?:^|[\x60( ]|\./|/bin/|cmd/)sitegate((?: +[a-z][a-z-]*)*)((?: +[^\x60\n|;&)]*)?)`)
	word := regexp.MustCompile(`^[a-z][a-z-]+$`)
	flag := regexp.MustCompile(`(?:^|[ \[])--([a-z][a-z-]*)`)
	seen := 0
	for path, text := range guides(t) {
		for _, code := range codeOf(text) {
			for _, m := range called.FindAllStringSubmatch(code, -1) {
				at, words := &all[0], strings.Fields(m[1])
				if len(words) == 0 || !strings.HasPrefix(code, "sitegate") && find(words[0]) == nil {
					continue // "a later version of sitegate on it"
				}
				for _, w := range words {
					next := find(strings.TrimSpace(at.name + " " + w))
					if next == nil {
						if at.table != nil && word.MatchString(w) && !at.lists && w != "help" {
							t.Errorf("%s: %q: sitegate %s has no command %s", path, strings.TrimSpace(m[0]), at.name, w)
						}
						break
					}
					at = next
				}
				seen++
				fs := at.flags
				if at.lists {
					fs = find(at.name + " list").flags
				}
				if fs == nil {
					continue
				}
				for _, g := range flag.FindAllStringSubmatch(m[2], -1) {
					if fs.Lookup(g[1]) == nil && g[1] != "help" && !strings.Contains(at.help, "--"+g[1]+" ") { // restore accept has flags that restore has not
						t.Errorf("%s: %q: sitegate %s has no flag --%s", path, strings.TrimSpace(m[0]), at.name, g[1])
					}
				}
			}
		}
	}
	if seen < 100 {
		t.Errorf("%d commands found in the guides: this test does not look right", seen)
	}
}

// codeOf is what a text shows as code: blocks between fences or set in by four spaces, with
// lines that go on joined and without a prompt, and words within a line.
func codeOf(text string) (code []string) {
	lines := func(block string) {
		for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", " ")) {
			line = strings.TrimSpace(line)
			for _, prompt := range []string{"$ ", "# "} {
				line = strings.TrimPrefix(line, prompt)
			}
			code = append(code, strings.TrimSpace(line))
		}
	}
	for i, part := range strings.Split(text, "```") {
		if i%2 == 1 {
			lines(part)
			continue
		}
		var set, prose strings.Builder
		for line := range strings.Lines(part) {
			if strings.HasPrefix(line, "    ") {
				set.WriteString(line)
			} else {
				prose.WriteString(line)
			}
		}
		lines(set.String())
		for j, inline := range strings.Split(prose.String(), "`") {
			if j%2 == 1 {
				code = append(code, strings.Join(strings.Fields(inline), " "))
			}
		}
	}
	return code
}

// Whatever way a text shows a command in, it is looked at.
func TestCodeIsFoundHoweverItIsShown(t *testing.T) {
	const text = "Say `sitegate\nstatus --json`, or\n\n    sitegate check --config x   # set in\n    $ sitegate audit \\\n      list\n\n```\n$ sitegate doctor\n# sitegate serve\n```\n"
	got := slices.DeleteFunc(codeOf(text), func(s string) bool { return s == "" })
	for i := range got {
		got[i] = strings.Join(strings.Fields(got[i]), " ")
	}
	want := []string{"sitegate check --config x # set in", "sitegate audit list", "sitegate status --json", "sitegate doctor", "sitegate serve"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Every link of a guide leads to a file that is there, and to a heading that it has.
func TestGuidesLinksLeadSomewhere(t *testing.T) {
	all := guides(t)
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	seen := 0
	for path, text := range all {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, heading, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			seen++
			to := path
			if target != "" {
				to = filepath.Join(filepath.Dir(path), target)
			}
			info, err := os.Stat(filepath.Join("..", "..", to))
			if err != nil {
				t.Errorf("%s: %s leads to nothing", path, m[1])
				continue
			}
			if heading != "" && !info.IsDir() && !slices.Contains(headings(all[to]), heading) {
				t.Errorf("%s: %s: there is no such heading; there are %v", path, m[1], headings(all[to]))
			}
		}
	}
	if seen < 40 {
		t.Errorf("%d links found in the guides: this test does not look right", seen)
	}
}

// Every picture is in a guide, and none is large.
func TestGuidesShowTheirPictures(t *testing.T) {
	all := strings.Join(slices.Collect(maps.Values(guides(t))), "")
	pictures, err := os.ReadDir(filepath.Join("..", "..", "docs", "operator", "images"))
	if err != nil || len(pictures) == 0 {
		t.Fatalf("there are no pictures: %v", err)
	}
	for _, x := range pictures {
		if info, err := x.Info(); err != nil || info.Size() > 100<<10 {
			t.Errorf("%s: %v, or more than 100 KB", x.Name(), err)
		}
		if !strings.Contains(all, "](images/"+x.Name()+")") {
			t.Errorf("no guide shows %s", x.Name())
		}
	}
}

// headings are the anchors of a text, as its readers make them.
func headings(text string) (all []string) {
	for line := range strings.Lines(text) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			anchor := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
			anchor = strings.ReplaceAll(anchor, " ", "-")
			all = append(all, anchor)
		}
	}
	return all
}
