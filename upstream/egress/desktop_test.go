package egress

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"strconv"
	"strings"
	"testing"
)

// codes are those that error.go has.
func codes(t *testing.T) []Code {
	t.Helper()
	f, err := parser.ParseFile(gotoken.NewFileSet(), "error.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var list []Code
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := v.Type.(*ast.Ident); !ok || kind.Name != "Code" {
			return true
		}
		value, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, Code(value))
		return true
	})
	if len(list) < 20 {
		t.Fatalf("found only %d codes: %v", len(list), list)
	}
	return list
}

// Every code has a sentence for the person at the desktop, who is told whom to ask and no name that is not theirs to know.
func TestEveryCodeIsSaidToDesktops(t *testing.T) {
	other := (&Error{Code: "another"}).ForDesktop("a.test:443")
	for _, code := range codes(t) {
		e := &Error{Code: code, Message: `The proxy p1.corp:8080 rejected user CORP\svc-lic.`, Action: "Ask p1's team."}
		said := e.ForDesktop("a.test:443")
		if said == other || !strings.Contains(said, "sk IT") {
			t.Errorf("%s: %q, want a sentence of its own that says to ask IT for something", code, said)
		}
		if strings.Contains(said, "p1") || strings.Contains(said, "svc-lic") {
			t.Errorf("%s: %q names what is for the log", code, said)
		}
	}
}
