// Package configs is what an operator sets: the Config of a node, its defaults,
// and how it is put together from a file, the environment and a few flags, in
// that order, the later one winning.
//
// It promises to be plain about mistakes. Unknown keys are refused, with the
// line and the key that was probably meant; all problems are reported at once,
// each naming the key and the way out; and every setting knows where it came
// from (Origins). Secrets are paths of files and never values, so that a
// configuration can be shown to anybody.
//
// Paths in a file that are not absolute count from the file's own folder, so a
// node's folder can be copied as a whole.
//
// The package leaves to others what the settings do. It opens no socket, and no
// file but the configuration itself, until CheckFiles is called.
package configs

import (
	"net/netip"
	"time"
)

// Config is everything an operator may set for one node. Default gives the
// values of what is left out; pointers are sections that may be absent.
type Config struct {
	// Node names this node within its cluster: letters, digits, dot and dash.
	Node string `key:"node"`
	// DataDir holds what the node keeps. One process uses it at a time.
	DataDir string `key:"data_dir,path"`

	Cluster *Cluster `key:"cluster"` // absent: a single node
	API     API      `key:"api"`
	Connect *Connect `key:"connect"` // absent: no forward proxy for sign-in pages
	Relay   *Relay   `key:"relay"`   // absent: the vendor's own client is not relayed
	Cloud   *Cloud   `key:"cloud"`   // absent: there is no cloud to ask
	Egress  Egress   `key:"egress"`
	SignIn  []SignIn `key:"sign_in"`
	// Administrators is who administers over the network; absent: whoever comes by the
	// operator's socket, and with an API token.
	Administrators *Administrators `key:"administrators"`
	Rules          Rules           `key:"rules"`
	Limits         Limits          `key:"limits"`
	Backup         *Backup         `key:"backup"` // absent: no backups but those that are asked for
	Disk           Disk            `key:"disk"`
	Usage          Usage           `key:"usage"`
	Alerts         *Alerts         `key:"alerts"`  // absent: nobody is told by mail or webhook
	Reports        *Reports        `key:"reports"` // absent: none is sent
	Privacy        Privacy         `key:"privacy"`
	Audit          Audit           `key:"audit"`
	Log            Log             `key:"log"`
}

// Cluster makes the node one of three or five. ID, Peers and the files are those that
// "sitegate cluster init" writes, and go together: a cluster begins with them. A node
// that joins one by token, or may be joined, needs none of them: what it has learned
// is in DataDir.
type Cluster struct {
	// ID is in every node's certificate: nodes of another cluster are refused.
	ID string `key:"id"`
	// Tempo is how soon a silent leader is given up: lan, vm (disks or processors
	// that stall) or wan. Empty takes vm for a cluster that is made, and what it was told
	// for a node that has joined one.
	Tempo string `key:"tempo"`
	// Listen is the peer port, host:port; empty takes Advertise.
	Listen string `key:"listen"`
	// Advertise is how the others reach the peer port; empty takes this node's
	// address in Peers.
	Advertise string `key:"advertise"`
	// Peers are all nodes the cluster starts with, this one included.
	Peers    []Peer `key:"peers"`
	CAFile   string `key:"ca_file,path"`
	CertFile string `key:"cert_file,path"`
	KeyFile  string `key:"key_file,path"`
	// CAKeyFile is the key of the site's CA, which nodes that vote hold: with it they
	// let others in and renew certificates. Empty: the one in DataDir, if any.
	CAKeyFile string `key:"ca_key_file,path"`
	// RemoveDeadAfter takes a node out that has been silent for so long, while most are
	// well. Zero: never, an operator does.
	RemoveDeadAfter time.Duration `key:"remove_dead_after"`
	// HoldLevel keeps the cluster at the level that it works at, so that the way back to
	// an earlier version stays open. One node that says so is enough.
	HoldLevel bool `key:"hold_level"`
}

// Made reports whether the section is one of "sitegate cluster init": all nodes of a
// cluster that begins with them.
func (cl *Cluster) Made() bool {
	return cl != nil && (cl.ID != "" || len(cl.Peers) > 0 || cl.CAFile != "" || cl.CertFile != "" || cl.KeyFile != "")
}

// Peer is one node of the cluster and its peer port.
type Peer struct {
	Name    string `key:"name"`
	Address string `key:"address"` // host:port
}

// API is where desktops and operators ask.
type API struct {
	Listen string `key:"listen"` // host:port; port 0 takes a free one
	// URL is how clients reach this node, https://host:port. Empty takes Listen,
	// and stays empty where its port is 0 and only known once it is bound.
	URL string `key:"url"`
	// Nodes are the URLs of all nodes, this one included, which clients are told;
	// empty takes URL.
	Nodes []string `key:"nodes"`
	// CertFile and KeyFile are what the API shows. Without them a site CA is made
	// in DataDir at the first start.
	CertFile string `key:"cert_file,path"`
	KeyFile  string `key:"key_file,path"`
	// MetricsFrom are the networks that may read /metrics without signing in.
	MetricsFrom []netip.Prefix `key:"metrics_from"`
}

