package endpoint

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"hash/crc32"
	"net/http"
	"strings"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// A secret that this site gives out is a prefix, which tells people and scanners what it
// is, 43 random characters (256 bits), and six of a checksum, so that one that was cut or
// mistyped is found before anything is looked up. It is kept as its SHA-256 only; who
// looks that up learns nothing from how long it takes.
const (
	prefixAPIToken = "sgt_" // an API token
	prefixSignIn   = "sgs_" // a sign-in, in a cookie
	prefixFirst    = "sgf_" // makes the first local account
	prefixBegun    = "sgb_" // a sign-in on its way, in a cookie
	secretLen      = 43
	checkLen       = 6
	base62         = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// newSecret makes a secret, which nobody else knows.
func newSecret(prefix string) string {
	out := make([]byte, 0, len(prefix)+secretLen+checkLen)
	out = append(out, prefix...)
	var b [64]byte
	for len(out) < len(prefix)+secretLen {
		rand.Read(b[:]) // it never fails
		for _, x := range b {
			if x < 4*62 && len(out) < len(prefix)+secretLen { // each character as likely as any other
				out = append(out, base62[x%62])
			}
		}
	}
	return string(out) + checksum(string(out))
}

func checksum(text string) string {
	sum := crc32.ChecksumIEEE([]byte(text))
	var out [checkLen]byte
	for i := checkLen - 1; i >= 0; i-- {
		out[i] = base62[sum%62]
		sum /= 62
	}
	return string(out[:])
}

// secretDigest is what a secret is known by; false: it is none.
func secretDigest(prefix, text string) (license.Digest, bool) {
	at := len(text) - checkLen
	if len(text) != len(prefix)+secretLen+checkLen || !strings.HasPrefix(text, prefix) || checksum(text[:at]) != text[at:] {
		return license.Digest{}, false
	}
	for _, b := range []byte(text[len(prefix):]) {
		if strings.IndexByte(base62, b) < 0 {
			return license.Digest{}, false
		}
	}
	return license.Digest(sha256.Sum256([]byte(text))), true
}

// byAPIToken finds out whose API token it is.
func (e *Endpoint) byAPIToken(token string) (Administrator, error) {
	digest, ok := secretDigest(prefixAPIToken, token)
	if !ok {
		return Administrator{}, &authError{tokenMalformed}
	}
	return e.ofAPIToken(digest, true)
}

// ofAPIToken finds out whose API token has a digest; used: it lets somebody in.
func (e *Endpoint) ofAPIToken(digest license.Digest, used bool) (Administrator, error) {
	c, ok := e.credential(digest, used)
	switch {
	case c.Kind != license.APIToken:
		return Administrator{}, &authError{tokenUnknown}
	case !ok:
		return Administrator{}, &authError{tokenOver}
	}
	return Administrator{Name: "token " + c.Name, Role: c.Role, Scopes: c.Scopes, Way: ByToken, secret: digest}, nil
}

// credential is what is known of a secret; false: it is not good now. Its use is noted, unless
// nobody uses it.
func (e *Endpoint) credential(digest license.Digest, used bool) (c license.Credential, ok bool) {
	now := e.gw.Now()
	e.gw.View(func(s *license.State) { c, ok = license.CredentialOf(s, digest, now) })
	if ok && used && c.Stale(now) {
		select {
		case e.uses <- digest:
		default: // the next use will be noted
		}
	}
	return c, ok
}

// useTime bounds noting a use.
const useTime = 10 * time.Second

// noteUses proposes that credentials are in use, until ctx ends: nobody who uses one waits
// for a majority.
func (e *Endpoint) noteUses(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case digest := <-e.uses:
			var c license.Credential
			var ok bool
			now := e.gw.Now()
			e.gw.View(func(s *license.State) { c, ok = license.CredentialOf(s, digest, now) })
			if !ok || !c.Stale(now) {
				continue // noted meanwhile
			}
			one, cancel := context.WithTimeout(ctx, useTime)
			if _, err := e.gw.UseCredential(one, license.UseCredential{Secret: digest}); err != nil && ctx.Err() == nil {
				e.log.Debug("the use of a credential was not noted", "err", err)
			}
			cancel()
		}
	}
}

// roleNamed reads a role.
func roleNamed(name string) (license.Authority, error) {
	role := license.ParseAuthority(name)
	if role == 0 {
		return 0, malformed("role is viewer, operator or admin")
	}
	return role, nil
}

// makeToken is POST /v1/api-tokens.
func (e *Endpoint) makeToken(c *call, in api.APITokenRequest) (reply, error) {
	if err := c.said(&in.By, ""); err != nil {
		return reply{}, err
	}
	role, err := roleNamed(in.Role)
	if err != nil {
		return reply{}, err
	}
	scopes, known := license.ParseTokenScopes(in.Scopes)
	if !known {
		return reply{}, malformed("a scope is one of " + strings.Join(license.AnyScope.Names(), ", "))
	}
	life := time.Duration(in.ForMS) * time.Millisecond
	if !license.ValidAccountName(in.Name) || in.ForMS < time.Minute.Milliseconds() || in.ForMS > license.MaxTokenOfAPILife.Milliseconds() {
		return reply{}, malformed("name is small letters, digits, and . _ - between them, 64 at most; for_ms is from one minute to 366 days")
	}
	token := newSecret(prefixAPIToken)
	digest, _ := secretDigest(prefixAPIToken, token)
	until := e.gw.Now().Add(min(life, license.MaxTokenOfAPILife-time.Minute)) // the leader's clock may be behind
	if _, err := decided(e.gw.GiveCredential(c.ctx, license.GiveCredential{Secret: digest, Kind: license.APIToken, Name: in.Name, Role: role, Scopes: scopes, By: in.By, Until: until})); err != nil {
		return reply{}, err
	}
	e.log.InfoContext(c.ctx, "API token made", "id", c.id, "token", in.Name, "role", in.Role, "scopes", scopes.Names(), "until", until.Std(), "by", in.By)
	return reply{status: http.StatusCreated, body: api.NewAPIToken{Token: token, Name: in.Name, Role: in.Role, Scopes: scopes.Names(), Until: until.Std()}}, nil
}

// tokens is GET /v1/api-tokens.
func (e *Endpoint) tokens(*call) (reply, error) {
	out := api.List[api.APIToken]{Items: []api.APIToken{}}
	now := e.gw.Now()
	e.gw.View(func(s *license.State) {
		for _, c := range license.Credentials(s, license.APIToken, now) {
			out.Items = append(out.Items, api.APIToken{Name: c.Name, Role: c.Role.String(), Scopes: c.Scopes.Names(), By: c.By, Since: c.Since.Std(), Until: c.Until.Std(), Used: c.Used.Std()})
		}
	})
	return reply{status: http.StatusOK, body: out}, nil
}

// revokeToken is DELETE /v1/api-tokens/{id}.
func (e *Endpoint) revokeToken(c *call) (reply, error) {
	name, err := c.named()
	if err != nil {
		return reply{}, err
	}
	by, err := c.queryBy()
	if err != nil {
		return reply{}, err
	}
	_, err = decided(e.gw.EndCredential(c.ctx, license.EndCredential{Kind: license.APIToken, Name: name, By: by}))
	return e.acted(c, err, "revoke", "token", name, by)
}

// queryBy is who does something that has no body.
func (c *call) queryBy() (string, error) {
	by := c.r.URL.Query().Get("by")
	return by, c.said(&by, "")
}
