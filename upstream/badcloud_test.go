package upstream

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// endless is a body that never ends.
type endless struct {
	pause time.Duration // before each read
	bytes int           // of a read
	read  int
	done  <-chan struct{} // the request's
	ctx   func() error
}

func (e *endless) Read(b []byte) (int, error) {
	if e.pause > 0 {
		select {
		case <-time.After(e.pause):
		case <-e.done:
			return 0, e.ctx()
		}
	}
	n := min(len(b), e.bytes)
	for i := range b[:n] {
		b[i] = ' '
	}
	e.read += n
	return n, nil
}

func (e *endless) Close() error { return nil }

// withBody answers the site API with a body, and the sign-in as ever.
func withBody(c *Client, body func(*http.Request) io.ReadCloser) {
	inner := c.http.Transport
	c.http.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		if !strings.HasPrefix(r.URL.Path, cloudapi.Base) {
			return inner.RoundTrip(r)
		}
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: body(r), Request: r}, nil
	})
}

// A cloud that sends a byte a second holds nobody up for longer than any that does not
// answer, and one that sends gigabytes takes no memory for them.
func TestACloudThatNeverStopsAnswering(t *testing.T) {
	ask := map[string]func(*testing.T, *Client) error{
		"ping":    func(t *testing.T, c *Client) error { return c.Ping(t.Context()) },
		"changes": func(t *testing.T, c *Client) error { _, err := c.Changes(t.Context(), "c", 0); return err },
		"hold": func(t *testing.T, c *Client) error {
			_, err := c.Hold(t.Context(), license.Fence{Epoch: 1}, holdOf(1, "m"))
			return err
		},
		"renew": func(t *testing.T, c *Client) error {
			_, err := c.RenewHolds(t.Context(), license.Fence{Epoch: 1}, []license.CloudHold{holdOf(1, "m")})
			return err
		},
		"usage": func(t *testing.T, c *Client) error {
			_, err := c.SendUsage(t.Context(), "k", []license.Usage{{Record: "r", User: "u", Product: "p"}})
			return err
		},
	}
	for name, f := range ask {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _, _ := newInside(t, "right")
				defer c.Close()
				withBody(c, func(r *http.Request) io.ReadCloser {
					return &endless{pause: time.Second, bytes: 1, done: r.Context().Done(), ctx: r.Context().Err}
				})
				begun := time.Now()
				if err := f(t, c); !errors.Is(err, ErrUnreachable) || time.Since(begun) > callTimeout {
					t.Errorf("a byte a second: got %v after %v, want ErrUnreachable within %v", err, time.Since(begun), callTimeout)
				}
			})
			c, _, _ := newInside(t, "right")
			defer c.Close()
			c.maxPage = 1 << 20
			var read []*endless
			withBody(c, func(*http.Request) io.ReadCloser {
				read = append(read, &endless{bytes: 1 << 16})
				return read[len(read)-1]
			})
			if err := f(t, c); !errors.Is(err, ErrGarbage) {
				t.Errorf("without an end: got %v, want ErrGarbage", err)
			}
			for _, e := range read {
				if e.read > 4<<20 {
					t.Errorf("read %d bytes of it", e.read)
				}
			}
			if len(read) > 10 {
				t.Errorf("asked %d times", len(read))
			}
		})
	}
}

func TestHowLongACloudMayAskToBeLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for header, want := range map[string]time.Duration{
			"": time.Second, "0": 0, "7": 7 * time.Second, "-1": time.Second, "soon": time.Second, "1.5": time.Second,
			"86400": maxRetryAfter, "99999999999": maxRetryAfter, "99999999999999999999999": maxRetryAfter,
			time.Now().Add(30 * time.Second).UTC().Format(http.TimeFormat):  30 * time.Second,
			time.Now().Add(-30 * time.Second).UTC().Format(http.TimeFormat): 0,
			time.Now().AddDate(10, 0, 0).UTC().Format(http.TimeFormat):      maxRetryAfter,
		} {
			if got := retryAfter(header); got != want {
				t.Errorf("%q: got %v, want %v", header, got, want)
			}
		}
	})
}
