package license_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sitegate/license"
)

//go:generate go test -count=1 -run TestRulesPage -rewrite .

// vendorRule is one of them. Where the rules of this package have no part in it, or
// not the whole, elsewhere says who keeps it.
type vendorRule struct{ name, seed, says, elsewhere string }

// vendorRules are the rules that the vendor's public material states, in its order:
// seed 000 is the knowledge base's article on Virtuoso licenses (KB0018605), seed
// 001 the Virtuosity FAQ.
var vendorRules = []vendorRule{
	{"R1", "000", "A license runs for one year from its purchase, assigned or not", ""},
	{"R2", "000, 001", "It is assigned to one named user, who has a valid entitlement country", ""},
	{"R3", "000, 001", "Unassigned: pooled where SELECT covers the product, else not activated", ""},
	{"R4", "000", "A Virtuoso license goes before a perpetual one", ""},
	{"R5", "000", "Capped licenses are active on one machine at a time, online or checked out", ""},
	{"R6", "000", "A capped product does not start offline without a checkout", ""},
	{"R7", "000", "A start or checkout on a second machine is refused, and names the first", ""},
	{"R8", "000, 001", "When the first machine has stopped or returned it, the second may", ""},
	{"R9", "000", "Administrators see which products are capped, and their live use",
		"the state has both, and `/v1/me` shows them to each user; a list of everybody's for administrators is not there yet"},
	{"R10", "000, 001", "Re-assignment: free for 24 h, then locked for 30 days; each begins both anew", ""},
	{"R11", "000", "A user removed while assigned leaves \"Not Found User\", which cannot be moved", ""},
	{"R12", "000, 001", "Administrators are reminded of unassigned licenses", ""},
	{"R13", "000, 001", "Use is recorded as Practitioner from client 10.00.18 on", ""},
	{"R14", "000, 001", "Checkouts are for offline use and end with the license at the latest", ""},
	{"R15", "000, 001", "No over-use charge if assigned, and signed in with the same e-mail", ""},
	{"R16", "000, 001", "Many machines, and no sharing with another user", ""},
	{"R17", "000, 001", "V8i products cannot use Virtuoso licenses", ""},
	{"R18", "001", "Trial mode is left by sending usage and refreshing the policy", ""},
	{"R19", "001", "A user of another account cannot be added until removed there", ""},
	{"R20", "001", "Sign-in fails with a wrong clock, behind a proxy, with an old client",
		"no rule reads a client's clock; `endpoint/auth.go` says when a token is early or late, `endpoint/tunnel.go` lets sign-in pages through"},
	{"R21", "001", "The user is shown the e-mail signed in and the license type", ""},
	{"R22", "000, 001", "Roles of an account; a fulfillment contact is told of new licenses", ""},
	{"R23", "001", "A user can find out who the administrators are", ""},
	{"R24", "001", "Separate e-mail ids for Practitioner and Commercial licenses", ""},
	{"R25", "001", "\"Will soon expire\" is the seven-day policy, not the license's term", ""},
	{"R26", "001", "What the CONNECTION Client needs to run",
		"the client and its installer; the site decides nothing by it"},
	{"R27", "001", "The checklist: assigned, country, newest client, the assigned e-mail", ""},
}

const rulesPage = "../docs/rules.md"

