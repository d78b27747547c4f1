package api_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"sitegate/api"
)

var update = flag.Bool("update", false, "add what is new in the contract to its frozen copy; what is there is never changed")

// frozen is what clients rely on of sitegate.notices.v1, as it was when it was frozen. What
// can no longer mean the same is a type of another name, or another subprotocol with a file
// of its own.
const frozen = "testdata/sitegate.notices.v1.yaml"

// TestTheNoticesOnlyGain: what is in the frozen copy is still there, alike. Programs of
// other people, and older nodes of the same cluster, go by it.
func TestTheNoticesOnlyGain(t *testing.T) {
	now := contract(t, api.AsyncAPI(), api.OpenAPI())
	text, err := os.ReadFile(frozen)
	if err != nil {
		t.Fatal(err)
	}
	var was map[string]any
	if err := yaml.Unmarshal(text, &was); err != nil {
		t.Fatal(err)
	}
	for _, broken := range breaks("", was, now) {
		t.Errorf("%s: clients rely on it as it was; give what is new another name, beside it", broken)
	}
	if t.Failed() || reflect.DeepEqual(was, now) {
		return
	}
	if !*update {
		t.Fatalf("the contract has more than %s: go test ./api -run TheNoticesOnlyGain -update keeps it", frozen)
	}
	if text, err = yaml.Marshal(now); err == nil {
		err = os.WriteFile(frozen, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// told are what says something to people alone.
var told = []string{"description", "summary", "title", "examples"}

// contract is what programs go by: channels, operations, messages, close codes and every
// schema that a message leads to, by name.
func contract(t *testing.T, async, open []byte) map[string]any {
	t.Helper()
	var a, o map[string]any
	for text, into := range map[*[]byte]*map[string]any{&async: &a, &open: &o} {
		if err := yaml.Unmarshal(*text, into); err != nil {
			t.Fatal(err)
		}
	}
	schemas := map[string]any{}
	var follow func(v any, document string)
	follow = func(v any, document string) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				file, place, _ := strings.Cut(ref, "#")
				if file == "" {
					file = document
				}
				name, is := strings.CutPrefix(place, "/components/schemas/")
				if !is {
					return
				}
				v["$ref"] = file + " " + name
				if schemas[file+" "+name] != nil {
					return
				}
				schema := at(map[string]map[string]any{"asyncapi.yaml": a, "openapi.yaml": o}[file], "components", "schemas", name)
				if schema == nil {
					t.Fatalf("%s leads nowhere", ref)
				}
				schemas[file+" "+name] = schema
				follow(schema, file)
				return
			}
			for _, inner := range v {
				follow(inner, document)
			}
		case []any:
			for _, inner := range v {
				follow(inner, document)
			}
		}
	}
	messages := at(a, "components", "messages")
	follow(messages, "asyncapi.yaml")
	codes := map[string]any{}
	about, _ := at(a, "info").(map[string]any)["description"].(string)
	for _, row := range regexp.MustCompile(`(?m)^\s*\| (\d{4}(?:, \d{4})*) \|`).FindAllStringSubmatch(about, -1) {
		for _, code := range strings.Split(row[1], ", ") {
			codes[code] = true
		}
	}
	if len(schemas) < 20 || len(codes) < 10 {
		t.Fatalf("found %d schemas and %d close codes, which cannot be all", len(schemas), len(codes))
	}
	return plain(map[string]any{"channels": a["channels"], "operations": a["operations"], "messages": messages, "schemas": schemas, "close codes": codes}, false).(map[string]any)
}

func at(v any, names ...string) any {
	for _, name := range names {
		inner, _ := v.(map[string]any)
		v = inner[name]
	}
	return v
}

// plain is a document without what is for people. A property may be called title.
func plain(v any, names bool) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, inner := range v {
			if names || !slices.Contains(told, k) {
				out[k] = plain(inner, !names && (k == "properties" || k == "messages" || k == "schemas"))
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i], false)
		}
		return out
	}
	return v
}

// breaks lists what is not as it was, beyond what was added: properties, messages,
// schemas and query parameters that may be left out, and values of an enum.
func breaks(place string, was, now any) (broken []string) {
	switch was := was.(type) {
	case map[string]any:
		now, _ := now.(map[string]any)
		for _, k := range slices.Sorted(maps.Keys(was)) {
			inner := strings.TrimPrefix(place+" "+k, " ")
			if _, there := now[k]; !there {
				broken = append(broken, inner+" is gone")
				continue
			}
			broken = append(broken, breaks(inner, was[k], now[k])...)
		}
		for _, k := range slices.Sorted(maps.Keys(now)) {
			if _, there := was[k]; !there && !named(place) {
				broken = append(broken, fmt.Sprintf("%s has %s, and had none", place, k))
			}
		}
	case []any:
		now, _ := now.([]any)
		for _, x := range was {
			if !slices.ContainsFunc(now, func(y any) bool { return reflect.DeepEqual(x, y) }) {
				broken = append(broken, fmt.Sprintf("%s has no %v any more", place, x))
			}
		}
		if strings.HasSuffix(place, " required") && len(now) > len(was) {
			broken = append(broken, fmt.Sprintf("%s are %v, and were %v: what is new may be left out", place, now, was))
		}
	default:
		if !reflect.DeepEqual(was, now) {
			broken = append(broken, fmt.Sprintf("%s is %v, and was %v", place, now, was))
		}
	}
	return broken
}

