package client

import (
	"crypto/x509"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sitegate/api"
)

// TestWhatIsTranslatedIsSaid: every sentence that the client says is there in every
// language, with the same facts in it, and nothing else is.
func TestWhatIsTranslatedIsSaid(t *testing.T) {
	said := map[string]bool{}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if fun, ok := call.Fun.(*ast.SelectorExpr); !ok || fun.Sel.Name != "say" {
				return true
			}
			if l, ok := call.Args[0].(*ast.BasicLit); ok {
				text, err := strconv.Unquote(l.Value)
				if err != nil {
					t.Fatal(err)
				}
				said[text] = true
			} else {
				t.Errorf("%s says what is no sentence, and cannot be looked up", f.Name())
			}
			return true
		})
	}
	if len(said) < 40 {
		t.Fatalf("found %d sentences, which cannot be all", len(said))
	}
	fact := regexp.MustCompile(`\{[a-z]+\}`)
	for _, w := range []lang{"fr", "de"} {
		for english := range said {
			there, ok := words[w][english]
			if !ok {
				t.Errorf("%s has no %q", w, english)
			}
			if got, want := fact.FindAllString(there, -1), fact.FindAllString(english, -1); !slices.Equal(got, want) {
				t.Errorf("%s: %q is filled in with %v, want %v", w, there, got, want)
			}
		}
		for english := range words[w] {
			if !said[english] {
				t.Errorf("%s: nothing says %q", w, english)
			}
		}
	}
}

func TestTheClientSpeaksTheUsersLanguage(t *testing.T) {
	for tag, want := range map[string]string{
		"": "The license gateway of this site cannot be reached.", "en-GB": "The license gateway of this site cannot be reached.",
		"nl": "The license gateway of this site cannot be reached.",
		"fr": "La passerelle de licences de ce site est injoignable.", "fr-CA": "La passerelle de licences de ce site est injoignable.",
		"de_AT": "Das Lizenz-Gateway dieses Standorts ist nicht zu erreichen.", "DE": "Das Lizenz-Gateway dieses Standorts ist nicht zu erreichen.",
	} {
		if got := langOf(tag).unreachable("", nil).Detail; got != want {
			t.Errorf("%q: %q, want %q", tag, got, want)
		}
	}
	fr := langOf("fr")
	if got := fr.gapAt(api.Token{}).Text; got != "Des avis ont été manqués." {
		t.Errorf("a gap is %q", got)
	}
	for name, e := range map[string]*Error{
		"no gateway": fr.unreachable("", nil), "another name": fr.unreachable("", x509.HostnameError{Certificate: &x509.Certificate{}}),
		"waits no more": fr.waitEnded(), "lease": fr.leaseLost(), "not signed in": fr.notSignedIn(errors.New("x")),
	} {
		for _, s := range append(e.Next, e.Title, e.Detail) {
			if _, english := words["fr"][s]; english || s == "" {
				t.Errorf("%s says %q, want French", name, s)
			}
		}
	}
}

// TestWhySaysWhatByWhomAndWhere: there is a sentence for every reason of the contract, in
// every language, and one for reasons that a later gateway may have.
func TestWhySaysWhatByWhomAndWhere(t *testing.T) {
	for _, c := range []struct {
		lang lang
		api.Ending
		want string
	}{
		{"en", api.Ending{Reason: "released", By: "Ada Admin", Note: "needed in the yard"}, "This session was ended by Ada Admin. They say: needed in the yard"},
		{"en", api.Ending{Reason: "released"}, "This session was ended by an administrator."},
		{"fr", api.Ending{Reason: "conflict", Machine: "HOME-1"}, "Votre licence est active sur « HOME-1 »."},
		{"de", api.Ending{Reason: "takeover", Machine: "WS-202"}, "Sie haben Ihre Lizenz auf „WS-202“ verlangt."},
		{"de", api.Ending{Reason: "blocked", By: "Ada Admin"}, "Der Zugang zu den Lizenzen dieses Standorts wurde von Ada Admin gesperrt."},
	} {
		if got := c.lang.why(&c.Ending); got != c.want {
			t.Errorf("%s, %s: %q, want %q", c.lang, c.Reason, got, c.want)
		}
	}
	const reasons = `Ending:[\s\S]*?reason: \{type: string, enum: \[([^\]]*)\]`
	listed := regexp.MustCompile(reasons).FindSubmatch(api.OpenAPI())
	if listed == nil {
		t.Fatal("openapi.yaml has no reasons of an Ending")
	}
	other := lang("en").why(&api.Ending{Reason: "of-tomorrow"})
	for _, reason := range strings.Split(string(listed[1]), ", ") {
		if got := lang("en").why(&api.Ending{Reason: reason}); got == other {
			t.Errorf("%s has no sentence of its own", reason)
		}
	}
}

// Who has lost a license is told to start again where that can work, and else whom to ask, or
// what to close.
func TestWhatToDoAboutASessionThatIsOver(t *testing.T) {
	for _, x := range []struct {
		lang   lang
		ending api.Ending
		want   []string
	}{
		{"en", api.Ending{Reason: "released"}, []string{"Save your work and start again."}},
		{"en", api.Ending{Reason: "takeover", Machine: "WS-202"}, []string{"Save your work and start again."}},
		{"en", api.Ending{Reason: "blocked"}, []string{"Save your work.", "Ask your license administrator."}},
		{"fr", api.Ending{Reason: "unassigned"}, []string{"Enregistrez votre travail.", "Adressez-vous à l’administrateur de vos licences."}},
		{"de", api.Ending{Reason: "license-ended"}, []string{"Speichern Sie Ihre Arbeit.", "Wenden Sie sich an Ihre Lizenzadministration."}},
		{"en", api.Ending{Reason: "not-covered"}, []string{"Save your work.", "Ask your license administrator."}},
		{"en", api.Ending{Reason: "conflict", Machine: "HOME-1"}, []string{"Save your work.", `Close the application on "HOME-1", then start again here.`}},
		{"fr", api.Ending{Reason: "conflict"}, []string{"Enregistrez votre travail.", "Fermez l’application sur l’autre poste, puis redémarrez-la ici."}},
		{"de", api.Ending{Reason: "checkout-over"}, []string{"Speichern Sie Ihre Arbeit.", "Schließen Sie die Anwendung auf dem anderen Rechner und starten Sie sie dann hier neu."}},
	} {
		over := x.lang.refusedBeat("n1", api.BeatResult{Reason: string(ErrAlreadyEnded), Ending: &x.ending})
		if !slices.Equal(over.Next, x.want) {
			t.Errorf("%s, %s: got %q, want %q", x.lang, x.ending.Reason, over.Next, x.want)
		}
		asked := &Error{Problem: api.Problem{Next: []string{"What the gateway says to any session that is over."}}} // by a request
		if asked.ended(x.lang, &x.ending); !slices.Equal(asked.Next, x.want) {
			t.Errorf("%s, %s, asked: got %q, want %q", x.lang, x.ending.Reason, asked.Next, x.want)
		}
	}
}
