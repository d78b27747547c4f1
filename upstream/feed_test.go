package upstream

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// FuzzChanges: whatever a cloud says, what comes of it is a change that the rules
// take. One that they refused would be read again for ever.
func FuzzChanges(f *testing.F) {
	for _, seed := range []string{
		`{"changes":[{"op":"put","kind":"user","id":"u","user":{"id":"u","email":"a@b","name":"` + strings.Repeat("é", 300) + `","country":"DE","roles":["administrator","x"]}}]}`,
		`{"changes":[{"op":"put","kind":"license","id":"l","license":{"id":"l","product_id":"p","kind":"virtuoso","starts_at":"2026-01-01T00:00:00Z","ends_at":"2027-01-01T00:00:00Z","assigned_to":"u","assigned_at":"2026-01-01T00:00:00Z","countries":["DE","","` + strings.Repeat("x", 300) + `"]}}]}`,
		`{"changes":[{"op":"put","kind":"account","id":"a","account":{"id":"a","autonomy":{"capped_ms":9223372036854775807,"uncapped_ms":1},"checkout_max_ms":9223372036854775807,"country_policies":[{"country":"de","checkout_max_ms":9223372036854775807},{"country":"DE"},{"country":"ı"},{"country":"I"}],"fulfillment_contact":{"name":"x"}}}]}`,
		`{"changes":[{"op":"delete","kind":"product","id":"p"},{"op":"put","kind":"product","id":"p","product":{"id":"p","capped":"maybe"}},{"op":"?","kind":"?","id":"\ud800"}]}`,
		`{"changes":[{"op":"put","kind":"license","id":"l","license":{"id":"l","product_id":"p","starts_at":"0001-01-01T00:00:01Z","ends_at":"9999-12-31T23:59:59Z"}}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, page []byte) {
		var got struct{ Changes []json.RawMessage }
		if json.Unmarshal(page, &got) != nil {
			return
		}
		s := license.NewState()
		for _, raw := range got.Changes {
			ch, why := readChange(raw)
			c, known := toChange(ch, why)
			if !known {
				continue
			}
			if d := license.Check(s, 1, license.Mirror{Cursor: "1", Changes: []license.Change{c}}); d != nil {
				t.Errorf("%+v became %+v, which the rules refuse: %s", ch, c, d.Reason)
			}
		}
	})
}

// A page that leads nowhere, or is not one, is no page: with it everything would be
// taken for gone, or the same be read for ever.
func TestPagesThatAreNone(t *testing.T) {
	c, cloud, _ := newInside(t, "right")
	defer c.Close()
	for name, body := range map[string]string{
		"no list":                          `{"cursor":"d"}`,
		"null for a list, and a reset":     `{"cursor":"d","reset":true,"changes":null}`,
		"no cursor":                        `{"changes":[]}`,
		"more, and where it was":           `{"cursor":"c","more":true,"changes":[]}`,
		"the same again":                   `{"cursor":"c","changes":[{"op":"delete","kind":"user","id":"u"}]}`,
		"a cursor that is huge":            `{"cursor":"` + strings.Repeat("x", maxCursor+1) + `","changes":[]}`,
		"more changes than were asked for": `{"cursor":"d","changes":[` + strings.Repeat(`{"op":"delete","kind":"user","id":"u"},`, pageSize) + `{}]}`,
	} {
		c.http.Transport = inside{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != cloudapi.PathChanges {
				cloud.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, body)
		})}
		if page, err := c.Changes(t.Context(), "c", 0); !errors.Is(err, ErrGarbage) {
			t.Errorf("%s: got %+v, %v; want %v", name, page, err, ErrGarbage)
		}
	}
}
