package desktop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// Config is a machine, and the user at it.
type Config struct {
	Folder string // where it keeps what it knows; made if there is none
	// Discovery is the address of the discovery service. Defaults are what the client was built with, by the services' names:
	// they are used where discovery does not answer.
	Discovery string
	Region    int
	Defaults  map[string]string
	// HTTP is the client's way to its services: its proxy, and the CAs that its system trusts.
	HTTP *http.Client
	// Version is the client's own, and in its requests.
	Version string
	Machine string // its name
	User    string // the id of who is signed in
	Login   string // their name on this machine
	// Authorization is the header that says who is signed in, "Bearer …" or "SAML …"; empty: nobody is.
	Authorization func() string
	AccessKey     string // of a server product, which has no user
	// RealTime posts use as it happens; else it is put as files.
	RealTime bool
	Now      func() time.Time // the machine's clock; nil: time.Now
}

// Client is what runs on a machine beside its products. It may be used by several goroutines.
type Client struct {
	cfg Config
	now func() time.Time

	mu       sync.Mutex // guards all below
	kept     cabinet
	urls     map[string]foundURL
	entitled map[Product]entitlement
}

// Product is what is asked for.
type Product struct{ ID, Feature, Version string }

// New reads what the machine knows from the time before.
func New(cfg Config) (*Client, error) {
	c := &Client{cfg: cfg, now: cfg.Now, urls: map[string]foundURL{}, entitled: map[Product]entitlement{}}
	if c.now == nil {
		c.now = time.Now
	}
	if c.cfg.Authorization == nil {
		c.cfg.Authorization = func() string { return "" }
	}
	return c, c.kept.open(cfg.Folder)
}

// maxAnswer is more than any answer has.
const maxAnswer = 4 << 20

// call sends a request to a service and returns the body of a good answer. Whatever else happens is an error, and for the client all errors are
// the same.
func (c *Client) call(ctx context.Context, method, address string, signedIn bool, body []byte, more ...string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "LicenseClient/"+c.cfg.Version)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Expect", "100-continue") // as .NET does
	}
	if signedIn {
		if who := c.cfg.Authorization(); who != "" {
			req.Header.Set("Authorization", who)
		}
	}
	for i := 0; i+1 < len(more); i += 2 {
		req.Header.Set(more[i], more[i+1])
	}
	resp, err := c.cfg.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s", method, address, resp.Status)
	}
	return answer, err
}

// post sends v to a path of a service.
func (c *Client) post(ctx context.Context, service, path string, signedIn bool, v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return c.call(ctx, http.MethodPost, c.find(ctx, service)+path, signedIn, body)
}
