package desktop

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// appliesTo is what policies are asked for; it is a name and no address.
const appliesTo = "https://entitlement-search.bentley.com/"

// Start runs a product for the user who is signed in, as far as its license goes. The application is there also where it does not run, and says why.
//
// A checkout that is good for it needs nobody. Otherwise the policy service is asked, and where that fails for whatever reason, the policy that is kept
// decides, and the days of offline use begin.
func (c *Client) Start(ctx context.Context, want Product) *Application {
	a := &Application{c: c, want: want, correlation: rand.Text(), begun: c.now()}
	if p := c.checkout(want); p != nil {
		a.take(p, true)
	} else {
		a.take(c.policy(ctx, want), false)
	}
	if a.Status().Runs() {
		a.running = true
		a.begin(ctx)
	}
	return a
}

// checkout is a checkout of the product that is good now; nil: there is none.
func (c *Client) checkout(want Product) *Policy {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := find(c.kept.Checkouts, c.owner(), want)
	if p == nil || !c.now().Before(p.PolicyExpiresOn.Time) {
		return nil
	}
	if a := p.acl(want); a == nil || a.AccessKind == denied {
		return nil
	}
	return p
}

// policy is the one that counts now: as it is answered, or as it is kept.
func (c *Client) policy(ctx context.Context, want Product) *Policy {
	s, p, err := c.fetch(ctx, want)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		if _, began := c.kept.OfflineSince[c.owner()]; !began {
			c.kept.OfflineSince[c.owner()] = c.now()
		}
		p = find(c.kept.Policies, c.owner(), want)
	} else {
		for id, other := range c.kept.Policies { // it is the only one of the user from now on
			if other.User == s.User {
				delete(c.kept.Policies, id)
			}
		}
		c.kept.Policies[p.PolicyID] = s
		delete(c.kept.OfflineSince, c.owner())
	}
	c.kept.cleanUp(c.now())
	if err := c.kept.save(); err != nil {
		return nil
	}
	return p
}

// owner is whose policies are used: the user's, or the key's.
func (c *Client) owner() string {
	if c.cfg.AccessKey != "" {
		return "key " + c.cfg.AccessKey
	}
	return c.cfg.User
}

// fetch asks for the certificate and for a policy, at once.
func (c *Client) fetch(ctx context.Context, want Product) (storedPolicy, *Policy, error) {
	var (
		certificate, answer []byte
		noCert, noPolicy    error
		both                sync.WaitGroup
	)
	both.Go(func() {
		certificate, noCert = c.call(ctx, http.MethodGet, c.find(ctx, PolicyService)+"/PolicyTokenSigningCertificate", false, nil)
	})
	both.Go(func() { answer, noPolicy = c.ask(ctx, want) })
	both.Wait()
	for _, err := range []error{noCert, noPolicy} {
		if err != nil {
			return storedPolicy{}, nil, err
		}
	}
	s := storedPolicy{User: c.owner(), Token: unquote(answer), Certificate: unquote(certificate), Updated: c.now()}
	p, err := openPolicy(s.Token, s.Certificate)
	if err == nil && p.PolicyID == "" {
		err = fmt.Errorf("the answer is no policy")
	}
	return s, p, err
}

func (c *Client) ask(ctx context.Context, want Product) ([]byte, error) {
	body := map[string]any{
		"MachineName":         c.cfg.Machine,
		"ClientDateTime":      c.now().UTC().Format("2006-01-02T15:04:05.000Z"),
		"Locale":              "en",
		"AppliesTo":           appliesTo,
		"RequestedSecurables": []map[string]string{{"ProductId": want.ID, "FeatureString": want.Feature, "Version": want.Version}},
	}
	if c.cfg.AccessKey == "" {
		return c.post(ctx, PolicyService, "/GetPolicy", true, body)
	}
	body["MachineSID"], body["AccessKey"] = SID(c.cfg.Machine), c.cfg.AccessKey
	return c.post(ctx, PolicyService, "/GetPolicyWithAccessKey", false, body)
}

// offlineSince is when the days of offline use began; zero: they have not.
func (c *Client) offlineSince() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kept.OfflineSince[c.owner()]
}