// Cloud is the vendor's entitlement service.
type Cloud struct {
	URL    string `key:"url"`
	SiteID string `key:"site_id"`
	// Issuer gives the site its access tokens there; empty takes the first of SignIn.
	Issuer string `key:"issuer"`
	// SecretFile holds the site's own credential there.
	SecretFile string `key:"secret_file,path"`
	// AskTimeout is how long a start waits for the cloud's agreement: 1 s to 30 s.
	AskTimeout time.Duration `key:"ask_timeout"`
	// Requests bounds this site's requests to the cloud in any 30 s, 10 to 100000; zero
	// leaves it to the cloud to say when there are too many.
	Requests int `key:"requests"`
	// PortalURL is the page of the vendor's portal where licenses are assigned; empty: it is
	// not linked to.
	PortalURL string `key:"portal_url"`
}

// Egress is the one way out of the site: through proxies, as a PAC file says, or directly where that
// is said in as many words.
type Egress struct {
	// Proxy is the site's proxy, or the first of several. In routes it is called "proxy",
	// unless it has a name.
	Proxy   *Proxy  `key:"proxy"`
	Proxies []Proxy `key:"proxies"` // tried after Proxy, in this order
	PAC     *PAC    `key:"pac"`     // decides where no route does, instead of that order
	Direct  bool    `key:"direct"`  // everything that no route is for; instead of proxies
	// Routes are for some destinations.
	Routes  []Route   `key:"routes"`
	ExtraCA []ExtraCA `key:"extra_ca"`
}

// Proxy is a forward proxy; see egress.Proxy.
type Proxy struct {
	Name         string    `key:"name"`    // empty: its address
	Kind         string    `key:"kind"`    // http (the default), https or socks5
	Address      string    `key:"address"` // host:port
	Username     string    `key:"username"`
	PasswordFile string    `key:"password_file,path"`
	Realm        string    `key:"realm"` // empty: any
	Auth         []string  `key:"auth"`  // empty: all that is configured, but NTLM
	Kerberos     *Kerberos `key:"kerberos"`
	CAFile       string    `key:"ca_file,path"` // of kind https, as those that follow
	CertFile     string    `key:"cert_file,path"`
	KeyFile      string    `key:"key_file,path"`
	ServerName   string    `key:"server_name"`
}

// Kerberos is who the gateway is to a proxy that asks for Negotiate; see egress.Kerberos.
type Kerberos struct {
	Principal  string `key:"principal"` // user@REALM
	KeytabFile string `key:"keytab_file,path"`
	CacheFile  string `key:"cache_file,path"`
	ConfigFile string `key:"config_file,path"` // empty: /etc/krb5.conf
	SPN        string `key:"spn"`              // empty: HTTP/ and the proxy's host
}

// PAC is a proxy auto-configuration file, at a URL or on this machine.
type PAC struct {
	URL     string        `key:"url"`
	File    string        `key:"file,path"`
	Refresh time.Duration `key:"refresh"` // 1 min to 24 h
}

// Route says by which way some hosts are reached.
type Route struct {
	Hosts []string `key:"hosts"` // exact names, or .suffix
	Via   []string `key:"via"`   // names of proxies, direct, pac or deny
}

// ExtraCA is a certificate authority that is trusted for some hosts, and for
// those only.
type ExtraCA struct {
	File  string   `key:"file,path"`
	Hosts []string `key:"hosts"`
}

// SignIn is an OpenID Connect issuer whose access tokens are accepted, if they
// are made out to the audience.
type SignIn struct {
	Issuer   string `key:"issuer"`
	Audience string `key:"audience"`
	// UserClaim holds the vendor's id of the user: the claim's name or, with dots, the path
	// to it; empty: sub.
	UserClaim string `key:"user_claim"`
	// Domains are those of the e-mails, in the vendor's list, of the users whom it vouches
	// for; none: it vouches for all.
	Domains []string `key:"domains"`
	// EmailsVerified: its tokens have no email_verified, and whose an e-mail is was made sure
	// of by the issuer; false: one counts only where its token says so.
	EmailsVerified bool `key:"emails_verified"`
}

// Rules are what this node proposes for the whole site; see license.Settings.
type Rules struct {
	SessionScope  string        `key:"session_scope"`  // user or license
	CheckoutScope string        `key:"checkout_scope"` // user or license
	LeaseTTL      time.Duration `key:"lease_ttl"`      // 180 s to 60 min
	// AutonomyCapped and AutonomyUncapped shorten how long after the last contact
	// with the cloud starts may be granted; nil leaves the account's terms.
	AutonomyCapped   *time.Duration `key:"autonomy_capped"`
	AutonomyUncapped *time.Duration `key:"autonomy_uncapped"`
	Checkouts        string         `key:"checkouts"`        // on or off: new ones
	CheckoutMax      time.Duration  `key:"checkout_max"`     // zero: the account's
	CheckoutDefault  time.Duration  `key:"checkout_default"` // where nobody says until when
	SaveGrace        time.Duration  `key:"save_grace"`       // 1 min to 2 h
	V8i              string         `key:"v8i"`              // refuse or pass: V8i products that no license is for (R17)
	// MachineKeys: nothing new is granted to who shows no key of their machine.
	MachineKeys bool `key:"machine_keys"`
	// Hosts are the multi-user servers whose keys stand beside those of the machines that
	// their users come from; see license.Settings.
	Hosts []string `key:"hosts"`
	// Takeover is what a refused machine may do about its user's active one: refuse,
	// ask or grace; TakeoverGrace is how long that one then has: 1 min to 60 min.
	Takeover      string        `key:"takeover"`
	TakeoverGrace time.Duration `key:"takeover_grace"`
	Modes         []RuleMode    `key:"modes"`
}

