package endpoint

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"

	"sitegate/api"
)

// Whatever a client sends, it is refused as malformed or read as the one thing it
// says: what was read and written again reads the same.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{}`, `{"id":"x","product":"p","machine":{"id":"m","name":"n"}}`, `{"a":[{"b":{}}],"a":1}`, `{"id":"x"}{`,
		`{"ID":"x"}`, "{\"id\":\"\xff\"}", `[[[[[[[[[`, `{"machine":{"id":"a","id":"b"}}`, `{"id":"\u0000"}`, ` null `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var in api.StartRequest
		if err := unmarshal(data, &in); err != nil {
			if e, ok := err.(*trouble); !ok || e.code != api.CodeMalformed || e.detail == "" {
				t.Fatalf("refused with %v; want malformed, with a reason", err)
			}
			return
		}
		written, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var again api.StartRequest
		if err := unmarshal(written, &again); err != nil || !reflect.DeepEqual(in, again) {
			t.Fatalf("%q was read as %+v, and then as %+v, %v", data, in, again, err)
		}
	})
}

// Whatever an issuer publishes, only public keys that can be used are taken of it, each by
// its id: nothing private, nothing symmetric, nothing that has no name.
func FuzzKeys(f *testing.F) {
	for _, s := range []string{`{"keys":[]}`, `{"keys":[{"kty":"oct","k":"AAAA","kid":"a","alg":"HS256"}]}`, `{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"AA","y":"AA"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var set jose.JSONWebKeySet
		if json.Unmarshal(data, &set) != nil {
			return
		}
		keys, kept := usable(set)
		for id, k := range keys {
			if id == "" || id != k.KeyID || !k.IsPublic() || !k.Valid() {
				t.Fatalf("%q is taken for the key %q, public %t", data, id, k.IsPublic())
			}
		}
		if len(kept.Keys) != len(keys) {
			t.Fatalf("%d keys are kept, and %d used", len(kept.Keys), len(keys))
		}
	})
}

// What a page in a browser offers as subprotocols is a token or none; what a client says of
// where it was is a place or none.
func FuzzGreeting(f *testing.F) {
	f.Add("sitegate.notices.v1, "+api.BearerProtocol+"YQ", "1:2")
	f.Add(api.BearerProtocol+"YQ,"+api.BearerProtocol+"YQ", "18446744073709551616:1")
	f.Add(api.BearerProtocol, ":")
	f.Fuzz(func(t *testing.T, protocols, at string) {
		r := httptest.NewRequest("GET", api.PathNotices, nil)
		r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Protocol": {protocols}}
		if token, err := bearer(r); err == nil && token != "" && !strings.Contains(protocols, base64.RawURLEncoding.EncodeToString([]byte(token))) {
			t.Fatalf("%q is read as the token %q", protocols, token)
		}
		if place, ok := parseToken(at); ok {
			if again, ok := parseToken(fmt.Sprintf("%d:%d", place.Epoch, place.Seq)); !ok || again != place {
				t.Fatalf("%q is read as %v, and then as %v", at, place, again)
			}
		}
	})
}
