package phrase

import (
	"strings"
	"testing"

	"sitegate/license"
)

// What is said without the catalog is what the catalog says.
func TestPlainSentencesAreTheCatalogs(t *testing.T) {
	many := facts{product: "Road {product} 100%", holding: "Flow", machine: "WS-1", until: 1_790_000_000_000, since: 1_780_000_000_001, from: 60_000,
		by: "it", note: "%d %[1]s", person: "Ada", about: "Ben", email: "ada@example.org", node: "gw1", proxy: "p:3128", issuer: "https://sign-in.example", value: "11/12", more: "2", admins: []string{"Ida <ida@example.org>", "Jo"}, limit: 1200}
	if names[numbers] != "limit" || len(names) != numbers+1 {
		t.Fatalf("the names are %v, want the only number last, as number %d", names, numbers)
	}
	for i := range numbers {
		if got := many.text(Langs()[0].book(), i); got == "" {
			t.Errorf("there is no text for %s", names[i])
		}
	}
	for _, lang := range Langs() {
		w := catalogued()[lang]
		counted := 0
		for id, sentence := range lang.book().sentences() {
			p, ok := w.plain[id]
			if !ok {
				if counted++; !strings.Contains(sentence, "{") {
					t.Errorf("%s %s has no facts, and is not said as it is: %q", lang, id, sentence)
				}
				continue
			}
			for _, f := range []facts{{}, many} {
				if got, want := p.say(&f, lang.book()), w.printer.Sprintf(id, f.args(lang.book())...); got != want {
					t.Errorf("%s %s: %q, want %q", lang, id, got, want)
				}
			}
		}
		if counted == 0 || len(w.plain) < 100 {
			t.Errorf("%s: %d sentences are plain, %d are not", lang, len(w.plain), counted)
		}
	}
}

func BenchmarkDenial(b *testing.B) {
	d := license.Denial{Reason: license.MachineActive, License: "l-1", Holding: "l-1", Machine: license.Machine{Name: "WS-1"}}
	n := Names{Product: "Road Designer", Administrators: []string{"Ida Nord <ida@example.org>"}}
	b.ReportAllocs()
	for b.Loop() {
		Denial(Langs()[0], d, n, "25.00.01.10")
	}
}
