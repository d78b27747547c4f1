package gateway

import (
	"encoding/json"
	"reflect"
	"testing"
)

// FuzzForwarded: what another node forwards, and what it answers, reads again as what was
// read, or is refused.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{`{}`, `{"id":"x"}`, `{"Start":{"Session":"0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e6f","User":"ada"}}`, `{"answer":{}}`, `[]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, into := range []any{&request{}, &reply{}} {
			if json.Unmarshal(b, into) != nil {
				continue
			}
			again, err := json.Marshal(into)
			if err != nil {
				continue // a time that no year has: it is not passed on
			}
			second := reflect.New(reflect.TypeOf(into).Elem()).Interface()
			if err := json.Unmarshal(again, second); err != nil {
				t.Fatalf("%s was read of %q and does not read again: %v", again, b, err)
			}
		}
	})
}
