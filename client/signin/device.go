package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// What else goes wrong with a device.
var (
	// ErrNoDeviceFlow: the issuer does not offer the device flow.
	ErrNoDeviceFlow = errors.New("this sign-in does not offer the device flow (RFC 8628)")
	// ErrTooLate: nobody has confirmed the sign-in in time.
	ErrTooLate = errors.New("the code was not confirmed in time: start again")
)

const (
	grantDevice  = "urn:ietf:params:oauth:grant-type:device_code"
	pollDefault  = 5 * time.Second // RFC 8628, 3.2
	pollMost     = time.Minute
	deviceLife   = 30 * time.Minute // at most, whatever the issuer says
	maxUserCode  = 64
	maxDeviceURL = 1024
)

// Prompt is what a person needs who confirms a device's sign-in in a browser.
type Prompt struct {
	Code string // to be typed in there
	URL  string // where
	// Complete is URL with the code in it, for a link or a picture of one; may be
	// empty.
	Complete string
	Until    time.Time // the code is good until then
}

// SignInDevice signs in whoever confirms it in a browser, on this computer or
// another one (RFC 8628). show is called once with what they need, and may return
// an error to give up. Then it asks, as often as the issuer lets it, until it was
// confirmed (ErrRefused: it was denied; ErrTooLate: it was not) or ctx ends.
func SignInDevice(ctx context.Context, cfg Config, show func(Prompt) error) (Tokens, error) {
	s, err := open(ctx, cfg)
	if err != nil {
		return Tokens{}, err
	}
	defer s.close()
	if s.device == "" {
		return Tokens{}, ErrNoDeviceFlow
	}
	asked := time.Now()
	a, err := s.post(ctx, s.device, url.Values{"client_id": {s.cfg.ClientID}, "scope": {strings.Join(s.cfg.Scopes, " ")}})
	if err != nil {
		return Tokens{}, fmt.Errorf("asking for a code: %w", err)
	}
	var got struct {
		Device   string  `json:"device_code"`
		User     string  `json:"user_code"`
		URL      string  `json:"verification_uri"`
		Complete string  `json:"verification_uri_complete"`
		Expires  int64   `json:"expires_in"` // seconds
		Interval float64 `json:"interval"`   // seconds
		Error    string  `json:"error"`
	}
	if err := json.Unmarshal(a.body, &got); err != nil {
		return Tokens{}, fmt.Errorf("asking for a code: the issuer answered %d without JSON", a.status)
	}
	if a.status != http.StatusOK || got.Device == "" || got.User == "" || len(got.User) > maxUserCode || len(got.URL) > maxDeviceURL {
		return Tokens{}, fmt.Errorf("asking for a code: the issuer answered %d %.100q", a.status, got.Error)
	}
	if err := secure(got.URL); err != nil { // a password will be typed in there
		return Tokens{}, err
	}
	if len(got.Complete) > maxDeviceURL || secure(got.Complete) != nil {
		got.Complete = ""
	}
	life := time.Duration(min(max(got.Expires, 1), int64(deviceLife/time.Second))) * time.Second
	p := Prompt{Code: got.User, URL: got.URL, Complete: got.Complete, Until: asked.Add(life)}
	if err := show(p); err != nil {
		return Tokens{}, err
	}
	every := pollDefault
	if got.Interval > 0 {
		every = time.Duration(min(got.Interval, pollMost.Seconds()) * float64(time.Second))
	}
	ctx, cancel := context.WithDeadlineCause(ctx, p.Until, ErrTooLate)
	defer cancel()
	return s.poll(ctx, got.Device, every)
}

// poll asks until the sign-in was confirmed or refused. What goes wrong on the way
// is asked again, less and less often (RFC 8628, 3.5).
func (s *session) poll(ctx context.Context, device string, every time.Duration) (Tokens, error) {
	for {
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return Tokens{}, context.Cause(ctx)
		}
		asked := time.Now()
		a, err := s.post(ctx, s.tok, url.Values{"grant_type": {grantDevice}, "device_code": {device}, "client_id": {s.cfg.ClientID}})
		if err != nil {
			every = min(2*every, pollMost)
			continue
		}
		t, code, err := read(a, asked)
		switch {
		case a.status >= http.StatusInternalServerError || a.status == http.StatusTooManyRequests:
			every = min(2*every, pollMost)
		case err != nil:
			return Tokens{}, err
		case code == "":
			return t, nil
		case code == "authorization_pending":
		case code == "slow_down":
			every = min(every+5*time.Second, pollMost)
		case code == "access_denied":
			return Tokens{}, fmt.Errorf("%w: it was denied in the browser", ErrRefused)
		case code == "expired_token":
			return Tokens{}, ErrTooLate
		default:
			return Tokens{}, refusedToken(a.status, code)
		}
	}
}

// Revoke takes a refresh token back, where the issuer lets that be done
// (RFC 7009); where it does not, nothing happens.
func Revoke(ctx context.Context, cfg Config, refresh string) error {
	s, err := open(ctx, cfg)
	if err != nil {
		return err
	}
	defer s.close()
	if s.revoke == "" {
		return nil
	}
	a, err := s.post(ctx, s.revoke, url.Values{"token": {refresh}, "token_type_hint": {"refresh_token"}, "client_id": {s.cfg.ClientID}})
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("the issuer answered %d", a.status)
	}
	if err != nil {
		return fmt.Errorf("taking the sign-in back: %w", err)
	}
	return nil
}

// Offers is what an issuer that can be reached offers.
type Offers struct {
	Device bool // the device flow
	Form   bool // authorization code
	Revoke bool // tokens can be taken back
}

// Look asks an issuer what it offers, and sends nothing that is a secret.
func Look(ctx context.Context, cfg Config) (Offers, error) {
	s, err := open(ctx, cfg)
	if err != nil {
		return Offers{}, err
	}
	defer s.close()
	return Offers{Device: s.device != "", Form: s.auth != "", Revoke: s.revoke != ""}, nil
}
