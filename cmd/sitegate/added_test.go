package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/endpoint"
	"sitegate/gateway"
	"sitegate/license"
	"sitegate/notice"
	"sitegate/raftstore"
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

// endpointOf is the API of a node, for what is added to it.
func endpointOf(t *testing.T, gw *gateway.Gateway) *endpoint.Endpoint {
	t.Helper()
	ep, err := endpoint.New(endpoint.Config{Gateway: gw, Hub: notice.New(0, 0), Logger: slog.New(slog.DiscardHandler), KeysDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return ep
}

// What is added refuses as the rest of the API does: a code that stays what it is, in the caller's
// language, with what to do next, under the request's id.
func TestWhatIsAddedRefusesAsTheRestOfTheAPI(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	s := newSealed(t)
	ep := endpointOf(t, s.gw)
	s.door.refuse = ep.Refuse
	full := errors.New("the disk is full")
	folder := t.TempDir()
	scheduled, err := newBackups(failing{full}, "node1", configs.Backup{Folder: folder, Every: time.Hour, Keep: 1}, quiet, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	under, err := newBackups(failing{full}, "node1", configs.Backup{Folder: folder, Every: time.Hour, Keep: 1}, quiet, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	under.one.Lock()
	wrong := &reloading{again: func() (setting, error) { return setting{}, errors.New("node: is missing") }, log: quiet}
	addRoutes(ep.Administer, nodeRoutes{debug: http.NotFoundHandler(), takeBackup: giveBackup(failing{full}, ep.Refuse, quiet),
		makeBackup: backUpNow(nil, ep.Refuse, quiet), reload: wrong.onDemand(ep.Refuse)}, s.door)
	for path, h := range map[string]http.Handler{"/v1/now": backUpNow(scheduled, ep.Refuse, quiet), "/v1/under": backUpNow(under, ep.Refuse, quiet)} {
		ep.Administer("POST "+path, license.Admin, license.ClusterScope, h)
	}
	for _, x := range []struct {
		method, path, body string
		status             int
		code               string
		words              []string // of the detail and what to do next, in German
	}{
		{"GET", api.PathBackup, "", 503, "no-backup", []string{"keine Sicherung", "the disk is full", "sitegate status"}},
		{"POST", "/v1/now", "", 503, "no-backup", []string{"the disk is full", "sitegate status"}},
		{"POST", api.PathBackup, "", 409, "no-backup", []string{"keinen Ordner", "backup.folder"}},
		{"POST", "/v1/under", "", 409, "no-backup", []string{"schon eine Sicherung", "sitegate status"}},
		{"POST", api.PathReload, "", 422, "wrong-configuration", []string{"Knoten bleibt", "node: is missing", "sitegate check"}},
		{"GET", pathExports + "/x/manifest", "", 409, "usage", []string{"Nutzungsdaten", "is a number", "Berichtigen"}},
		{"POST", pathReceipts, "{", 409, "usage", []string{"Nutzungsdaten", "sitegate usage audit"}},
	} {
		r := httptest.NewRequestWithContext(t.Context(), x.method, x.path, strings.NewReader(x.body))
		r.Header.Set("Accept-Language", "de")
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		ep.Operator().ServeHTTP(w, r)
		var p api.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			t.Errorf("%s %s: %d %s", x.method, x.path, w.Code, w.Body)
			continue
		}
		if w.Code != x.status || p.Status != x.status || p.Code != x.code || p.Type != api.ProblemBase+x.code || p.RequestID == "" || p.RequestID != w.Header().Get("X-Request-Id") ||
			w.Header().Get("Content-Type") != api.ProblemType || w.Header().Get("Content-Language") != "de" || len(p.Next) == 0 {
			t.Errorf("%s %s: %d %v %+v; want %d %s, in German, with what to do next", x.method, x.path, w.Code, w.Header(), p, x.status, x.code)
		}
		for _, word := range x.words {
			if said := p.Detail + " " + strings.Join(p.Next, " "); !strings.Contains(said, word) {
				t.Errorf("%s %s says %q, without %q", x.method, x.path, said, word)
			}
		}
	}
}

// failing is a store that no backup can be made of.
type failing struct{ err error }

func (f failing) Backup(context.Context, io.Writer, func(raftstore.Backup)) (raftstore.Backup, error) {
	return raftstore.Backup{}, f.err
}
