package alert

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// The headers of a webhook's request.
const (
	// HeaderKey is the message's key: the same whenever the same is sent again.
	HeaderKey = "Idempotency-Key"
	// HeaderTime is when it was signed, in seconds since 1970. A receiver refuses what is
	// older than it finds good, and so what somebody has listened to and sends again.
	HeaderTime = "Sitegate-Timestamp"
	// HeaderSignature is "v1=" and Sign of time and body, in hexadecimal.
	HeaderSignature = "Sitegate-Signature"
)

// Webhook is a way by a signed request to a program of the site's.
type Webhook struct {
	As     string // its name
	URL    string
	Secret func() (string, error) // that requests are signed with
	Client *http.Client           // by the site's way out
}

// hookTime bounds one request.
const hookTime = 20 * time.Second

// Name is its own.
func (x *Webhook) Name() string { return x.As }

// Sign is the HMAC-SHA-256, with a secret, of a moment as HeaderTime has it, a dot, and a
// body.
func Sign(secret, at string, body []byte) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(at + "."))
	h.Write(body)
	return h.Sum(nil)
}

// Send posts a message. Any answer of 2xx says that it was taken; redirects are not
// followed.
func (x *Webhook) Send(ctx context.Context, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, hookTime)
	defer cancel()
	secret, err := x.Secret()
	if err != nil {
		return fmt.Errorf("reading the secret of the webhook %s: %w", x.As, err)
	}
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encoding an alert: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, x.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("preparing a request to the webhook %s: %w", x.As, err)
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "sitegate")
	r.Header.Set(HeaderKey, m.Key)
	r.Header.Set(HeaderTime, at)
	r.Header.Set(HeaderSignature, "v1="+hex.EncodeToString(Sign(secret, at, body)))
	resp, err := x.Client.Do(r)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok { // the path may be a secret
			err = u.Err
		}
		return fmt.Errorf("asking the webhook %s: %w", x.As, err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the webhook %s answers %s", x.As, resp.Status)
	}
	return nil
}
