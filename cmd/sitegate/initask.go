package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"sitegate/configs"
)

// ask has a person say it all, one question after the other; what cannot be is said at
// once and asked again.
func (a *nodeAnswers) ask(ctx context.Context, t *terminal) error {
	key := func(key string) func(string) error {
		return func(s string) error { return configs.Wrong(key, s) }
	}
	orNone := func(check func(string) error) func(string) error {
		return func(s string) error {
			if s == noSuch {
				return nil
			}
			return check(s)
		}
	}
	t.say("A configuration for this node. Enter takes what stands in brackets.\n\n")
	q := &questions{ctx: ctx, t: t}
	a.Node = q.ask("Name of this node", a.Node, key("node"))
	a.Address = q.ask("Host and port by which desktops reach it", a.Address, func(s string) error {
		if _, _, err := net.SplitHostPort(s); err != nil {
			return fmt.Errorf("%q is not host:port", s)
		}
		return configs.Wrong("api.url", "https://"+s)
	})
	a.DataDir = q.ask("Folder of what it keeps", a.DataDir, key("data_dir"))
	a.secrets = map[string]string{}
	if a.CloudURL = q.ask("The vendor's cloud, https://…, as in the vendor's letter; or none", noSuch, orNone(key("cloud.url"))); a.CloudURL == noSuch {
		a.CloudURL = ""
	}
	if a.CloudURL != "" {
		a.SiteID = q.ask("This site's id (account) there", "", key("cloud.site_id"))
		a.secrets[fileCloudSecret] = q.secret("This site's secret there (it is not shown)")
	}
	way := q.ask("The way out: direct, a proxy's host:port, or the URL of a PAC file", "direct", func(s string) error {
		switch {
		case s == "direct":
			return nil
		case strings.Contains(s, "://"):
			return configs.Wrong("egress.pac.url", s)
		}
		return configs.Wrong("egress.proxy.address", s)
	})
	switch {
	case way == "direct":
		a.Direct = true
	case strings.Contains(way, "://"):
		a.PAC = way
	default:
		a.Proxy = way
		if a.ProxyUser = q.ask("User name for the proxy; or none", noSuch, orNone(key("egress.proxy.username"))); a.ProxyUser == noSuch {
			a.ProxyUser = ""
		}
		if a.ProxyUser != "" {
			a.secrets[fileProxyPassword] = q.secret("Password for the proxy (it is not shown)")
		}
	}
	a.Issuer = q.ask("Who vouches for users: the OpenID Connect issuer of their sign-in", cmp.Or(a.Issuer, vendorIssuer), key("cloud.issuer"))
	a.Audience = q.ask("What its access tokens are made out to (audience)", a.Audience, func(s string) error {
		if s == "" {
			return errors.New("is missing")
		}
		return nil
	})
	return q.err
}

// noSuch is the answer of who has no such thing.
const noSuch = "none"

// vendorIssuer is the vendor's own sign-in.
const vendorIssuer = "https://ims.bentley.com"
