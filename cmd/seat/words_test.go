package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestWhatIsTranslatedIsSaid: every sentence of the table is one that the program says, and
// what it says while people work (sayf, textf) is there; every language has all of them, and
// what is filled in stands in the same order.
func TestWhatIsTranslatedIsSaid(t *testing.T) {
	said, spoken := map[string]bool{}, map[string]bool{}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") || f.Name() == "words.go" {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if f, ok := call.Fun.(*ast.SelectorExpr); ok && (f.Sel.Name == "sayf" || f.Sel.Name == "textf") {
					if l, ok := call.Args[0].(*ast.BasicLit); ok {
						if text, err := strconv.Unquote(l.Value); err == nil && strings.Contains(text, " ") {
							spoken[text] = true
						}
					}
				}
			}
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				if text, err := strconv.Unquote(l.Value); err == nil {
					said[text] = true
				}
			}
			return true
		})
	}
	if len(spoken) < 15 {
		t.Fatalf("found %d sentences that are said, which cannot be all", len(spoken))
	}
	for english := range spoken {
		if _, ok := words["fr"][english]; !ok {
			t.Errorf("%q is said in English only", english)
		}
	}
	verb := regexp.MustCompile(`%[a-z]`)
	for english := range words["fr"] {
		if !said[english] {
			t.Errorf("nothing says %q", english)
		}
	}
	for lang, all := range words {
		if len(all) != len(words["fr"]) {
			t.Errorf("%s has %d sentences, want %d as fr", lang, len(all), len(words["fr"]))
		}
		for english, there := range all {
			if _, ok := words["fr"][english]; !ok {
				t.Errorf("%s alone has %q", lang, english)
			}
			if got, want := verb.FindAllString(there, -1), verb.FindAllString(english, -1); !slices.Equal(got, want) {
				t.Errorf("%s: %q fills in %v, want %v", lang, there, got, want)
			}
		}
	}
}

func TestUsersAreSpokenToInTheirLanguage(t *testing.T) {
	r := newRig(t)
	r.env["LANG"] = "de_DE.UTF-8"
	there := r.startOn("WS-101")
	b := r.background("wait", "--product", cad)
	r.waits()
	if err := there.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.await("Frei und für diesen Rechner noch")
	b.end(0)
	r.expect(r.seat("let-go", "--lang", "fr"), 0, "Rien n’est ouvert sur ce poste.")
	r.expect(r.seat("logout", "--lang", "de", "--config", r.file("none.yaml", "")), 0, "Abgemeldet; was Sie auf diesem Rechner laufen hatten, ist beendet.")
	r.file("token", "ann-token")
	b = r.background("watch", "--lang", "fr")
	b.await("à l’écoute pour " + ann)
	b.cancel()
	b.end(0)
}
