// Package emulator is the vendor cloud's stand-in: the sign-in (an OpenID Connect issuer), what the vendor's desktop clients ask for
// (discovery, policies that it signs with a key of its own, usage) and the site API of upstream/cloudapi, with data of its own making and knobs for what goes wrong. It is for demonstrations and tests.
//
// It decides by itself: it has its own single-machine rule, across sites, its own terms, countries, checkout policies and move lock, and shares no code with the gateway's, so that a gateway that
// grants too much is found out here. It keeps everything in memory, starts no goroutine and needs no set-up: the zero Emulator is
// an http.Handler with an empty account. Seed fills it.
//
// The knobs are Go methods, and the same over HTTP through Control, which is a handler of its own so that nothing that can reach the cloud
// can turn them. Serve puts a handler on TLS with a fresh CA; OnlyFrom lets in only connections that come through a known
// proxy; package emulator/proxy is that proxy.
package emulator

import (
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"sitegate/upstream/cloudapi"
)

// DefaultLease is how long a hold lives without renewal: three of the heartbeats of one minute.
const DefaultLease = 3 * time.Minute

// Emulator is one cloud with one account and any number of sites. The zero value is ready; set the fields before the first request.
type Emulator struct {
	// Issuer is the address of the sign-in, as in tokens and in the discovery document; without one it is
	// https:// and the host of the request.
	Issuer string
	// Sites are the client ids and secrets of the sites' gateways. Sites that share the account are told apart by id.
	Sites map[string]string
	// Lease is how long a hold lives without renewal; zero is DefaultLease.
	Lease time.Duration
	// TokenTTL is the life of access tokens; zero is one hour.
	TokenTTL time.Duration
	// Consoles are the addresses that ConsoleClient may have browsers led back to, exactly; ConsoleSecret
	// is what it shows. Without one it is a public client.
	Consoles      []string
	ConsoleSecret string
	// DeviceInterval is how often a device may ask whether its user has signed in;
	// zero is five seconds.
	DeviceInterval time.Duration
	// NoMoves makes it a cloud that takes no moves from a site.
	NoMoves bool
	// UploadHost is where usage files are put, host or host:port; empty: where it was asked.
	UploadHost string
	// NoFeed makes it a cloud without a change feed, NoHolds one that keeps no holds.
	NoFeed, NoHolds bool
	// NoContinue makes it one that answers 417 to who asks whether it may go on (Expect), as old proxies do.
	NoContinue bool
	// NoBatch makes it one that takes holds one by one only.
	NoBatch bool
	// MaxRequests is how many requests the sites may make in any 30 s; more are answered with 429. Zero: as many as they like.
	MaxRequests int
	// Now is the cloud's clock; nil is time.Now.
	Now func() time.Time
	// Log hears of refusals; nil discards.
	Log *slog.Logger

	once sync.Once
	mux  *http.ServeMux

	faults  faults
	issuer  issuer
	counter counter

	quota sync.Mutex
	asked []time.Time // requests of the last quotaTime; quota guards it

	mu       sync.Mutex // guards all below
	account  *cloudapi.Account
	users    map[string]cloudapi.User
	products map[string]cloudapi.Product
	licenses map[string]cloudapi.License
	lost     *data             // not nil: LoseData
	secrets  map[string]string // user id → password
	feed     feed
	holds    holds
	usage    usage
	vendor   vendorUsage
	carried  carried
	desktops desktops

	assignments []Assignment
}

// ServeHTTP answers as the cloud does.
func (e *Emulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.once.Do(e.routes)
	e.counter.add(r.URL.Path)
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked := r.Header.Get(cloudapi.Challenge); asked != "" && len(asked) <= cloudapi.MaxID {
			w.Header().Set(cloudapi.Challenge, asked)
		}
		if e.NoContinue && r.Header.Get("Expect") != "" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, cloudapi.MaxBody)
		e.mux.ServeHTTP(w, r)
	})
	if !e.faults.strike(w, r, answer) {
		answer(w, r)
	}
}

