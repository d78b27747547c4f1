package endpoint

import (
	"context"
	"net/url"
	"strings"
	"time"
)

// aboutIssuer is an issuer's discovery document (OpenID Connect Discovery 1.0, 3), as far as
// it matters here.
type aboutIssuer struct {
	Issuer    string   `json:"issuer"`
	Keys      string   `json:"jwks_uri"`
	Authorize string   `json:"authorization_endpoint"`
	Token     string   `json:"token_endpoint"`
	Methods   []string `json:"token_endpoint_auth_methods_supported"`
}

// sound reports whether an address that the issuer names may be gone to: over TLS, unless
// the issuer itself is reached without.
func (is *issuer) sound(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && u.User == nil && len(address) <= maxEndpoint &&
		(u.Scheme == "https" || u.Scheme == "http" && strings.HasPrefix(is.cfg.URL, "http://"))
}

const maxEndpoint = 2048 // bytes of an address

// endpoints are where people sign in at the issuer, and where a code is good. Without a
// reading since the start there are none; then somebody waits for the next a little.
func (is *issuer) endpoints(ctx context.Context) (about aboutIssuer, ok bool) {
	is.mu.Lock()
	about = is.about
	if about.Issuer == "" && time.Since(is.tried) >= keysAtMost {
		next := is.asked()
		is.mu.Unlock()
		await(ctx, next)
		is.mu.Lock()
		about = is.about
	}
	is.mu.Unlock()
	return about, is.sound(about.Authorize) && is.sound(about.Token)
}
