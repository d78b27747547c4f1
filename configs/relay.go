package configs

import (
	"net"
	"net/url"
	"strings"

	"sitegate/license"
)

// Relay is the traffic of the vendor's own client (CONNECTION Client) through this
// node: its entitlements are asked for here, relayed to the vendor, and enforced on the
// way. The addresses are those of the vendor's services; their defaults are the
// public ones.
type Relay struct {
	// URL is where discovery sends clients, which remember it for a day: the cluster's one
	// name and never a node's. Empty takes api.url of a node that is alone.
	URL string `key:"url"`

	DiscoveryURL string `key:"discovery_url"`
	PolicyURL    string `key:"policy_url"`
	PostingURL   string `key:"posting_url"`
	LocationURL  string `key:"location_url"`
	AccessKeyURL string `key:"access_key_url"`
	// UploadHosts are where usage files may go: a host, or a domain as .blob.example.com.
	UploadHosts []string `key:"upload_hosts"`
	// Region is the vendor's region whose services are relayed; 0 is production.
	Region int `key:"region"`
	// Audiences are whom desktops' access tokens are made out to, besides the audience of
	// sign_in; they are taken for what is relayed, and for nothing else.
	Audiences []string `key:"audiences"`
	// SignerFile holds certificates, in PEM, that the vendor signs policies and checkout files
	// with, besides those that its service names: for checkouts without a link, and those of
	// before the vendor's certificate changed.
	SignerFile string `key:"signer_file,path"`
	// CertFile and KeyFile are what is shown to a client that asks for the discovery host
	// by its own name, where the site's DNS sends it here.
	CertFile string `key:"cert_file,path"`
	KeyFile  string `key:"key_file,path"`
}

func (r *Relay) defaults() {
	const vendor = "https://connect-ulastm.bentley.com"
	r.DiscoveryURL = "https://buddi.bentley.com/discovery.asmx"
	r.PolicyURL = vendor + "/Bentley.Entitlement.PolicyService/PolicySvcWebApi/api"
	r.PostingURL = vendor + "/Bentley.ULAS.PostingService/PostingSvcWebApi"
	r.LocationURL = vendor + "/Bentley.ULAS.LocationService/LocationSvcWebApi"
	r.AccessKeyURL = vendor + "/Bentley.ULAS.AccessKeyService/AccessKeySvcWebApi"
	r.UploadHosts = []string{".blob.core.windows.net"}
}

// maxAudiences is more than a client has kinds of tokens.
const maxAudiences = 16

func (r *Relay) validate(p *Problems, c Config) {
	if r.URL == "" {
		p.add("relay.url", "is missing; name the one address that leads to any node of this cluster, as https://licenses.example.com: clients remember it for a day")
	} else {
		p.url("relay.url", r.URL, false)
		if c.Cluster.Made() && len(c.API.Nodes) > 1 && r.URL == c.API.URL {
			p.add("relay.url", "is this node's own; name one that leads to any node of this cluster, since clients remember it for a day")
		}
	}
	for _, s := range []struct{ key, url string }{
		{"relay.discovery_url", r.DiscoveryURL}, {"relay.policy_url", r.PolicyURL}, {"relay.posting_url", r.PostingURL},
		{"relay.location_url", r.LocationURL}, {"relay.access_key_url", r.AccessKeyURL},
	} {
		p.url(s.key, s.url, true)
		u, err := url.Parse(s.url)
		switch {
		case err != nil:
		case strings.HasSuffix(u.Path, "/"):
			p.add(s.key, "%q ends with a slash; take it out", mask(s.url))
		case r.URL != "" && sameHost(s.url, r.URL):
			p.add(s.key, "leads back to this gateway; it is the vendor's service that belongs here")
		}
	}
	if u, err := url.Parse(r.PolicyURL); err == nil && !strings.HasSuffix(u.Path, "/api") {
		p.add("relay.policy_url", "%q does not end with /api, as the policy service's address does", mask(r.PolicyURL))
	}
	for i, h := range r.UploadHosts {
		p.hostOrDomain(keyf("relay.upload_hosts[%d]", i+1), h)
	}
	if r.Region < 0 {
		p.add("relay.region", "is %d; 0 is the vendor's production", r.Region)
	}
	if len(r.Audiences) > maxAudiences {
		p.add("relay.audiences", "lists %d; %d are the most", len(r.Audiences), maxAudiences)
	}
	for i, a := range r.Audiences {
		if a == "" || len(a) > license.MaxName {
			p.add(keyf("relay.audiences[%d]", i+1), "is 1 to %d bytes", license.MaxName)
		}
	}
	p.together("relay.cert_file", r.CertFile, "relay.key_file", r.KeyFile)
}

// sameHost reports whether two addresses lead to the same host and port.
func sameHost(a, b string) bool {
	u, err := url.Parse(a)
	v, err2 := url.Parse(b)
	if err != nil || err2 != nil || u.Host == "" {
		return false
	}
	full := func(u *url.URL) string {
		port := u.Port()
		if port == "" {
			port = "443"
		}
		return strings.ToLower(net.JoinHostPort(u.Hostname(), port))
	}
	return full(u) == full(v)
}

// SiteSettings is what a validated configuration proposes for the site.
func (c Config) SiteSettings() license.Settings {
	s := c.Rules.Settings()
	s.Relay = c.Relay != nil
	return s
}
