package emulator

import (
	"crypto/rand"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// GrantDevice is the grant type of the device flow (RFC 8628).
	GrantDevice = "urn:ietf:params:oauth:grant-type:device_code"

	pathDevice     = "/connect/deviceauthorization"
	pathDevicePage = "/device"
	pathRevoke     = "/connect/revocation"
	deviceTime     = 10 * time.Minute
)

// device is a sign-in whose user has a browser elsewhere (RFC 8628): the name it
// is stored under is the device code.
type device struct {
	login
	userCode string
	refused  bool
	interval time.Duration
	asked    time.Time // the device last asked
}

var devicePage = template.Must(template.New("device").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in a device</title></head>
<body><h1>Sign in a device</h1>
{{with .Said}}<p role="alert">{{.}}</p>{{end}}
{{if .Ask}}<form method="post" action="` + pathDevicePage + `">
<p><label>Code <input name="user_code" value="{{.Code}}" autocomplete="off" required></label></p>
<p><label>E-mail <input type="email" name="email" autocomplete="username"></label></p>
<p><label>Password <input type="password" name="password" autocomplete="current-password"></label></p>
<p><button name="do" value="allow">Allow</button> <button name="do" value="deny">Deny</button></p>
</form>{{end}}</body></html>
`))

func showDevice(w http.ResponseWriter, status int, code, said string, ask bool) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	devicePage.Execute(w, struct {
		Code, Said string
		Ask        bool
	}{code, said, ask})
}

// deviceStart answers the device authorization endpoint.
func (e *Emulator) deviceStart(w http.ResponseWriter, r *http.Request) {
	if r.PostFormValue("client_id") != DesktopClient {
		tokenError(w, http.StatusUnauthorized, "invalid_client", "unknown client_id")
		return
	}
	every := e.DeviceInterval
	if every <= 0 {
		every = 5 * time.Second
	}
	d := &device{login: login{client: DesktopClient, scope: r.PostFormValue("scope"), until: e.now().Add(deviceTime)}, userCode: userCode(), interval: every}
	code := rand.Text() + rand.Text()
	s := &e.issuer
	s.mu.Lock()
	for k, old := range s.devices {
		if e.now().After(old.until) {
			delete(s.devices, k)
		}
	}
	full := len(s.devices) >= maxLogins
	if !full {
		put(&s.devices, code, d)
	}
	s.mu.Unlock()
	if full {
		http.Error(w, "too many sign-ins under way", http.StatusServiceUnavailable)
		return
	}
	page := e.base(r) + pathDevicePage
	answer(w, http.StatusOK, map[string]any{
		"device_code": code, "user_code": d.userCode, "verification_uri": page,
		"verification_uri_complete": page + "?" + url.Values{"user_code": {d.userCode}}.Encode(),
		"expires_in":                int(deviceTime / time.Second), "interval": int((every + time.Second - 1) / time.Second),
	})
}

// userCode is eight consonants, as RFC 8628 (6.1) has it.
func userCode() string {
	const letters = "BCDFGHJKLMNPQRSTVWXZ"
	b := make([]byte, 0, 9)
	for one := make([]byte, 1); len(b) < 9; {
		if len(b) == 4 {
			b = append(b, '-')
		}
		rand.Read(one)
		if int(one[0]) < 256/len(letters)*len(letters) {
			b = append(b, letters[int(one[0])%len(letters)])
		}
	}
	return string(b)
}

// deviceForm shows the page where a code is typed in.
func (e *Emulator) deviceForm(w http.ResponseWriter, r *http.Request) {
	showDevice(w, http.StatusOK, r.URL.Query().Get("user_code"), "", true)
}

// deviceAnswer takes the form.
func (e *Emulator) deviceAnswer(w http.ResponseWriter, r *http.Request) {
	code := strings.ToUpper(strings.TrimSpace(r.PostFormValue("user_code")))
	user, problem := e.authenticate(r.PostFormValue("email"), r.PostFormValue("password"))
	deny := r.PostFormValue("do") == "deny"
	s := &e.issuer
	s.mu.Lock()
	defer s.mu.Unlock()
	var d *device
	for _, x := range s.devices {
		if x.userCode == code && x.user == "" && !x.refused && !e.now().After(x.until) {
			d = x
		}
	}
	switch {
	case d == nil:
		showDevice(w, http.StatusBadRequest, "", "There is no such code. Codes are good for ten minutes, once.", true)
	case deny:
		d.refused = true
		showDevice(w, http.StatusOK, "", "The device is not signed in. You can close this page.", false)
	case problem != "":
		showDevice(w, http.StatusForbidden, code, problem, true)
	default:
		d.user = user
		showDevice(w, http.StatusOK, "", "The device is signed in. You can close this page.", false)
	}
}

// deviceToken answers a device that asks whether its user has signed in
// (RFC 8628, 3.4 and 3.5).
func (e *Emulator) deviceToken(w http.ResponseWriter, r *http.Request, f url.Values) {
	s := &e.issuer
	now := e.now()
	s.mu.Lock()
	name := f.Get("device_code")
	d := s.devices[name]
	var code string
	switch {
	case d == nil || d.client != f.Get("client_id"):
		code = "invalid_grant"
	case now.After(d.until):
		code = "expired_token"
	case d.refused:
		code = "access_denied"
	case !d.asked.IsZero() && now.Sub(d.asked) < d.interval:
		code, d.interval = "slow_down", d.interval+5*time.Second
	case d.user == "":
		code = "authorization_pending"
	default:
		delete(s.devices, name)
	}
	if d != nil {
		d.asked = now
	}
	s.mu.Unlock()
	if code != "" {
		tokenError(w, http.StatusBadRequest, code, "")
		return
	}
	e.userToken(w, r, d.login)
}

// revoke takes a refresh token back (RFC 7009): whatever is sent, the answer is
// that it is good no more.
func (e *Emulator) revoke(w http.ResponseWriter, r *http.Request) {
	e.issuer.take(&e.issuer.refreshs, r.PostFormValue("token"), e.now())
	w.WriteHeader(http.StatusOK)
}