func (e *Emulator) routes() {
	m := http.NewServeMux()
	e.issuerRoutes(m)
	e.desktopRoutes(m)
	m.HandleFunc("GET "+cloudapi.PathPing, e.site(e.ping))
	m.HandleFunc("GET "+cloudapi.PathChanges, e.site(e.offered(&e.NoFeed, e.changes)))
	m.HandleFunc("PUT "+cloudapi.PathHolds, e.site(e.offered(&e.NoHolds, e.putHold)))
	m.HandleFunc("GET "+cloudapi.PathHolds, e.site(e.offered(&e.NoHolds, e.listHolds)))
	m.HandleFunc("POST "+cloudapi.PathHoldsBatch, e.site(e.offered(&e.NoBatch, e.offered(&e.NoHolds, e.batch))))
	m.HandleFunc("POST "+cloudapi.PathHoldsRenew, e.site(e.offered(&e.NoHolds, e.renewHolds)))
	m.HandleFunc("POST "+cloudapi.PathHoldsRelease, e.site(e.offered(&e.NoHolds, e.releaseHold)))
	m.HandleFunc("POST "+cloudapi.PathUsage, e.site(e.postUsage))
	m.HandleFunc("POST "+cloudapi.PathPosting, e.anyone(e.postPosting))
	m.HandleFunc("POST "+cloudapi.PathPosting+cloudapi.PostingFeatureLog, e.anyone(e.postFeatures))
	m.HandleFunc("GET "+cloudapi.PathLocation+cloudapi.LocationUsageLog, e.locate)
	m.HandleFunc("GET "+cloudapi.PathLocation+cloudapi.LocationFeatureLog, e.locate)
	m.HandleFunc("PUT "+uploads, e.putUsageFile)
	m.HandleFunc("POST "+cloudapi.PathLicenses+"/{id}/move", e.site(e.postMove))
	e.mux = m
}

// offered answers that there is no such thing where not is set.
func (e *Emulator) offered(not *bool, h func(http.ResponseWriter, *http.Request, string)) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, r *http.Request, site string) {
		if *not {
			refuse(w, http.StatusNotFound, cloudapi.ReasonNotOffered, "this cloud has no such thing for a site")
			return
		}
		h(w, r, site)
	}
}

// site lets in requests with a site's token only, and tells the handler which site it is.
func (e *Emulator) site(h func(w http.ResponseWriter, r *http.Request, site string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		site, err := e.siteOf(r)
		if err != nil {
			e.log().Info("site request refused", "path", r.URL.Path, "err", err)
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			refuse(w, http.StatusUnauthorized, cloudapi.ReasonUnauthorized, "this needs a site's access token: "+err.Error())
			return
		}
		if wait, over := e.overQuota(); over {
			w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
			refuse(w, http.StatusTooManyRequests, cloudapi.ReasonBusy, "that is too often")
			return
		}
		h(w, r, site)
	}
}

func (e *Emulator) ping(w http.ResponseWriter, _ *http.Request, _ string) {
	answer(w, http.StatusOK, cloudapi.Ping{Time: e.now()})
}

// now is the cloud's time, in UTC and without what JSON would lose.
func (e *Emulator) now() time.Time {
	now := time.Now
	if e.Now != nil {
		now = e.Now
	}
	return now().UTC().Round(0)
}

func (e *Emulator) log() *slog.Logger {
	if e.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return e.Log
}

// counter counts requests by path.
type counter struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counter) add(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	if len(c.n) < 1000 || c.n[path] > 0 {
		c.n[path]++
	}
}

// Requests is how many requests came for path, those that a fault struck included.
func (e *Emulator) Requests(path string) int {
	e.counter.mu.Lock()
	defer e.counter.mu.Unlock()
	return e.counter.n[path]
}
