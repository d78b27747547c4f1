package endpoint

import (
	"crypto/rand"
	"crypto/sha256"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"sitegate/api"
	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// Files of usage go to a host that the vendor names for each of them, with a signature that is
// good for that file. Clients are told a place at this gateway instead, and what they put there
// with that very signature is passed on to the vendor's place.

// pathUploads is where files are put, each at a place of its own below it.
const pathUploads = "/usage-files/"

// The bounds of uploads.
const (
	placeLife  = time.Hour // as long as a client may take from being told to putting its file
	maxPlaces  = 10_000
	uploadTime = 3 * time.Minute
	uploadBody = time.Minute // for the file to come in

	// Files on their way at once: each is in memory, and may be slow. Several people may be behind
	// one address.
	uploadRoom      = 8
	uploadOfAddress = 3
	uploadOfNetwork = 6
)

// uploadRoutes are those of files.
func (rl *relay) uploadRoutes() []*relayed {
	location := rl.services[2]
	routes := []*relayed{{method: "PUT", path: pathUploads + "{id}", to: &url.URL{}, media: mediaAny, most: cloudapi.MaxUsageFile, query: true, time: uploadTime, before: rl.atPlace, judge: rl.judgeFile}}
	for _, below := range []string{cloudapi.LocationUsageLog, cloudapi.LocationFeatureLog} {
		routes = append(routes, &relayed{method: "GET", path: location.path + below, to: location.to.JoinPath(below), query: true, judge: rl.judgeLocation})
	}
	return routes
}

// judgeLocation remembers the place that the vendor names, and names one of this gateway's.
// Nothing else in the answer is changed.
func (rl *relay) judgeLocation(_ *exchange, resp *http.Response, body []byte) ([]byte, error) {
	if resp.StatusCode/100 != 2 {
		return body, nil
	}
	l, err := cloudapi.ReadLocation(body)
	if err != nil {
		return nil, &relayError{code: relayBadAnswer, err: err}
	}
	if !strings.EqualFold(l.Status, cloudapi.VendorSuccess) {
		return body, nil
	}
	at, signature, err := l.Place()
	if err != nil {
		return nil, &relayError{code: relayBadAnswer, detail: "the place that it names for a file cannot be used"}
	}
	if !cloudapi.MayUpload(rl.cfg.UploadHosts, at) {
		return nil, &relayError{code: relayRedirected, detail: "usage files may not go to " + printable(at.Host) + ": it is not in relay.upload_hosts"}
	}
	id := rl.places.keep(place{to: at, signature: sha256.Sum256([]byte(signature)), until: time.Now().Add(placeLife)})
	if body, err = cloudapi.ReplaceEndpoint(body, rl.cfg.URL+pathUploads+id); err != nil {
		return nil, &relayError{code: relayBadAnswer, err: err}
	}
	return body, nil
}

// atPlace lets in a file for a place that was named, with the signature that was given for it.
// What is the client's own beside that does not leave.
func (rl *relay) atPlace(x *exchange) (after func(), err error) {
	p, there := rl.places.find(x.r.PathValue("id"), time.Now())
	if !there || p.signature != sha256.Sum256([]byte(x.r.URL.RawQuery)) {
		return nil, &trouble{code: api.CodeNotFound}
	}
	from := addressOf(x)
	if !rl.places.enter(from) {
		return nil, &relayError{code: relayBusy}
	}
	http.NewResponseController(x.w).SetReadDeadline(time.Now().Add(uploadBody))
	x.r.Header.Del("Authorization")
	x.r.Header.Del("Cookie")
	rt := *x.rt
	rt.to = p.to
	x.rt = &rt
	return func() { rl.places.leave(from) }, nil
}

// judgeFile counts a file that the vendor has taken as the heartbeat of the sessions whose use
// is in it. It comes without a token, so that it is believed of those only that were granted to
// the address it comes from; and it ends none.
func (rl *relay) judgeFile(x *exchange, resp *http.Response, body []byte) ([]byte, error) {
	if resp.StatusCode/100 != 2 {
		return body, nil
	}
	for _, u := range cloudapi.ReadUsageFile(x.body, maxHeard) {
		m, product, ok := ofRun(cloudapi.Run{Host: u.Host, ProductID: u.ProductID})
		if !ok || u.Source == cloudapi.SourceCheckout {
			continue
		}
		if err := rl.renewFrom(x.ctx, addressOf(x), rl.mirrored(license.UserID(u.IMSID)), m, product); err != nil {
			x.w.more = append(x.w.more, slog.Any("not_renewed", err))
			break
		}
	}
	return body, nil
}

// places are those that the vendor named for files, for a while: this node's, and lost with
// it. A client asks for another one then.
type places struct {
	mu    sync.Mutex
	known map[string]place
	all   int                  // files on their way
	under map[netip.Prefix]int // those of an address, and of a network
}

// place is one of them. Of its signature, which is a secret, only the digest is kept.
type place struct {
	to        *url.URL
	signature [sha256.Size]byte
	until     time.Time
}

func newPlaces() *places {
	return &places{known: map[string]place{}, under: map[netip.Prefix]int{}}
}

// enter lets a file of an address in, if there is room; it must leave then.
func (p *places) enter(from netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	address, network := networksOf(from)
	if p.all >= uploadRoom || p.under[address] >= uploadOfAddress || p.under[network] >= uploadOfNetwork {
		return false
	}
	p.all++
	p.under[address]++
	p.under[network]++
	return true
}

func (p *places) leave(from netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	address, network := networksOf(from)
	for _, of := range []netip.Prefix{address, network} {
		if p.under[of]--; p.under[of] == 0 {
			delete(p.under, of)
		}
	}
}

func (p *places) keep(at place) (id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id = rand.Text()
	makeRoom(p.known, maxPlaces, func(q place) bool { return time.Now().After(q.until) })
	p.known[id] = at
	return id
}

func (p *places) find(id string, now time.Time) (place, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, there := p.known[id]
	return at, there && now.Before(at.until)
}
