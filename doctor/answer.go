package doctor

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sitegate/upstream/cloudapi"
	"sitegate/upstream/egress"
)

// asks has the destination say that it is what it should be. The sign-in is shown the site's secret, once in a run, after it has shown its certificate and that it is
// the sign-in; nobody else is.
func (x *examination) asks(d *destination, tell func(c Check, date time.Time)) func(context.Context, http.RoundTripper) {
	if d.cloud == "" && d.issuer == "" {
		return nil
	}
	return func(ctx context.Context, over http.RoundTripper) {
		whole := ctx
		ctx, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		var c Check
		var date time.Time
		if d.cloud != "" {
			c, date = askCloud(ctx, over, d)
		}
		cloud, tokens := c.State == Pass, ""
		if d.issuer != "" && (d.cloud == "" || cloud) {
			more, endpoint, at := askIssuer(ctx, over, d)
			if cloud {
				more.Found = c.Found + " " + more.Found
			}
			c, date, tokens = more, at, endpoint
		}
		c.Step = "answer"
		tell(c, date)
		if cl := x.Settings.Cloud; cl != nil && c.State == Pass && d.issuer == strings.TrimSuffix(cl.Issuer, "/") && !x.asked.Swap(true) {
			c := askToken(ctx, over, d, tokens, cl)
			c.Step = "token"
			tell(c, time.Time{})
		}
		if cloud {
			c := latency(ctx, over, d, x.Settings.Cloud.AskTimeout)
			c.Step = "latency"
			tell(c, time.Time{})
		}
		if cloud && x.Hold > 0 {
			tell(hold(whole, over, d, x.Hold), time.Time{})
		}
	}
}

// askCloud wants what the cloud says to anybody: that one has to sign in, as JSON.
func askCloud(ctx context.Context, over http.RoundTripper, d *destination) (Check, time.Time) {
	challenge := rand.Text()
	resp, body, err := get(ctx, over, d.cloud+cloudapi.PathPing, challenge)
	if err != nil {
		return silent(d), time.Time{}
	}
	if c, bad := page(d, resp, body); bad {
		return c, dateOf(resp.Header)
	}
	echo := resp.Header.Get(cloudapi.Challenge)
	if echo != "" && echo != challenge {
		return Check{State: Fail, Code: string(egress.CaptivePortal), Found: "Something in between answers in the place of " + d.host() + ", with what that has answered before.",
			Action: "Ask the proxy team not to keep this host's answers (no caching), best not to look into its traffic at all."}, dateOf(resp.Header)
	}
	switch {
	case resp.StatusCode >= 500:
		return Check{State: Fail, Code: string(egress.APIUnreachable), Found: fmt.Sprintf("The cloud answers with status %d.", resp.StatusCode), Action: "Wait, and ask the vendor whether it has an outage."}, dateOf(resp.Header)
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode/100 == 2:
		if echo != "" {
			return Check{State: Pass, Found: "The cloud answers itself, and hears what is sent."}, dateOf(resp.Header)
		}
		return Check{State: Pass, Found: "The cloud answers."}, dateOf(resp.Header)
	}
	return Check{State: Warn, Found: fmt.Sprintf("Something answers with status %d where the cloud would say 401.", resp.StatusCode), Action: "Check cloud.url with the vendor's letter."}, dateOf(resp.Header)
}

// askIssuer reads the discovery document and the keys that users' tokens are signed with. It tells where the sign-in says that tokens are given.
func askIssuer(ctx context.Context, over http.RoundTripper, d *destination) (c Check, tokens string, date time.Time) {
	resp, body, err := get(ctx, over, d.issuer+"/.well-known/openid-configuration", "")
	if err != nil {
		return silent(d), "", time.Time{}
	}
	date = dateOf(resp.Header)
	if c, bad := page(d, resp, body); bad {
		return c, "", date
	}
	var doc struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
		Tokens string `json:"token_endpoint"`
	}
	wrong := Check{State: Fail, Code: string(egress.APIUnreachable), Action: "Check the issuer's address with the vendor's letter."}
	switch {
	case resp.StatusCode != http.StatusOK || json.Unmarshal(body, &doc) != nil:
		wrong.Found = fmt.Sprintf("The sign-in's discovery document does not come: status %d.", resp.StatusCode)
		return wrong, "", date
	case strings.TrimSuffix(doc.Issuer, "/") != d.issuer:
		wrong.Found = "The sign-in calls itself by another address than the configuration."
		return wrong, "", date
	}
	keys, err := url.Parse(doc.Keys)
	us, _ := url.Parse(d.issuer)
	if err != nil || us == nil || !strings.EqualFold(keys.Host, us.Host) {
		return Check{State: Warn, Found: fmt.Sprintf("The sign-in answers; its keys are at another host, %.100s.", hostOf(keys)), Action: "Have that host allowed, too."}, doc.Tokens, date
	}
	resp, body, err = get(ctx, over, keys.String(), "")
	if err != nil {
		return silent(d), "", date
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if resp.StatusCode != http.StatusOK || json.Unmarshal(body, &set) != nil || len(set.Keys) == 0 {
		wrong.Found, wrong.Action = fmt.Sprintf("The sign-in's keys do not come: status %d.", resp.StatusCode), "Ask the vendor, or whoever runs the sign-in."
		return wrong, "", date
	}
	return Check{State: Pass, Found: "The sign-in answers, with its keys."}, doc.Tokens, date
}

func hostOf(u *url.URL) string {
	if u == nil {
		return "which cannot be read"
	}
	return u.Host
}

func silent(d *destination) Check {
	return Check{State: Fail, Code: string(egress.APIUnreachable), Found: d.host() + " takes the connection and does not answer.", Action: "Ask the proxy team whether it cuts or holds back this host's traffic."}
}

// page finds out that somebody else answers: with HTML, or by sending elsewhere.
func page(d *destination, resp *http.Response, body []byte) (Check, bool) {
	start := strings.ToLower(strings.TrimSpace(string(body[:min(len(body), 64)])))
	html := strings.Contains(resp.Header.Get("Content-Type"), "html") || strings.HasPrefix(start, "<!doctype") || strings.HasPrefix(start, "<html")
	c := Check{State: Fail, Code: string(egress.CaptivePortal), Action: "Ask the proxy or network team to exempt this server from the sign-in or warning page."}
	switch {
	case resp.StatusCode/100 == 3:
		to, _ := url.Parse(resp.Header.Get("Location"))
		c.Found = fmt.Sprintf("Something in between sends %s elsewhere, to %.100s.", d.host(), hostOf(to))
	case html:
		c.Found = fmt.Sprintf("A web page comes in the place of %s (status %d).", d.host(), resp.StatusCode)
	default:
		return Check{}, false
	}
	return c, true
}

// get asks for a page, with something for the cloud to repeat; empty: nothing.
func get(ctx context.Context, over http.RoundTripper, address, challenge string) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	if challenge != "" {
		req.Header.Set(cloudapi.Challenge, challenge)
	}
	return send(over, req)
}

// send sends a request, and reads a small answer.
func send(over http.RoundTripper, req *http.Request) (*http.Response, []byte, error) {
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "sitegate-doctor")
	resp, err := over.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp, body, err
}