// RuleMode is how the rules are enforced for relayed traffic of a product, a
// network, or both; see license.Mode.
type RuleMode struct {
	Product string `key:"product"` // empty: every product
	// Network is the addresses it is for; the zero Prefix: all.
	Network netip.Prefix `key:"network"`
	Mode    string       `key:"mode"` // on or observe
}

// Backup makes this node back the site up by itself.
type Backup struct {
	// Folder is where to; it must be there. Best not on this node's disk: any number of
	// nodes can share one.
	Folder string        `key:"folder,path"`
	Every  time.Duration `key:"every"` // 10 min to 31 days
	Keep   int           `key:"keep"`  // of this node's, at least 2: older ones are removed
}

// Limits hold for each identity, and for each address before it has one.
type Limits struct {
	RequestsPerSecond float64 `key:"requests_per_second"`
	Burst             int     `key:"burst"`
}

// Disk is how a node deals with its disk.
type Disk struct {
	// BallastMB is how many megabytes in DataDir are kept to be given up when the disk
	// is nearly full, so that the node can go on writing; 0 is none.
	BallastMB int `key:"ballast_mb"`
}

// Audit is how long the audit trail is kept.
type Audit struct {
	// Retention is how long records are kept at least; zero: for ever. Older ones are
	// dropped once they were exported, and not before.
	Retention time.Duration `key:"retention"`
}

// Default is what holds where nothing is set.
func Default() Config {
	return Config{
		Node:    "node1",
		DataDir: "/var/lib/sitegate",
		API: API{
			Listen:      "127.0.0.1:8443",
			MetricsFrom: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		},
		Rules: Rules{SessionScope: "user", CheckoutScope: "license", LeaseTTL: 180 * time.Second, CheckoutDefault: 14 * 24 * time.Hour, SaveGrace: 15 * time.Minute, Checkouts: "on", V8i: "refuse",
			Takeover: "refuse", TakeoverGrace: 10 * time.Minute},
		Limits:  Limits{RequestsPerSecond: 20, Burst: 40},
		Disk:    Disk{BallastMB: 64},
		Audit:   Audit{Retention: 400 * 24 * time.Hour},
		Usage:   Usage{RoomMB: 16384, Way: "site"},
		Privacy: Privacy{Names: "clear", Countries: []string{"DE"}, History: 90 * 24 * time.Hour},
		Log:     Log{Level: "info", Format: "text", Target: LogStderr, FileMB: 100, FileKeep: 5},
	}
}

// The defaults of sections that may be absent hold once the section is there.
func (c *Cloud) defaults()  { c.AskTimeout = 5 * time.Second }
func (p *PAC) defaults()    { p.Refresh = 10 * time.Minute }
func (b *Backup) defaults() { b.Every, b.Keep = 24*time.Hour, 7 }

// derive fills in what follows from other settings, and tells of it.
func (c *Config) derive(told func(key, from string)) {
	if cl := c.Cluster; cl != nil {
		if cl.Tempo == "" && cl.Made() {
			cl.Tempo = "vm" // one that has joined has its cluster's
		}
		for i, p := range cl.Peers {
			if p.Name == c.Node && cl.Advertise == "" {
				cl.Advertise = p.Address
				told("cluster.advertise", keyf("cluster.peers[%d]", i+1))
			}
		}
		if cl.Listen == "" && cl.Advertise != "" {
			cl.Listen = cl.Advertise
			told("cluster.listen", "cluster.advertise")
		}
		if cl.Advertise == "" && cl.Listen != "" && reachable(cl.Listen) && !cl.Made() {
			cl.Advertise = cl.Listen
			told("cluster.advertise", "cluster.listen")
		}
	}
	if c.Cloud != nil && c.Cloud.Issuer == "" && len(c.SignIn) > 0 {
		c.Cloud.Issuer = c.SignIn[0].Issuer
		told("cloud.issuer", "sign_in[1].issuer")
	}
	if c.API.URL == "" && reachable(c.API.Listen) {
		c.API.URL = "https://" + c.API.Listen
		told("api.url", "api.listen")
	}
	if c.Relay != nil && c.Relay.URL == "" && !c.Cluster.Made() {
		c.Relay.URL = c.API.URL
		told("relay.url", "api.url")
	}
	if len(c.API.Nodes) == 0 && c.API.URL != "" {
		c.API.Nodes = []string{c.API.URL}
		told("api.nodes", "api.url")
	}
}
