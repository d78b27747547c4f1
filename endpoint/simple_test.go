package endpoint

import (
	"encoding/json"
	"testing"

	"sitegate/api"
)

// What clients send is seen at a glance.
func TestOrdinaryBodiesAreSimple(t *testing.T) {
	for _, v := range []any{
		api.StartRequest{ID: "0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e6f", Product: "1000", Machine: api.Machine{ID: "m", Name: "WS-1"}, Fences: true},
		api.MachineRequest{Machine: api.Machine{ID: "m", Name: "Bär"}},
		api.WaitRequest{ID: "x"}, struct{}{},
	} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		indented, err := json.MarshalIndent(v, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		if !simple(b) || !simple(indented) {
			t.Errorf("%s is not simple", b)
		}
	}
	for _, odd := range []string{``, `[]`, `{"a":1`, `{"a":1}x`, `{"a":1}{}`, `{"a":1,"a":2}`, `{"A":1}`, `{"a":[1]}`, `{"a":"\\""}`, `{"a":{"b":{"c":{}}}}`, `{a:1}`, `{"a" 1}`, `{"a":}`, `{"a":1,}`,
		`{"a":{"b":1,"b":2}}`} {
		if simple([]byte(odd)) {
			t.Errorf("%s is simple", odd)
		}
	}
}

// FuzzSimple: what is simple is not refused by strict, unless the decoder refuses
// it, too.
func FuzzSimple(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1,"b":{"c":"d","e":null}}`, ` { "a" : true } `, `{"a":1,"a":2}`, `{"a":01}`, `{"a":"\x01"}`, `{"a":-}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !simple(b) {
			return
		}
		var into any
		if strict(b) != nil && json.Unmarshal(b, &into) == nil {
			t.Errorf("%q is simple, and strict refuses it: %v", b, strict(b))
		}
	})
}
