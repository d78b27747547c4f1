package endpoint

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/gorilla/websocket"

	"sitegate/api"
)

// bearer is the access token that a request shows: in its Authorization header, or, where
// it has none and asks for the websocket of notices, among the subprotocols that it offers. A
// page in a browser can say no other thing with a websocket that stays out of the URL,
// and with it out of histories and logs. The entry is never the one that is chosen, so it
// does not come back.
func bearer(r *http.Request) (token string, err error) {
	if h, there := r.Header["Authorization"]; there {
		scheme, token, _ := strings.Cut(h[0], " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return "", &authError{tokenMissing}
		}
		return strings.TrimSpace(token), nil
	}
	if r.URL.Path != api.PathNotices || !websocket.IsWebSocketUpgrade(r) {
		return "", &authError{tokenMissing}
	}
	for _, p := range websocket.Subprotocols(r) {
		text, ok := strings.CutPrefix(p, api.BearerProtocol)
		if !ok {
			continue
		}
		if token != "" || len(text) > base64.RawURLEncoding.EncodedLen(maxToken) {
			return "", &authError{tokenMalformed}
		}
		b, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || len(b) == 0 {
			return "", &authError{tokenMalformed}
		}
		token = string(b)
	}
	return token, nil
}
