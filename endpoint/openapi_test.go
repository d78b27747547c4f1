package endpoint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"sitegate/api"
	"sitegate/license"
	"sitegate/phrase"
)

type operation struct {
	Tags       []string         `yaml:"tags"`
	Added      bool             `yaml:"x-added"` // no line of the table: the command adds it
	Security   []map[string]any `yaml:"security"`
	Parameters []struct {
		Ref string `yaml:"$ref"`
	} `yaml:"parameters"`
	Responses map[string]any `yaml:"responses"`
}

func openapiDocument(t *testing.T) (doc struct {
	Paths      map[string]map[string]operation `yaml:"paths"`
	Components struct {
		Schemas struct {
			Ending struct {
				Properties struct {
					Reason struct {
						Enum []string `yaml:"enum"`
					} `yaml:"reason"`
				} `yaml:"properties"`
			} `yaml:"Ending"`
			Problem struct {
				Properties struct {
					Code struct {
						Enum []string `yaml:"enum"`
					} `yaml:"code"`
				} `yaml:"properties"`
			} `yaml:"Problem"`
		} `yaml:"schemas"`
	} `yaml:"components"`
}) {
	t.Helper()
	if err := yaml.Unmarshal(api.OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// The table of routes and the document say the same.
func TestTheRoutesAreTheDocuments(t *testing.T) {
	r := newRig(t, filled(t))
	doc := openapiDocument(t)
	served := map[string]bool{}
	for _, rt := range r.e.table {
		served[rt.method+" "+rt.path] = true
		op, ok := doc.Paths[rt.path][strings.ToLower(rt.method)]
		if !ok {
			t.Errorf("%s %s is not in the document", rt.method, rt.path)
			continue
		}
		if isOpen := op.Security != nil && len(op.Security) == 0; isOpen != (rt.who == anyone) {
			t.Errorf("%s %s needs no token by the document: %t", rt.method, rt.path, isOpen)
		}
		for _, role := range []license.Authority{license.Viewer, license.Operator, license.Admin} {
			if listed := slices.Contains(op.Tags, role.String()); listed != (rt.role == role) {
				t.Errorf("%s %s is for who is %s by the document: %t", rt.method, rt.path, role, listed)
			}
		}
		if (rt.role != 0) != (rt.who == byRole) {
			t.Errorf("%s %s needs the role %q", rt.method, rt.path, rt.role)
		}
		if rt.who == byRole && op.Responses["403"] == nil {
			t.Errorf("%s %s does not tell of 403", rt.method, rt.path)
		}
		if rt.who != anyone && (op.Responses["401"] == nil || op.Responses["429"] == nil) {
			t.Errorf("%s %s does not tell of 401 and 429", rt.method, rt.path)
		}
	}
	for path, ops := range doc.Paths {
		for method, op := range ops {
			if !op.Added && !served[strings.ToUpper(method)+" "+path] {
				t.Errorf("%s %s is in the document, but not served", method, path)
			}
		}
	}
}

// Every reason of the rules and every code of the API is listed, and has a status
// and sentences.
func TestEveryCodeIsListedAndHasSentences(t *testing.T) {
	var want []string
	for _, reason := range license.Reasons() {
		want = append(want, string(reason))
	}
	codes := apiCodes(t)
	want = append(want, codes...)
	got := openapiDocument(t).Components.Schemas.Problem.Properties.Code.Enum
	if !slices.Equal(got, want) {
		t.Errorf("the document lists\n %q; want\n %q", got, want)
	}
	internal, _, _ := phrase.Trouble(phrase.English, "internal")
	for _, code := range codes {
		if statuses[code] == 0 {
			t.Errorf("%s has no status", code)
		}
		if title, _, next := phrase.Trouble(phrase.English, code); title == internal && code != "internal" || len(next) == 0 {
			t.Errorf("%s has no sentences of its own", code)
		}
	}
	for _, why := range []string{tokenMissing, tokenMalformed, tokenExpired, tokenEarly, tokenIssuer, tokenAudience, tokenKey, tokenSignature, tokenUnknown, tokenOver} {
		if title, _, _ := phrase.Trouble(phrase.English, api.CodeUnauthorized+"/"+why); title == internal {
			t.Errorf("a token that is %s has no sentences", why)
		}
	}
}

// Every reason for which a session ends is listed, and has sentences.
func TestEveryEndingIsListedAndHasSentences(t *testing.T) {
	if got, want := openapiDocument(t).Components.Schemas.Ending.Properties.Reason.Enum, license.Endings(); !slices.Equal(got, want) {
		t.Errorf("the document lists\n %q; want\n %q", got, want)
	}
	plain := phrase.Notice(phrase.English, phrase.Told{Kind: api.KindEnding, Mine: true})
	for _, reason := range license.Endings() {
		if reason == license.EndReleased || reason == license.EndBlocked {
			continue // it is told as released
		}
		if got := phrase.Notice(phrase.English, phrase.Told{Kind: api.KindEnding, Reason: reason, Mine: true}); got == plain || got == "" {
			t.Errorf("%s has no sentence of its own: %q", reason, got)
		}
	}
}

// apiCodes are the values of the Code… constants, as the source has them.
func apiCodes(t *testing.T) (codes []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../api/problem.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if ok && strings.HasPrefix(v.Names[0].Name, "Code") {
			s, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, s)
		}
		return true
	})
	return codes
}
