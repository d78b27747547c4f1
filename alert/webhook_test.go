package alert

import (
	"crypto/hmac"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A webhook gets the message, with its key, signed with the time; what is not taken is an
// error that does not hold the secret.
func TestWebhookIsSigned(t *testing.T) {
	const secret = "a shared s3cret"
	var status atomic.Int32
	var asked atomic.Int32
	status.Store(204)
	var last Message
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		body, _ := io.ReadAll(r.Body)
		at := r.Header.Get(HeaderTime)
		signature, _ := hex.DecodeString(strings.TrimPrefix(r.Header.Get(HeaderSignature), "v1="))
		seconds, err := strconv.ParseInt(at, 10, 64)
		switch {
		case r.Method != "POST" || r.URL.Path != "/hook" || r.Header.Get("Content-Type") != "application/json":
			t.Errorf("got %s %s of %s", r.Method, r.URL, r.Header.Get("Content-Type"))
		case !hmac.Equal(signature, Sign(secret, at, body)) || hmac.Equal(signature, Sign("another", at, body)):
			t.Errorf("the signature %q is not that of the body", r.Header.Get(HeaderSignature))
		case err != nil || time.Since(time.Unix(seconds, 0)).Abs() > time.Minute:
			t.Errorf("it was signed at %q", at)
		}
		if err := json.Unmarshal(body, &last); err != nil || last.Key != r.Header.Get(HeaderKey) {
			t.Errorf("got %s with the key %q: %v", body, r.Header.Get(HeaderKey), err)
		}
		if status.Load() == 302 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(int(status.Load()))
	}))
	defer s.Close()
	client := s.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	way := &Webhook{As: "chat", URL: s.URL + "/hook", Secret: func() (string, error) { return secret, nil }, Client: client}
	if err := way.Send(t.Context(), began); err != nil {
		t.Fatal(err)
	}
	want := began
	want.thread = ""
	if !reflect.DeepEqual(last, want) {
		t.Errorf("got %+v, want %+v", last, want)
	}
	for _, code := range []int{302, 400, 500} {
		before := asked.Load()
		status.Store(int32(code))
		if err := way.Send(t.Context(), began); err == nil || !strings.Contains(err.Error(), strconv.Itoa(code)) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("an answer %d: got %v", code, err)
		}
		if n := asked.Load() - before; n != 1 {
			t.Errorf("an answer %d: asked %d times, want once", code, n)
		}
	}
}

// Sign is what other languages' HMAC gives: printf '%s' '1795000000.{}' | openssl dgst -sha256 -hmac key
func TestSignIsAnHMAC(t *testing.T) {
	if got, want := hex.EncodeToString(Sign("key", "1795000000", []byte("{}"))), "71f6cd81e7ac967a6bfd8d621347e9ee7792b1fde3a9a64c3161a631437c7fb6"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
