package upstream

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"sitegate/emulator"
	"sitegate/upstream/cloudapi"
)

// seeing counts what the cloud says to questions for changes.
type seeing struct {
	http.RoundTripper
	statuses  map[int]int
	encodings map[string]int
}

func (s *seeing) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.RoundTripper.RoundTrip(r)
	if err == nil && r.URL.Path == cloudapi.PathChanges {
		s.statuses[resp.StatusCode]++
		s.encodings[resp.Header.Get("Content-Encoding")]++
	}
	return resp, err
}

func TestPagesComeCompressedAndNoNewsIsShort(t *testing.T) {
	c, cloud, _ := newInside(t, "right")
	defer c.Close()
	see := &seeing{c.http.Transport, map[int]int{}, map[string]int{}}
	c.http.Transport = see
	cloud.Seed(50)
	page, err := c.Changes(t.Context(), "", 0)
	if err != nil || len(page.Changes) < 50 || see.encodings["gzip"] != 1 {
		t.Fatalf("got %d changes, %v, with the encodings %v; want all of them, compressed", len(page.Changes), err, see.encodings)
	}
	for range 3 {
		next, err := c.Changes(t.Context(), page.Cursor, 0)
		if err != nil || len(next.Changes) != 0 || next.Cursor != page.Cursor || next.More || next.Reset {
			t.Fatalf("got %+v, %v; want nothing, from the same cursor", next, err)
		}
	}
	if see.statuses[http.StatusNotModified] != 2 {
		t.Errorf("got the statuses %v, want 304 from the second time on", see.statuses)
	}
	cloud.PutUser(cloudapi.User{ID: "new", Email: "new@x.example", Country: "DE"})
	if next, err := c.Changes(t.Context(), page.Cursor, 0); err != nil || len(next.Changes) != 1 {
		t.Errorf("got %+v, %v; want the new user", next, err)
	}
}

func TestASmallBodyDoesNotBecomeABigOne(t *testing.T) {
	c, cloud, _ := newInside(t, "right")
	defer c.Close()
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	c.maxPage = 1 << 20
	for range 4 {
		z.Write(make([]byte, 1<<20))
	}
	z.Close()
	for name, test := range map[string]struct {
		encoding string
		body     []byte
	}{
		"a bomb":              {"gzip", bomb.Bytes()},
		"not compressed":      {"gzip", []byte(`{"cursor":"d","changes":[]}`)},
		"an unknown encoding": {"br", bomb.Bytes()},
	} {
		c.http.Transport = inside{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != cloudapi.PathChanges {
				cloud.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", test.encoding)
			w.Write(test.body)
		})}
		if _, err := c.Changes(t.Context(), "c", 0); !errors.Is(err, ErrGarbage) {
			t.Errorf("%s: got %v, want ErrGarbage", name, err)
		}
	}
}

// A record that is large in itself makes pages smaller, and does not stop the feed.
func TestAPageThatIsTooLongIsAskedForInParts(t *testing.T) {
	c, cloud, _ := newInside(t, "right")
	defer c.Close()
	var countries []string
	for i := range cloudapi.MaxCountries {
		countries = append(countries, fmt.Sprintf("%0200d", i))
	}
	c.maxPage = 1 << 20
	const many = 40 // of about 60 kB each
	for i := range many {
		cloud.PutLicense(cloudapi.License{ID: fmt.Sprint("big", i), ProductID: emulator.ProductCapped, Kind: cloudapi.LicenseVirtuoso, Countries: countries})
	}
	got, cursor := 0, ""
	for more := true; more; {
		page, err := c.Changes(t.Context(), cursor, 0)
		if err != nil {
			t.Fatal(err)
		}
		got += len(page.Changes)
		cursor, more = page.Cursor, page.More
	}
	if got < many {
		t.Errorf("got %d changes, want %d", got, many)
	}
}

// What one record says does not stop the others.
func TestOneBadRecordDoesNotSpoilItsPage(t *testing.T) {
	c, cloud, _ := newInside(t, "right")
	defer c.Close()
	c.http.Transport = inside{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != cloudapi.PathChanges {
			cloud.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"cursor":"d","changes":[
			{"op":"put","kind":"license","id":"l","license":{"id":"l","starts_at":"yesterday"}},
			{"op":"put","kind":"user","id":"u","user":{"id":"u","email":7}},
			{"op":"put","kind":"user","id":"v","user":{"id":"v"}},
			[], 7, null, {"op":"put"}]}`)
	})}
	page, err := c.Changes(t.Context(), "c", 0)
	if err != nil || len(page.Changes) != 3 {
		t.Fatalf("got %+v, %v; want three changes", page, err)
	}
	if l, u := page.Changes[0], page.Changes[1]; l.DeleteLicense != "l" || l.Malformed == "" || u.DeleteUser != "u" || u.Malformed == "" {
		t.Errorf("got %+v and %+v, want them gone, and why", l, u)
	}
	if v := page.Changes[2]; v.User == nil || v.User.ID != "v" || v.Malformed != "" {
		t.Errorf("got %+v, want the user that can be understood", v)
	}
}
