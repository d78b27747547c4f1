package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"sitegate/configs"
	"sitegate/upstream/cloudapi"
	"sitegate/upstream/egress"
)

// askToken asks the sign-in for the site's token, as the node does: by its id and secret, and only where the issuer itself is.
func askToken(ctx context.Context, over http.RoundTripper, d *destination, endpoint string, cl *configs.Cloud) Check {
	us, _ := url.Parse(d.issuer)
	them, err := url.Parse(endpoint)
	if err != nil || us == nil || them.Scheme != "https" || !strings.EqualFold(them.Host, us.Host) {
		return Check{State: Fail, Code: string(egress.APIUnreachable), Found: fmt.Sprintf("The sign-in wants the site's secret sent to another host, %.100s. It was not sent.", hostOf(them)), Action: "Check the issuer's address with the vendor's letter."}
	}
	secret, err := egress.ReadSecret(cl.SecretFile)
	if err != nil {
		return Check{State: Skip, Found: "Not tried: the site's secret cannot be read."} // the row config says why
	}
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {cloudapi.Scope}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return silent(d)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(cl.SiteID), url.QueryEscape(secret)) // RFC 6749, 2.3.1: encoded as in a form
	resp, body, err := send(over, req)
	if err != nil {
		return silent(d)
	}
	if c, bad := page(d, resp, body); bad {
		return c
	}
	var a struct {
		Token string `json:"access_token"`
		Error string `json:"error"`
	}
	said := json.Unmarshal(body, &a) == nil
	switch {
	case resp.StatusCode == http.StatusOK && said && a.Token != "":
		return Check{State: Pass, Found: "The sign-in takes this site's id and secret."}
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusTooManyRequests:
		return Check{State: Fail, Code: string(egress.APIUnreachable), Found: fmt.Sprintf("The sign-in gives no token now: status %d.", resp.StatusCode), Action: "Wait, and ask the vendor whether it has an outage."}
	case said && a.Error == "invalid_client":
		return Check{State: Fail, Code: "site_secret_rejected", Found: "The sign-in does not take this site's id and secret.", Action: "Compare cloud.site_id with the vendor's letter, and have the secret in cloud.secret_file renewed."}
	}
	return Check{State: Fail, Code: string(egress.APIUnreachable), Found: fmt.Sprintf("The sign-in gives no token: status %d.", resp.StatusCode), Action: "Ask the vendor, with this server's time and the site's id."}
}

const (
	latencyTimes = 5
	slowAnswer   = time.Second
)

// latency is how long the cloud takes for a small answer: the middle one of a few, over a connection that is open. most is how long a start waits for the cloud.
func latency(ctx context.Context, over http.RoundTripper, d *destination, most time.Duration) Check {
	var took []time.Duration
	for range latencyTimes {
		begun := time.Now()
		_, _, err := get(ctx, over, d.cloud+cloudapi.PathPing, "")
		if err != nil && ctx.Err() == nil { // the connection was closed after the answer before
			break
		}
		if took = append(took, time.Since(begun)); err != nil {
			break
		}
	}
	if len(took) == 0 {
		return Check{State: Skip, Found: "Not measured: the connection is closed after each answer."}
	}
	slices.Sort(took)
	middle := took[len(took)/2]
	c := Check{State: Pass, Found: fmt.Sprintf("An answer takes %d ms, the middle one of %d.", middle.Milliseconds(), len(took))}
	switch {
	case middle > most:
		c.State, c.Code = Fail, string(egress.APIUnreachable)
		c.Found += fmt.Sprintf(" A start waits %s for the cloud, and is refused then.", most)
		c.Action = "Ask the proxy and network teams why the way out is so slow; until then cloud.ask_timeout may be longer."
	case middle > slowAnswer:
		c.State = Warn
		c.Found += " Each start of a capped product takes as long."
		c.Action = "Ask the proxy and network teams why the way out is so slow."
	}
	return c
}

// hold leaves the connection without a word, and asks again: a request for the cloud's changes is as silent while there are none, and whatever is on the way may end what is silent.
func hold(ctx context.Context, over http.RoundTripper, d *destination, silence time.Duration) Check {
	c := Check{Step: "hold", State: Pass, Found: fmt.Sprintf("A connection that was silent for %s is still there.", silence)}
	before, enough := context.WithTimeout(ctx, answerTime)
	defer enough()
	if _, _, err := get(before, over, d.cloud+cloudapi.PathPing, ""); err != nil {
		return Check{Step: "hold", State: Skip, Found: "Not tried: the connection is closed after each answer."}
	}
	wait := time.NewTimer(silence)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
		return Check{Step: "hold", State: Skip, Found: "Not tried: there was no time."}
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if _, _, err := get(ctx, over, d.cloud+cloudapi.PathPing, ""); err != nil {
		c.State, c.Found = Warn, fmt.Sprintf("A connection that is silent for %s does not live as long. If that is so for 25 s, each request for the cloud's changes is cut, and they come later.", silence)
		c.Action = "Ask the proxy and firewall teams how long they leave a silent connection alone, and for 60 s or more. Where they do, it is the cloud's own limit."
	}
	return c
}
