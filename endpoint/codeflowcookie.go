package endpoint

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sitegate/license"
)

// begunCookie holds a sign-in by the issuer on its way. Its prefix has browsers take it from
// this host only.
const begunCookie = "__Host-sitegate-begun"

const (
	begunLife   = 10 * time.Minute // to sign in at the issuer
	begunLeeway = time.Minute      // of nodes' clocks
	maxBegun    = 2048             // bytes of the cookie
)

// begun is a sign-in by the issuer on its way. A random secret is in the browser's cookie,
// and nowhere else; state, nonce and code verifier are digests of it, keyed by it, so that
// any node can tell whether the issuer's answer belongs to the browser that shows it.
type begun struct {
	secret string
	at     int64  // seconds since 1970
	next   string // a page of the console
}

func newBegun(now license.Time, next string) begun {
	return begun{secret: newSecret(prefixBegun), at: now.Std().Unix(), next: next}
}

// derived is a digest for a use: 43 characters that tell nothing of the secret, nor of
// those for other uses.
func (b begun) derived(use string) string {
	h := hmac.New(sha256.New, []byte(b.secret))
	h.Write([]byte(use))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// state covers all that is in the cookie: who changes it there has another state.
func (b begun) state() string    { return b.derived("state " + b.rest()) }
func (b begun) nonce() string    { return b.derived("nonce") }
func (b begun) verifier() string { return b.derived("verifier") }

func (b begun) challenge() string { return s256(b.verifier()) }

// s256 is a verifier's code challenge (RFC 7636, 4.2).
func s256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (b begun) rest() string {
	return strconv.FormatInt(b.at, 10) + "." + base64.RawURLEncoding.EncodeToString([]byte(b.next))
}

func (b begun) cookie() *http.Cookie {
	return &http.Cookie{Name: begunCookie, Value: b.secret + "." + b.rest(), Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		MaxAge: int(begunLife / time.Second)}
}

// shownBegun is the sign-in on its way that a request's cookie holds, if it is one that is
// not over.
func shownBegun(r *http.Request, now license.Time) (b begun, ok bool) {
	cookies := r.CookiesNamed(begunCookie)
	if len(cookies) != 1 || len(cookies[0].Value) > maxBegun {
		return begun{}, false
	}
	return parseBegun(cookies[0].Value, now)
}

func parseBegun(value string, now license.Time) (b begun, ok bool) {
	secret, rest, _ := strings.Cut(value, ".")
	at, next, _ := strings.Cut(rest, ".")
	if _, ok := secretDigest(prefixBegun, secret); !ok {
		return begun{}, false
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	page, err2 := base64.RawURLEncoding.DecodeString(next)
	if err != nil || err2 != nil {
		return begun{}, false
	}
	b = begun{secret: secret, at: seconds, next: inConsole(string(page))}
	age := now.Std().Unix() - seconds
	return b, b.rest() == rest && age >= -int64(begunLeeway/time.Second) && age < int64((begunLife+begunLeeway)/time.Second)
}
