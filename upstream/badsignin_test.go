package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/emulator"
	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// leg is one of the requests by which something gets to the vendor beside the site API.
type leg struct {
	is    func(*http.Request) bool
	do    func(context.Context, *Client) error
	limit time.Duration // of all that do asks
}

const uploadHost = "logs.blob.test"

// legs are all of them.
func legs() map[string]leg {
	path := func(prefix string) func(*http.Request) bool {
		return func(r *http.Request) bool { return r.URL.Host == "cloud.test" && strings.HasPrefix(r.URL.Path, prefix) }
	}
	at := license.TimeOf(time.Date(2026, 4, 1, 8, 0, 0, 0, time.UTC))
	send := func(way license.UsageWay) func(context.Context, *Client) error {
		return func(ctx context.Context, c *Client) error {
			c.usage = UsageConfig{Way: way, Posting: "https://cloud.test" + cloudapi.PathPosting, Location: "https://cloud.test" + cloudapi.PathLocation, UploadHosts: []string{".blob.test"}, UltimateID: "1"}
			d, err := c.SendUsage(ctx, "k", []license.Usage{{Record: "r", User: "u-00001", Product: emulator.ProductCapped, License: "l-1", Machine: license.Machine{ID: "m"}, Started: at, Ended: at, Country: "DE"}})
			if err == nil && d.Done != 1 || err != nil && (d.Done != 0 || len(d.SetAside) != 0) {
				return errors.New("an error with something done, or done without anything")
			}
			return err
		}
	}
	ping := func(ctx context.Context, c *Client) error { return c.Ping(ctx) }
	return map[string]leg{
		"discovery of the sign-in": {path("/.well-known/"), ping, callTimeout},
		"token of the sign-in":     {path("/connect/token"), ping, callTimeout},
		"posting":                  {path(cloudapi.PathPosting), send(license.WayRealtime), callTimeout},
		"location":                 {path(cloudapi.PathLocation), send(license.WayFile), callTimeout},
		"putting a file":           {func(r *http.Request) bool { return r.URL.Host == uploadHost }, send(license.WayFile), uploadTimeout + callTimeout},
	}
}

// answered has one leg answered so, and all else by the cloud. Whoever asks another host is told of.
func answered(t *testing.T, c *Client, cloud *emulator.Emulator, l leg, answer func(*http.Request) *http.Response) (end func()) {
	cloud.UploadHost = uploadHost
	bad := true
	c.http.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host != "cloud.test" && r.URL.Host != uploadHost {
			t.Errorf("%s %s was asked", r.Method, r.URL.Host)
		}
		if !bad || !l.is(r) {
			return inside{cloud}.RoundTrip(r)
		}
		if r.Body != nil {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		resp := answer(r)
		resp.Request = r
		return resp, nil
	})
	return func() { bad = false }
}

func response(status int, contentType, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(strings.NewReader(body))}
}

// Whatever answers in the place of the sign-in, of the posting service, or of where files go: there is an error that says what kind it is, it has an end, nothing counts as done, the
// site's secret and its usage go nowhere else, and as soon as the right one answers all is as ever.
func TestWhatAnswersInTheVendorsPlace(t *testing.T) {
	const page = "<!DOCTYPE html><html><body>Welcome to the guest network</body></html>"
	for name, leg := range legs() {
		for what, tt := range map[string]struct {
			answer func(*http.Request) *http.Response
			want   error
		}{
			"a byte a second": {func(r *http.Request) *http.Response {
				resp := response(http.StatusOK, "application/json", "")
				resp.Body = &endless{pause: time.Second, bytes: 1, done: r.Context().Done(), ctx: r.Context().Err}
				return resp
			}, ErrUnreachable},
			"no end": {func(*http.Request) *http.Response {
				resp := response(http.StatusOK, "application/json", "")
				resp.Body = &endless{bytes: 1 << 16}
				return resp
			}, ErrGarbage},
			"a redirect to another host": {func(*http.Request) *http.Response {
				resp := response(http.StatusTemporaryRedirect, "text/html", page)
				resp.Header.Set("Location", "https://elsewhere.test/")
				return resp
			}, nil},
			"a page":                         {func(*http.Request) *http.Response { return response(http.StatusOK, "text/html; charset=utf-8", page) }, ErrGarbage},
			"a page that is said to be JSON": {func(*http.Request) *http.Response { return response(http.StatusOK, "application/json", page) }, ErrGarbage},
			"what was not asked to be packed": {func(*http.Request) *http.Response {
				resp := response(http.StatusOK, "application/json", string(bytes.Repeat([]byte{0x1f, 0x8b}, 100)))
				resp.Header.Set("Content-Encoding", "gzip")
				return resp
			}, ErrGarbage},
		} {
			t.Run(name+" answers with "+what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c, cloud, _ := newInside(t, "right")
					defer c.Close()
					cloud.Seed(1)
					end := answered(t, c, cloud, leg, tt.answer)
					begun := time.Now()
					err := leg.do(t.Context(), c)
					switch {
					case tt.want != nil && !errors.Is(err, tt.want), !errors.Is(err, ErrUnreachable) && !errors.Is(err, ErrGarbage):
						t.Errorf("got %v, want %v", err, tt.want)
					case time.Since(begun) > leg.limit:
						t.Errorf("it took %v", time.Since(begun))
					case strings.Contains(err.Error(), "Welcome") || strings.Contains(err.Error(), "right"):
						t.Errorf("%v: it shows the page, or the secret", err)
					}
					end()
					synctest.Wait() // what others may have waited for has ended, too
					if err := leg.do(t.Context(), c); err != nil {
						t.Errorf("when the right one answers: %v", err)
					}
				})
			})
		}
	}
}
