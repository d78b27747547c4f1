package endpoint

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"sitegate/gateway"
	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// RelayConfig is what the relay of the CONNECTION Client's own traffic is made of. The
// addresses are those of the vendor's services.
type RelayConfig struct {
	// Transport is the site's way out. It follows no redirect and adds no encoding.
	Transport http.RoundTripper
	// URL is where discovery sends clients: the cluster's one name.
	URL       string
	Discovery string
	Policy    string // ends with /api
	Posting   string
	Location  string
	AccessKey string
	// UploadHosts are where usage files may go: a host, or a domain as .blob.example.
	UploadHosts []string
	Region      int
	// Signers are certificates that the vendor signs with, by the site's own word, besides
	// those that its service names.
	Signers []*x509.Certificate
	// Audiences are whom desktops' tokens are made out to, besides the issuer's own.
	Audiences []string
	// KeptDir is where the vendor's last policies are kept, to be served while it cannot be
	// asked; empty: none are.
	KeptDir string
}

// relay carries the CONNECTION Client's own traffic to the vendor and back, and
// enforces the rule of one machine on the way: what the vendor allows becomes a start
// before its answer leaves, or the answer stays here. Answers are passed on byte for
// byte, as the vendor has signed them.
//
// A path is a line of routes: who may ask, what is read of the request before it is
// relayed (ask), what is read of the answer before any of it leaves (judge), and what
// is answered where the vendor is not to be reached (instead).
type relay struct {
	e         *Endpoint
	cfg       RelayConfig
	services  []service
	auth      *auth // of desktops' tokens
	proxy     *httputil.ReverseProxy
	urls      *discovered
	signers   *signers
	proofs    *proofs
	last      *lastPolicies
	verified  *verifiedPolicies
	kept      *keptPolicies // nil: none are kept
	begun     *beginnings
	unsigned  *limits[string] // of what is relayed without a token that is known, by address
	rereads   *rate.Limiter   // of the mirror, for what it refuses and the vendor allows
	places    *places
	room      relaying                // for what is under way
	takenOver *limits[license.UserID] // postings, by user
	briefly   time.Duration           // that who asks waits for a service that is silent

	ctx context.Context // of questions that their clients do not wait for
	end context.CancelFunc
}

// service is one of the vendor's that clients find by discovery.
type service struct {
	name string // in discovery
	path string // at this gateway
	to   *url.URL
}

// relayed is one path of the vendor's.
type relayed struct {
	method, path string // at this gateway
	to           *url.URL
	signedIn     bool          // a token is needed
	media        string        // of the request's body; empty: it has none
	most         int64         // bytes of that
	query        bool          // is passed on; else there must be none
	quiet        bool          // logged at debug
	time         time.Duration // from its beginning to its end; zero: the default
	// before is asked before the body is read, and after is what is done in the end.
	before func(*exchange) (after func(), err error)
	// ask reads the request. done: it has been answered.
	ask func(*exchange) (done bool, err error)
	// judge reads a whole answer and returns what leaves; an error keeps it here.
	judge func(x *exchange, resp *http.Response, body []byte) ([]byte, error)
	// instead answers where the vendor did not, for this reason; false: it cannot.
	instead func(x *exchange, why error) bool
	// silence is of those that have an instead: whether the vendor's service answers. spare
	// reports whether there is that other answer, so that the vendor's is not worth a long wait.
	silence *silence
	spare   func(*exchange) bool
	// late reads an answer that its client did not wait for, as judge does; nothing of it leaves
	// any more. nil: the question ends with the wait.
	late func(x *exchange, resp *http.Response, body []byte) ([]byte, error)
}

// exchange is one request and its answer on the way.
type exchange struct {
	*call
	rt   *relayed
	desk desk
	body []byte
	// Of requests for policies and entitlements.
	machine license.Machine
	want    []wanted
	kept    *keptPolicy // that may be served again; nil: it has not been looked at
	// Of a GetUrl; nil: another call.
	url *cloudapi.GetURL
	// Of postings.
	runs []cloudapi.Run
	err  error // why nothing was passed on
}

