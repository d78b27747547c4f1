package endpoint

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"sitegate/upstream/cloudapi"
)

// Discovery: clients ask where the vendor's services are, and remember it for a day. They
// are told this site's one name for those that are relayed, and for the rest what the
// vendor says. Where the vendor says nothing they would go by what is built into them,
// past this gateway, so that they are told the site's name then, too.

func (rl *relay) askURL(x *exchange) (done bool, err error) {
	g, err := cloudapi.ReadGetURL(x.body)
	if errors.Is(err, cloudapi.ErrOtherCall) {
		return false, nil
	}
	if err != nil {
		return false, malformed(err.Error())
	}
	x.url = &g
	if answer, fresh := rl.urls.find(g, time.Now()); fresh {
		x.soap(answer)
		return true, nil
	}
	return false, nil
}

// judgeURL has an answer name this gateway, where it is of a service that is relayed.
func (rl *relay) judgeURL(x *exchange, resp *http.Response, body []byte) ([]byte, error) {
	if x.url == nil {
		if _, err := cloudapi.ReadGetURLAnswer(body); err == nil {
			return nil, &relayError{code: relayBadAnswer, detail: "it answers what was not asked"} // with an address that leads past the gateway
		}
		return body, nil
	}
	if resp.StatusCode >= 500 && rl.known(x) != nil {
		return nil, &relayError{code: relayBadAnswer, detail: resp.Status}
	}
	if resp.StatusCode != http.StatusOK {
		return body, nil
	}
	named, err := cloudapi.ReadGetURLAnswer(body)
	if errors.Is(err, cloudapi.ErrOtherCall) {
		return body, nil
	}
	if err != nil {
		return nil, &relayError{code: relayBadAnswer, err: err}
	}
	if own := rl.own(*x.url, named); own != "" {
		if body, err = cloudapi.ReplaceURL(body, own); err != nil {
			return nil, &relayError{code: relayBadAnswer, err: err}
		}
	}
	rl.urls.keep(*x.url, body, time.Now())
	return body, nil
}

// own is the address at this gateway of a service that the vendor names; empty: it is not
// relayed.
func (rl *relay) own(g cloudapi.GetURL, named string) string {
	s, local := rl.service(g), rl.local(named)
	if s == nil || local == rl.cfg.URL+s.path || strings.HasPrefix(local, rl.cfg.URL+s.path+"/") {
		return local
	}
	if named != s.to.String() {
		rl.e.log.Warn("the vendor's discovery names another address than the one that is relayed to: set it in the configuration, if it is right",
			"service", s.name, "named", printable(named), "relayed", s.to.String())
	}
	return rl.cfg.URL + s.path
}

// service is the one that is relayed and asked for, or nil. The name's case is not
// looked at: a service that does not, either, would be got by another one.
func (rl *relay) service(g cloudapi.GetURL) *service {
	if g.Region != rl.cfg.Region {
		return nil
	}
	for i := range rl.services {
		if strings.EqualFold(rl.services[i].name, g.Name) {
			return &rl.services[i]
		}
	}
	return nil
}

// known is what can be answered without the vendor: what it said before, or the address
// of a service that is relayed; nil: nothing.
func (rl *relay) known(x *exchange) []byte {
	if x.url == nil {
		return nil
	}
	if answer, _ := rl.urls.find(*x.url, time.Now()); answer != nil {
		return answer
	}
	if s := rl.service(*x.url); s != nil {
		return cloudapi.GetURLAnswer(rl.cfg.URL + s.path)
	}
	return nil
}

func (rl *relay) ownURL(x *exchange, why error) bool {
	answer := rl.known(x)
	if answer == nil {
		return false
	}
	x.w.more = append(x.w.more, slog.String("instead_of", why.Error()))
	x.soap(answer)
	return true
}

func (x *exchange) soap(message []byte) {
	h := x.w.Header()
	h.Set("Content-Type", mediaXML+"; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(message)))
	x.w.WriteHeader(http.StatusOK)
	x.w.Write(message)
}

// The bounds of discovered.
const (
	urlLife = 24 * time.Hour // as clients remember an answer
	maxURLs = 1024
)

// discovered remembers what the vendor's discovery said, as it was passed on.
type discovered struct {
	mu    sync.Mutex
	known map[cloudapi.GetURL]urlAnswer
}

type urlAnswer struct {
	message []byte
	until   time.Time
}

func newDiscovered() *discovered { return &discovered{known: map[cloudapi.GetURL]urlAnswer{}} }

// find is the answer that is remembered, or nil. fresh: it is not too old to be given
// without asking.
func (d *discovered) find(g cloudapi.GetURL, now time.Time) (message []byte, fresh bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.known[g]
	return a.message, now.Before(a.until)
}

func (d *discovered) keep(g cloudapi.GetURL, message []byte, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, there := d.known[g]; !there {
		makeRoom(d.known, maxURLs, func(a urlAnswer) bool { return now.After(a.until) })
	}
	d.known[g] = urlAnswer{message, now.Add(urlLife)}
}
