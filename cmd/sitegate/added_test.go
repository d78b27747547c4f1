package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"sitegate/api"
	"sitegate/license"
)

// What is added to the API is for the role and the scopes that the document has it with, and none
// of it is left out there.
func TestWhatIsAddedIsForTheRoleAndScopeOfTheDocument(t *testing.T) {
	type access struct {
		role   license.Authority
		scopes license.TokenScopes
	}
	const read = license.ReadScope
	const usage = license.UsageScope
	want := map[string]access{
		"GET /v1/node/debug":                      {license.Admin, license.ClusterScope},
		"GET /v1/backup":                          {license.Admin, license.ClusterScope},
		"POST /v1/backup":                         {license.Admin, license.ClusterScope},
		"POST /v1/reload":                         {license.Admin, license.ClusterScope},
		"GET /v1/usage/exports":                   {license.Viewer, read | usage},
		"POST /v1/usage/exports":                  {license.Admin, usage},
		"GET /v1/usage/exports/{number}":          {license.Admin, usage},
		"GET /v1/usage/exports/{number}/manifest": {license.Admin, usage},
		"POST /v1/usage/receipts":                 {license.Admin, usage},
	}
	var doc struct {
		Paths map[string]map[string]struct {
			Added     bool             `yaml:"x-added"`
			Tags      []string         `yaml:"tags"`
			Security  []map[string]any `yaml:"security"`
			Responses map[string]any   `yaml:"responses"`
		} `yaml:"paths"`
	}
	if err := yaml.Unmarshal(api.OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	added := map[string]bool{}
	addRoutes(func(pattern string, needed license.Authority, oneOf license.TokenScopes, _ http.Handler) {
		added[pattern] = true
		if got := (access{needed, oneOf}); got != want[pattern] {
			t.Errorf("%s is for %v and %v; want %+v", pattern, needed, oneOf.Names(), want[pattern])
		}
		method, path, _ := strings.Cut(pattern, " ")
		op := doc.Paths[path][strings.ToLower(method)]
		if !op.Added || !slices.Equal(op.Tags, []string{needed.String()}) || len(op.Security) == 0 {
			t.Errorf("%s, which is for %v, is in the document with %+v", pattern, needed, op)
			return
		}
		documented := []string{}
		list, _ := op.Security[0]["api_token"].([]any)
		for _, x := range list {
			name, _ := x.(string)
			documented = append(documented, name)
		}
		if !slices.Equal(documented, oneOf.Names()) {
			t.Errorf("%s takes tokens for %v by the document; want %v", pattern, documented, oneOf.Names())
		}
		for _, status := range []string{"401", "403", "429"} {
			if op.Responses[status] == nil {
				t.Errorf("%s does not tell of %s", pattern, status)
			}
		}
	}, nodeRoutes{}, &usageDoor{})
	for path, ops := range doc.Paths {
		for method, op := range ops {
			if pattern := strings.ToUpper(method) + " " + path; op.Added && !added[pattern] {
				t.Errorf("%s is in the document, but not added", pattern)
			}
		}
	}
	if len(added) != len(want) {
		t.Errorf("added are %v; want those of %v", added, want)
	}
}
