package emulator

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"sitegate/upstream/cloudapi"
)

// termsWire is PolicyTerms over HTTP.
type termsWire struct {
	LifeMS            cloudapi.Millis `json:"life_ms"`
	PostingIntervalMS cloudapi.Millis `json:"posting_interval_ms"`
	NoOffline         bool            `json:"no_offline"`
	OfflineCapped     bool            `json:"offline_capped"`
	Misspelt          bool            `json:"misspelt"`
	HoldAtOnce        bool            `json:"hold_at_once"`
	Blind             bool            `json:"blind"`
	WrongKey          bool            `json:"wrong_key"`
	Altered           bool            `json:"altered"`
	Short             bool            `json:"short"`
}

// desktopKnobs are the knobs of what desktop clients get.
func (e *Emulator) desktopKnobs(m *http.ServeMux) {
	m.HandleFunc("GET /policies", give(func() termsWire {
		t := e.PolicyTerms()
		return termsWire{cloudapi.MillisOf(t.Life), cloudapi.MillisOf(t.PostingInterval), t.NoOffline, t.OfflineCapped, t.Misspelt, t.HoldAtOnce, t.Blind, t.WrongKey, t.Altered, t.Short}
	}))
	m.HandleFunc("PUT /policies", take(func(t termsWire) error {
		e.SetPolicyTerms(PolicyTerms{t.LifeMS.Duration(), t.PostingIntervalMS.Duration(), t.NoOffline, t.OfflineCapped, t.Misspelt, t.HoldAtOnce, t.Blind, t.WrongKey, t.Altered, t.Short})
		return nil
	}))
	m.HandleFunc("POST /policies/rotate", do(e.RotatePolicyKey))
	m.HandleFunc("POST /tokens", func(w http.ResponseWriter, r *http.Request) {
		var a struct {
			UserID string          `json:"user_id"`
			Kind   string          `json:"kind"`
			Issuer string          `json:"issuer"` // of a bearer token; empty: the emulator's
			TTLMS  cloudapi.Millis `json:"ttl_ms"`
		}
		if !read(w, r, &a) {
			return
		}
		ttl := e.ttl()
		if a.TTLMS != 0 {
			ttl = a.TTLMS.Duration()
		}
		var token string
		err := errors.New("kind is bearer or saml")
		switch {
		case a.Kind == "bearer" && a.Issuer+e.Issuer == "":
			err = errors.New("the emulator was not told its address as an issuer")
		case a.Kind == "bearer":
			token, err = e.UserToken(cmp.Or(a.Issuer, e.Issuer), a.UserID, ttl)
		case a.Kind == "saml":
			token, err = e.SAMLToken(a.UserID, ttl)
		}
		if err != nil {
			refuse(w, http.StatusConflict, cloudapi.ReasonInvalid, err.Error())
			return
		}
		answer(w, http.StatusOK, map[string]string{"token": token})
	})
	m.HandleFunc("POST /checkouts", func(w http.ResponseWriter, r *http.Request) {
		var a struct {
			UserID      string    `json:"user_id"`
			MachineName string    `json:"machine_name"`
			Products    []string  `json:"products"`
			Until       time.Time `json:"until"`
		}
		if !read(w, r, &a) {
			return
		}
		file, err := e.CheckoutFile(a.UserID, a.MachineName, a.Until, a.Products...)
		if err != nil {
			refuse(w, http.StatusConflict, Reason(err), err.Error())
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Write(file)
	})
	m.HandleFunc("GET /desktops", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"holds": e.DesktopHolds(), "postings": e.Postings(), "feature_logs": e.FeatureLogs(), "rows": e.UsageRows()})
	})
}
