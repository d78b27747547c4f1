package signin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// ProxyError is a refusal of the proxy to connect to the issuer.
type ProxyError struct {
	Target string // host:port
	Status int
	// Reason is a gateway's word for it, such as host_not_allowed. Empty: another
	// proxy answered.
	Reason string
}

func (e *ProxyError) Error() string {
	s := fmt.Sprintf("the proxy does not connect to %s: %d %s", e.Target, e.Status, http.StatusText(e.Status))
	if e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	return s
}

// connected reads a proxy's answer to CONNECT.
func connected(_ context.Context, _ *url.URL, req *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return &ProxyError{Target: req.Host, Status: resp.StatusCode, Reason: word(resp.Header.Get("X-Sitegate-Error"))}
}

// word is s, if it is a short word of lower-case letters, as codes are.
func word(s string) string {
	if len(s) > 40 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_-") != "" {
		return ""
	}
	return s
}
