package endpoint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"sitegate/api"
	"sitegate/license"
	"sitegate/notice"
	"sitegate/phrase"
)

// contract is asyncapi.yaml, by the types of its frames.
type contract struct {
	server map[string]*jsonschema.Schema // what a node may send, by type
	client map[string]*jsonschema.Schema
	poll   *jsonschema.Schema
}

// contracts reads the document once for all tests.
var contracts = sync.OnceValues(readContract)

func readContract() (*contract, error) {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	var doc struct {
		AsyncAPI   string `yaml:"asyncapi"`
		Operations map[string]struct {
			Action   string              `yaml:"action"`
			Messages []map[string]string `yaml:"messages"`
			Channel  map[string]string   `yaml:"channel"`
			Rest     map[string]any      `yaml:",inline"`
		} `yaml:"operations"`
		Components struct {
			Messages map[string]struct {
				Payload  map[string]string `yaml:"payload"`
				Examples []struct {
					Payload any `yaml:"payload"`
				} `yaml:"examples"`
			} `yaml:"messages"`
		} `yaml:"components"`
	}
	if err := yaml.Unmarshal(api.AsyncAPI(), &doc); err != nil {
		return nil, err
	}
	if doc.AsyncAPI != "3.1.0" {
		return nil, fmt.Errorf("an AsyncAPI %q document; want 3.1.0", doc.AsyncAPI)
	}
	for name, text := range map[string][]byte{"asyncapi.yaml": api.AsyncAPI(), "openapi.yaml": api.OpenAPI()} {
		v, err := asJSON(text)
		if err != nil {
			return nil, err
		}
		if err := c.AddResource(contractBase+name, v); err != nil {
			return nil, err
		}
	}
	out := &contract{server: map[string]*jsonschema.Schema{}, client: map[string]*jsonschema.Schema{}}
	for _, op := range doc.Operations {
		into := map[string]map[string]*jsonschema.Schema{"send": out.server, "receive": out.client}[op.Action]
		for _, m := range op.Messages {
			name := m["$ref"][len("#/channels/notices/messages/"):]
			ref := doc.Components.Messages[name].Payload["$ref"]
			s, err := c.Compile(contractBase + "asyncapi.yaml" + ref)
			if err != nil {
				return nil, err
			}
			into[name] = s
			for i, example := range doc.Components.Messages[name].Examples {
				b, err := json.Marshal(example.Payload)
				if err != nil {
					return nil, err
				}
				if err := check(s, b); err != nil {
					return nil, fmt.Errorf("example %d of %s: %w", i, name, err)
				}
			}
		}
	}
	var err error
	out.poll, err = c.Compile(contractBase + "openapi.yaml#/components/schemas/Poll")
	return out, err
}

const contractBase = "https://contract.invalid/"

// asJSON is a YAML document as the JSON it stands for.
func asJSON(text []byte) (any, error) {
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(b))
}

func check(s *jsonschema.Schema, frame []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(frame))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

// sent is nil for a frame that a node may send by its contract.
func (c *contract) sent(frame []byte) error {
	var f struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(frame, &f); err != nil {
		return err
	}
	s := c.server[f.Type]
	if s == nil {
		return fmt.Errorf("a node does not send frames of the type %q", f.Type)
	}
	return check(s, frame)
}

// wantSent holds a frame against the contract.
func wantSent(t testing.TB, frame []byte) {
	t.Helper()
	c, err := contracts()
	if err != nil {
		t.Fatalf("asyncapi.yaml: %v", err)
	}
	if err := c.sent(frame); err != nil {
		t.Errorf("the frame %s is not the contract's: %v", frame, err)
	}
}

// Every type of frame is in the contract, on the side that sends it.
func TestTheContractKnowsEveryFrame(t *testing.T) {
	c, err := contracts()
	if err != nil {
		t.Fatal(err)
	}
	for side, types := range map[string][]string{
		"server": {api.FrameHello, api.FrameState, api.FrameNotice, api.FrameSite, api.FrameNodes, api.FrameLease, api.FrameAuthed, api.FrameReconnect},
		"client": {api.FrameBeat, api.FrameAuth},
	} {
		have := c.server
		if side == "client" {
			have = c.client
		}
		for _, f := range types {
			if have[f] == nil {
				t.Errorf("the %s's frame %s is not in the contract", side, f)
			}
		}
		if len(have) != len(types) {
			t.Errorf("the contract has %d frames of the %s; want %d", len(have), side, len(types))
		}
	}
}

// A frame that says more or less than the contract is found out.
func TestTheContractFindsWhatIsNotIts(t *testing.T) {
	c, err := contracts()
	if err != nil {
		t.Fatal(err)
	}
	for _, frame := range []string{`{"type":"greeting"}`, `{"type":"nodes"}`, `{"type":"nodes","nodes":["https://x"],"more":1}`,
		`{"type":"notice","notice":{"epoch":1,"seq":2,"at":"2026-03-02T09:00:00Z","kind":"hearsay","text":"","mine":false}}`,
		`{"type":"notice","notice":{"epoch":1,"seq":2,"at":"noon","kind":"link-up","text":"","mine":false}}`} {
		if err := c.sent([]byte(frame)); err == nil {
			t.Errorf("the contract takes %s", frame)
		}
	}
}

// Every kind of notice, in every language, is as the contract has it and has a sentence.
func TestEveryNoticeIsTheContracts(t *testing.T) {
	r := newRig(t, filled(t))
	at := license.TimeOf(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	for _, kind := range notice.Kinds() {
		for _, lang := range phrase.Langs() {
			n := &notice.Notice{Epoch: 1, Seq: 7, At: at, Kind: kind, User: "ada", ID: must(license.ParseID(newUUID(t))), Product: "road", License: "l-1",
				Machine: license.Machine{ID: "m-1", Name: "WS-1"}, By: "ida", Note: "now", From: at, Until: at.Add(time.Minute), About: "ada", Provisional: true,
				Counts: license.ReminderCounts{Unassigned: 2}}
			w := r.e.word(n, lang, true)
			if w.Text == "" {
				t.Errorf("%s has no sentence in %v", kind, lang)
			}
			if w.LeftMS == nil || *w.LeftMS != 60_000 {
				t.Errorf("%s leaves %v ms; want 60000", kind, w.LeftMS)
			}
			b, err := json.Marshal(api.Frame{Type: api.FrameNotice, Notice: w})
			if err != nil {
				t.Fatal(err)
			}
			wantSent(t, b)
		}
	}
}

func TestTheContractsAreServed(t *testing.T) {
	r := newRig(t, filled(t))
	for path, want := range map[string][]byte{"/openapi.yaml": api.OpenAPI(), "/asyncapi.yaml": api.AsyncAPI()} {
		if a := r.want(t, http.StatusOK, "", "GET", path, nil); !bytes.Equal(a.raw, want) {
			t.Errorf("%s is not the document", path)
		}
	}
}
