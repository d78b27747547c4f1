package license_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sitegate/license"
)

var rewrite = flag.Bool("rewrite", false, "write what the rules answer into the stories of testdata/rules")

// TestRules tells the stories of testdata/rules and compares what the rules
// answer with what the story says. A story is a list of blocks: lines of
// commands in plain words, a line "----", what comes of them, an empty line.
// Lines that begin with # are the story's own words. story.command
// lists the words.
func TestRules(t *testing.T) {
	paths, err := filepath.Glob("testdata/rules/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no stories in testdata/rules (%v)", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			told, err := tell(string(want))
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if *rewrite {
				if err := os.WriteFile(path, []byte(told), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if line, got, want := firstDifference(told, string(want)); line != 0 {
				t.Errorf("%s:%d: got\n\t%s\nwant\n\t%s\n(after a change of the rules that is meant: go test ./license -run TestRules -rewrite)",
					path, line, got, want)
			}
		})
	}
}

// tell runs a story and returns it with the answers it really gets.
func tell(text string) (string, error) {
	var out bytes.Buffer
	s := newStory()
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := 0; i < len(lines); {
		if line := lines[i]; strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			fmt.Fprintln(&out, line)
			i++
			continue
		}
		var answers []string
		for ; i < len(lines) && lines[i] != "----"; i++ {
			line := lines[i]
			fmt.Fprintln(&out, line)
			if strings.TrimSpace(line) == "" {
				return "", fmt.Errorf("line %d: commands without a line ---- behind them", i+1)
			}
			if strings.HasPrefix(line, "#") {
				continue
			}
			answer, err := s.run(line)
			if err != nil {
				return "", fmt.Errorf("line %d: %q: %w", i+1, line, err)
			}
			answers = append(answers, answer...)
		}
		if i == len(lines) {
			return "", fmt.Errorf("line %d: the last commands have no line ---- behind them", i)
		}
		for i++; i < len(lines) && strings.TrimSpace(lines[i]) != ""; i++ {
			continue // the old answer
		}
		fmt.Fprintln(&out, "----")
		for _, a := range answers {
			fmt.Fprintln(&out, a)
		}
	}
	return out.String(), nil
}

func firstDifference(got, want string) (line int, g, w string) {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(a), len(b)) {
		g, w = "(end)", "(end)"
		if i < len(a) {
			g = a[i]
		}
		if i < len(b) {
			w = b[i]
		}
		if g != w {
			return i + 1, g, w
		}
	}
	return 0, "", ""
}

// story is a site whose diary is being told.
type story struct {
	state *license.State
	now   license.Time
	page  int             // mirror pages sent so far
	usage []license.Usage // not shown yet
	made  []license.Usage // all

	backup *license.State // put aside

	trail []license.Audited  // all
	seen  uint64             // the last record that was shown
	mark  *license.AuditMark // of the last export that has begun
}

func newStory() *story {
	return &story{state: license.NewState(), now: clockTime("2026-03-02 08:00")}
}