// TestRulesPage holds the page of the rules to the stories it is made of.
func TestRulesPage(t *testing.T) {
	want, err := rulesOfStories("testdata/rules")
	if err != nil {
		t.Fatal(err)
	}
	if *rewrite {
		if err := os.WriteFile(rulesPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(rulesPage)
	if err != nil {
		t.Fatal(err)
	}
	if line, got, want := firstDifference(string(got), want); line != 0 {
		t.Errorf("%s:%d: got\n\t%s\nwant\n\t%s\n(the stories say so now: go generate ./license)", rulesPage, line, got, want)
	}
}

// shown is what one story shows of one rule, or of all that it is about.
type shown struct {
	story   string
	reasons []string
}

var (
	ruleName   = regexp.MustCompile(`\bR[0-9]+\b`)
	refusedFor = regexp.MustCompile(`(?m)^(?:would be |due: )?refused: ([a-z0-9-]+)`)
)

// rulesOfStories writes the page. A story shows the rules that its words, the lines
// that begin with #, name; a reason belongs to the rules of the words above it.
func rulesOfStories(dir string) (string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return "", err
	}
	byRule, byReason := map[string][]shown{}, map[string][]string{}
	var stories strings.Builder
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		link := fmt.Sprintf("[%s](../license/testdata/rules/%s)", name, filepath.Base(path))
		var rules []string
		about := map[string][]string{} // reasons by rule
		for _, part := range parts(string(text)) {
			var reasons []string
			for _, m := range refusedFor.FindAllStringSubmatch(part.answers, -1) {
				reasons = append(reasons, m[1])
				if !slices.Contains(byReason[m[1]], link) {
					byReason[m[1]] = append(byReason[m[1]], link)
				}
			}
			for _, rule := range ruleName.FindAllString(part.words, -1) {
				about[rule] = append(about[rule], reasons...)
				if !slices.Contains(rules, rule) {
					rules = append(rules, rule)
				}
			}
		}
		for rule, reasons := range about {
			if !slices.ContainsFunc(vendorRules, func(r vendorRule) bool { return r.name == rule }) {
				return "", fmt.Errorf("%s names a rule %s, which there is not", path, rule)
			}
			byRule[rule] = append(byRule[rule], shown{link, reasons})
		}
		slices.SortFunc(rules, func(a, b string) int { return len(a)*100 + strings.Compare(a, b) - len(b)*100 })
		fmt.Fprintf(&stories, "| %s | %s | %s |\n", link, cell(parts(string(text))[0].words), orDash(strings.Join(rules, ", ")))
	}

	var b strings.Builder
	b.WriteString("# The rules, and the stories that show them\n\n" +
		"Made from `license/testdata/rules` by `go generate ./license`; `TestRules` tells each story to the rules themselves. " +
		"The numbers are those of the vendor's public material: seed 000 is its article on Virtuoso licenses (KB0018605), seed 001 the Virtuosity FAQ. " +
		"Of a rule that is kept elsewhere, or not as a whole yet, the table says so.\n\n" +
		"| rule | seed | what it says | stories | reasons of refusals |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range vendorRules {
		var links, reasons []string
		for _, s := range byRule[r.name] {
			links = append(links, s.story)
			reasons = append(reasons, s.reasons...)
		}
		slices.Sort(reasons)
		if len(links) == 0 && r.elsewhere == "" {
			return "", fmt.Errorf("%s has no story, and nothing says where it is kept", r.name)
		}
		if r.elsewhere != "" {
			links = append(links, r.elsewhere)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.name, r.seed, r.says, orDash(strings.Join(links, ", ")), orDash(code(slices.Compact(reasons))))
	}
	b.WriteString("\n## Every story\n\n| story | how it begins | rules |\n| --- | --- | --- |\n" + stories.String())
	b.WriteString("\n## Every reason\n\n| reason | stories in which it is given |\n| --- | --- |\n")
	for _, reason := range license.Reasons() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", reason, orDash(strings.Join(byReason[string(reason)], ", ")))
	}
	return b.String(), nil
}

// part is a run of a story: its words, and what comes of it up to the next words.
type part struct{ words, answers string }

func parts(text string) []part {
	var list []part
	answer, words := false, false
	for line := range strings.SplitSeq(text, "\n") {
		switch comment, is := strings.CutPrefix(line, "#"); {
		case is && !words:
			list = append(list, part{words: strings.TrimSpace(comment)})
			words, answer = true, false
		case is:
			list[len(list)-1].words += " " + strings.TrimSpace(comment)
		case len(list) == 0:
			list = append(list, part{})
			fallthrough
		default:
			words = false
			answer = line == "----" || answer && line != ""
			if answer {
				list[len(list)-1].answers += line + "\n"
			}
		}
	}
	return list
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

func code(reasons []string) string {
	if len(reasons) == 0 {
		return ""
	}
	return "`" + strings.Join(reasons, "`, `") + "`"
}

func orDash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}