// named are the places whose words are names, to which others may be added. A word anywhere
// else asks more of what is sent than before.
func named(place string) bool {
	return place == "" || slices.ContainsFunc([]string{"properties", "messages", "schemas", "channels", "operations", "close codes"},
		func(names string) bool { return place == names || strings.HasSuffix(place, " "+names) })
}

// TestWhatBreaksClientsIsFound changes copies of the contract, each in one way.
func TestWhatBreaksClientsIsFound(t *testing.T) {
	text, err := os.ReadFile(frozen)
	if err != nil {
		t.Fatal(err)
	}
	type doc = map[string]any
	in := func(c doc, names ...string) doc {
		inner, ok := at(c, names...).(doc)
		if !ok {
			t.Fatalf("the contract has no %v", names)
		}
		return inner
	}
	notice := func(c doc) doc { return in(c, "schemas", "openapi.yaml Notice", "properties") }
	query := func(c doc) doc { return in(c, "channels", "notices", "bindings", "ws", "query") }
	add := func(c doc, k string, v any) { c[k] = append(slices.Clone(c[k].([]any)), v) }
	drop := func(c doc, k string) { c[k] = c[k].([]any)[1:] }
	for name, c := range map[string]struct {
		change func(c doc)
		want   string // none: it is an addition
	}{
		"a message":       {func(c doc) { delete(in(c, "channels", "notices", "messages"), "nodes") }, "channels notices messages nodes is gone"},
		"who may send it": {func(c doc) { drop(in(c, "operations", "tell"), "messages") }, "operations tell messages has no"},
		"a payload":       {func(c doc) { in(c, "messages", "lease", "payload")["$ref"] = "asyncapi.yaml BeatFrame" }, "$ref is asyncapi.yaml BeatFrame, and was"},
		"a type's name":   {func(c doc) { in(c, "schemas", "asyncapi.yaml HelloFrame", "properties", "type")["const"] = "welcome" }, "const is welcome, and was hello"},
		"a schema":        {func(c doc) { delete(in(c, "schemas"), "openapi.yaml Ending") }, "openapi.yaml Ending is gone"},
		"a property":      {func(c doc) { delete(notice(c), "left_ms") }, "properties left_ms is gone"},
		"a kind":          {func(c doc) { drop(in(notice(c), "kind"), "enum") }, "kind enum has no granted any more"},
		"a type":          {func(c doc) { in(notice(c), "seq")["type"] = "string" }, "seq type is string, and was integer"},
		"of what":         {func(c doc) { in(c, "schemas", "openapi.yaml Hello", "properties", "nodes", "items")["type"] = "object" }, "nodes items type is object"},
		"one more needed": {func(c doc) { add(in(c, "schemas", "openapi.yaml Beat"), "required", "machine") }, "what is new may be left out"},
		"one less":        {func(c doc) { drop(in(c, "schemas", "openapi.yaml Hello"), "required") }, "required has no"},
		"a bound":         {func(c doc) { in(notice(c), "text")["maxLength"] = 80 }, "text has maxLength, and had none"},
		"a shorter one":   {func(c doc) { in(query(c), "properties", "name")["maxLength"] = 64 }, "maxLength is 64, and was 256"},
		"a parameter":     {func(c doc) { delete(in(query(c), "properties"), "cluster") }, "properties cluster is gone"},
		"it is needed":    {func(c doc) { add(query(c), "required", "cluster") }, "what is new may be left out"},
		"a subprotocol": {func(c doc) {
			in(c, "channels", "notices", "bindings", "ws", "headers", "properties", "Sec-WebSocket-Protocol")["pattern"] = "^v2$"
		}, "pattern is ^v2$"},
		"a close code":   {func(c doc) { delete(in(c, "close codes"), "4429") }, "close codes 4429 is gone"},
		"+ a property":   {func(c doc) { notice(c)["title"] = doc{"type": "string"} }, ""},
		"+ a kind":       {func(c doc) { add(in(notice(c), "kind"), "enum", "moved") }, ""},
		"+ a parameter":  {func(c doc) { in(query(c), "properties")["depth"] = doc{"type": "integer"} }, ""},
		"+ a close code": {func(c doc) { in(c, "close codes")["4430"] = true }, ""},
		"+ a message":    {func(c doc) { in(c, "messages")["farewell"] = doc{"payload": doc{"$ref": "asyncapi.yaml HelloFrame"}} }, ""},
		"+ who may send": {func(c doc) {
			add(in(c, "operations", "tell"), "messages", doc{"$ref": "#/channels/notices/messages/farewell"})
		}, ""},
		"+ another schema": {func(c doc) { in(c, "schemas")["openapi.yaml Other"] = doc{"type": "object"} }, ""},
	} {
		var was, now doc
		for _, into := range []*doc{&was, &now} {
			if err := yaml.Unmarshal(text, into); err != nil {
				t.Fatal(err)
			}
		}
		c.change(now)
		if reflect.DeepEqual(was, now) {
			t.Errorf("%s: nothing was changed", name)
		}
		got := breaks("", was, now)
		if c.want == "" && len(got) > 0 || c.want != "" && !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, c.want) }) {
			t.Errorf("%s: found %q, want %q", name, got, c.want)
		}
	}
}