// wanted is a product that is asked for.
type wanted struct {
	product license.ProductID
	feature string
	version string
}

// The bounds of the relay.
const (
	relayTime     = 20 * time.Second // from the request's end to the answer's
	rereadsAtMost = 5 * time.Second  // between readings of the mirror
)

func newRelay(e *Endpoint, cfg RelayConfig) (*relay, error) {
	rl := &relay{e: e, cfg: cfg, urls: newDiscovered(), proofs: newProofs(), last: newLastPolicies(), verified: newVerifiedPolicies(), begun: newBeginnings(), unsigned: newLimits[string](Rate{PerSecond: unsignedPerSecond, Burst: unsignedBurst}), takenOver: newLimits[license.UserID](Rate{PerSecond: takenOverPerSecond, Burst: takenOverBurst}), places: newPlaces(), room: relaying{of: map[string]int{}},
		briefly: briefly, rereads: rate.NewLimiter(rate.Every(rereadsAtMost), 3)}
	if cfg.Transport == nil || cfg.URL == "" {
		return nil, errors.New("endpoint: the relay needs a Transport and a URL")
	}
	var problems []error
	parse := func(s string) *url.URL {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || u.RawQuery != "" {
			problems = append(problems, fmt.Errorf("endpoint: the relay's address %.100q is no base URL", s))
			return &url.URL{}
		}
		return u
	}
	rl.services = []service{
		{cloudapi.ServicePolicy, cloudapi.DefaultPolicyPath, parse(cfg.Policy)},
		{cloudapi.ServicePosting, cloudapi.PathPosting, parse(cfg.Posting)},
		{cloudapi.ServiceLocation, cloudapi.PathLocation, parse(cfg.Location)},
		{cloudapi.ServiceAccessKey, pathAccessKey, parse(cfg.AccessKey)},
	}
	parse(cfg.Discovery)
	parse(cfg.URL)
	if !strings.HasSuffix(cfg.Policy, apiSuffix) {
		problems = append(problems, fmt.Errorf("endpoint: the policy service's address %.100q does not end with %s", cfg.Policy, apiSuffix))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	rl.auth = e.auth.forOthers(cfg.Audiences)
	rl.signers = newSigners(cfg.Transport, cfg.Policy+cloudapi.PathSigningCertificate, cfg.Signers)
	if cfg.KeptDir != "" {
		var err error
		if rl.kept, err = openKeptPolicies(cfg.KeptDir, func() bool { return e.gw.Disk().Low }, e.log); err != nil {
			return nil, err
		}
		rl.signers.heard = rl.keepCertificate
		rl.signers.seed(rl.kept.certificate(), rl.kept.olderCertificates())
	}
	rl.proxy = rl.newProxy()
	rl.ctx, rl.end = context.WithCancel(context.Background())
	return rl, nil
}

// run writes what is kept until ctx ends; then nothing is asked any more that nobody waits for.
func (rl *relay) run(ctx context.Context) {
	defer rl.end()
	if rl.kept != nil {
		rl.kept.run(ctx)
	}
	<-ctx.Done()
}

const (
	apiSuffix     = "/api"
	pathAccessKey = "/Bentley.ULAS.AccessKeyService/AccessKeySvcWebApi"
	mediaJSON     = "application/json"
	mediaXML      = "text/xml"
	mediaAny      = "*/*" // or none
)

// via is what this site's nodes write into Via, and know their own requests by.
func (rl *relay) via() (hop string) {
	rl.e.gw.View(func(s *license.State) { hop = "1.1 sitegate-" + s.Head().Cluster })
	return hop
}

// routes are all paths that are relayed.
func (rl *relay) routes() []*relayed {
	return slices.Concat(rl.policyRoutes(), rl.postingRoutes(), rl.uploadRoutes())
}

// policyRoutes are those of policies, and of how clients find them.
func (rl *relay) policyRoutes() []*relayed {
	policy := rl.services[0]
	entitled := strings.TrimSuffix(policy.path, apiSuffix) + cloudapi.PathWebEntitlement
	return []*relayed{
		{method: "POST", path: cloudapi.PathDiscovery, to: mustURL(rl.cfg.Discovery), media: mediaXML, most: cloudapi.MaxSOAP, quiet: true,
			ask: rl.askURL, judge: rl.judgeURL, instead: rl.ownURL, silence: &silence{}, spare: func(x *exchange) bool { return rl.known(x) != nil }, late: rl.judgeURL},
		{method: "POST", path: policy.path + cloudapi.PathGetPolicy, to: policy.to.JoinPath(cloudapi.PathGetPolicy), signedIn: true, media: mediaJSON,
			most: cloudapi.MaxPolicyRequest, ask: rl.askPolicy, judge: rl.judgePolicy, instead: rl.policyAgain, silence: &silence{}, spare: rl.isServable, late: rl.latePolicy},
		{method: "POST", path: policy.path + cloudapi.PathGetPolicyWithAccessKey, to: policy.to.JoinPath(cloudapi.PathGetPolicyWithAccessKey), media: mediaJSON,
			most: cloudapi.MaxPolicyRequest, ask: rl.askServerPolicy, judge: rl.judgeServerPolicy},
		{method: "GET", path: policy.path + cloudapi.PathSigningCertificate, to: policy.to.JoinPath(cloudapi.PathSigningCertificate), quiet: true,
			judge: rl.judgeCertificate, instead: rl.certificateAgain, silence: &silence{}, spare: rl.hasCertificate, late: rl.judgeCertificate},
		{method: "POST", path: entitled, to: mustURL(strings.TrimSuffix(rl.cfg.Policy, apiSuffix) + cloudapi.PathWebEntitlement), signedIn: true, media: mediaJSON,
			most: cloudapi.MaxPolicyRequest, ask: rl.askEntitlement, judge: rl.judgeEntitlement},
		{method: "POST", path: pathAccessKey + "/info", to: rl.services[3].to.JoinPath("/info"), media: mediaJSON, most: cloudapi.MaxPolicyRequest},
	}
}

// mustURL is for addresses that newRelay has parsed before.
func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

// serve is the way of all that is relayed. Nothing goes to the vendor of a request that
// is not sound, and nothing comes back of an answer that is not.
func (rl *relay) serve(rt *relayed) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		rec := w.(*recorder)
		x := &exchange{call: &rec.call, rt: rt}
		x.r, rec.route, rec.quiet = r, rt.method+" "+rt.path, rt.quiet
		if err := rl.relay(x); err != nil {
			rl.refuse(x, err)
		}
	}
}

func (rl *relay) relay(x *exchange) error {
	if err := rl.sound(x.r, x.rt); err != nil {
		return err
	}
	most := cmp.Or(x.rt.time, bodyTimeout+relayTime)
	http.NewResponseController(x.w).SetWriteDeadline(time.Now().Add(most + 10*time.Second))
	ctx, cancel := context.WithTimeout(gateway.WithRequest(x.r.Context(), x.id), most)
	defer cancel()
	x.ctx = ctx
	if err := rl.identify(x); err != nil {
		return err
	}
	if x.rt.before != nil {
		after, err := x.rt.before(x)
		if err != nil {
			return err
		}
		defer after()
	}
	if err := x.readBody(); err != nil {
		return err
	}
	if x.rt.ask != nil {
		if done, err := x.rt.ask(x); done || err != nil {
			return err
		}
	}
	if !x.rt.signedIn {
		if err := rl.takeUnsigned(x); err != nil {
			return err
		}
	}
	rl.passIn(x)
	var lost *relayError
	if x.rt.instead != nil && errors.As(x.err, &lost) && lost.noAnswer() && x.rt.instead(x, x.err) {
		rl.e.metrics.stood.WithLabelValues(x.w.route).Inc()
		return nil
	}
	return x.err
}