// run carries out one line and returns the lines of its answer.
func (s *story) run(line string) ([]string, error) {
	w := words{rest: splitWords(line)}
	switch first := w.next(); first {
	case "at":
		return nil, s.at(&w)
	case "after":
		d, err := duration(w.next())
		s.now = s.now.Add(d)
		return nil, err
	case "check":
		c, err := s.command(&w)
		if err != nil {
			return nil, err
		}
		if d := license.Check(s.state, s.now, c); d != nil {
			return []string{"would be " + sayDenial(d)}, nil
		}
		return []string{"nothing against it"}, nil
	case "due":
		return sayDue(license.Due(s.state, s.now)), nil
	case "tick":
		var answer []string
		for _, c := range license.Due(s.state, s.now) {
			answer = append(answer, s.apply(c)...)
		}
		return answer, nil
	case "mode":
		return s.mode(&w)
	case "shown":
		return s.shown(&w)
	case "holds":
		return sayHolds(license.CloudHolds(s.state)), nil
	case "active":
		return sayActive(s.state.Active(license.UserID(w.next()))), nil
	case "usage":
		answer := sayUsage(s.usage)
		s.usage = nil
		return answer, nil
	case "renew":
		p := w.proof()
		r := license.Renewal{Session: nameID(w.next()), User: license.UserID(w.next()), Proof: p}
		var err error
		r.Machine, err = w.machine()
		return []string{sayLease(license.Renew(s.state, s.now, r))}, err
	case "removal", "reminders", "contacts", "bars", "keys":
		return s.lookUp(first, &w), nil
	case "alerts":
		return sayAlerts(s.state), nil
	case "reports":
		return sayReports(s.state), nil
	case "nodes":
		return sayNodes(s.state), nil
	case "credentials":
		return sayCredentials(s.state, s.now), nil
	case "quarantine":
		lines := []string{fmt.Sprintf("%d not understood", s.state.QuarantinedCount())}
		for _, q := range s.state.Quarantined() {
			lines = append(lines, fmt.Sprintf("since %s: %d %q, %s", sayTime(q.Since), q.Kind, q.ID, q.Why))
		}
		return lines, nil
	case "held":
		return s.sayHeld(), nil
	case "offers":
		return sayOffers(s.state.Head().Cloud), nil
	case "outbox":
		return s.sayOutbox(), nil
	case "learned":
		var lines []string
		for _, l := range license.AllLearned(s.state) {
			lines = append(lines, sayLearned(l))
		}
		return append(lines, fmt.Sprintf("%d learned", len(lines))), nil
	case "revoked":
		var lines []string
		for _, k := range s.state.Keys() {
			if r, ok := s.state.Record(k).(*license.Revocation); ok {
				lines = append(lines, fmt.Sprintf("%s, nothing of before %s", r.User, sayTime(r.At)))
			}
		}
		return append(lines, fmt.Sprintf("%d revoked", len(lines))), nil
	case "audit":
		return s.sayAudit(), nil
	case "restart":
		return nil, s.restart()
	case "restore":
		return nil, s.restore(&w)
	default:
		w.rest = append([]string{first}, w.rest...)
		c, err := s.command(&w)
		if err != nil {
			return nil, err
		}
		if len(w.rest) > 0 {
			return nil, fmt.Errorf("do not know what %q means here", w.rest)
		}
		return s.apply(c), nil
	}
}

func (s *story) apply(c license.Command) []string {
	checked := license.Check(s.state, s.now, c)
	out, events := license.Apply(s.state, license.Entry{At: s.now, Command: c})
	s.takeAudit()
	if out.Mark != nil {
		s.mark = out.Mark
	}
	var answer []string
	switch {
	case out.Denial != nil:
		answer = append(answer, sayDenial(out.Denial))
	case out.Repeat:
		answer = append(answer, "nothing new")
	}
	if len(answer) == 1 && isDue(c) {
		answer = nil // the events tell
	}
	if checked != nil && (out.Denial == nil || out.Denial.Reason != checked.Reason) {
		answer = append(answer, fmt.Sprintf("BUT Check said %s", sayDenial(checked)))
	}
	switch c.(type) {
	case license.Wait, license.Request:
		if out.Denial == nil && out.Waiter == nil {
			answer = append(answer, "nothing stands in the way: start")
		}
	}
	counted := map[string]int{}
	for _, e := range events {
		if u, ok := license.UsageOf(e); ok {
			s.usage, s.made = append(s.usage, u), append(s.made, u)
		}
		if what := ofTheCrowd(e.Fact); what != "" {
			counted[what]++
			continue
		}
		if m, ok := e.Fact.(license.Mirrored); ok && strings.HasPrefix(m.Cursor, "page-") {
			continue // a single change, told by its own events
		}
		answer = append(answer, sayFact(e.Fact))
	}
	for _, what := range slices.Sorted(maps.Keys(counted)) {
		answer = append(answer, fmt.Sprintf("of the crowd %d %s", counted[what], what))
	}
	return answer
}

func (s *story) at(w *words) error {
	text := w.next()
	if len(w.rest) > 0 {
		text += " " + w.next()
	} else {
		text = s.now.Std().Format("2006-01-02") + " " + text
	}
	at := clockTime(text)
	if at == 0 {
		return fmt.Errorf("%q is not a time", text)
	}
	s.now = at
	return nil
}

// restart reads the state from its records, as a node does that comes back.
func (s *story) restart() error {
	fresh := license.NewState()
	from := s.state.Clone() // so that the old state's records stay its own
	for _, k := range from.Keys() {
		if err := fresh.Put(from.Record(k)); err != nil {
			return err
		}
	}
	fresh.Loaded()
	s.state = fresh
	return nil
}

func isDue(c license.Command) bool {
	switch c.(type) {
	case license.EndCheckout, license.RemindCheckout, license.EndReservation, license.RemindTerm, license.EndBypass,
		license.WarnEnding, license.Offer:
		return true
	}
	return false
}
