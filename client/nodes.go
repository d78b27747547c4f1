package client

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxNodes  = 16
	benchTime = 30 * time.Second // a node that failed is not preferred so long
)

// nodes are the gateway's nodes and which of them to ask. All requests and the
// notices connection go to one, until it fails.
type nodes struct {
	mu         sync.Mutex
	list       []*node
	configured []string
	clear      bool // one of them is http, within this machine
	current    int
}

type node struct {
	url       string
	benched   time.Time // others are better until then
	notBefore time.Time // the node asked not to be asked before (Retry-After)
}

// newNodes checks base URLs and puts them in random order, so that clients
// spread.
func newNodes(urls []string) (*nodes, error) {
	ns := &nodes{}
	for _, raw := range urls {
		u, err := baseURL(raw)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(ns.configured, u) {
			ns.configured = append(ns.configured, u)
			ns.clear = ns.clear || !strings.HasPrefix(u, "https:")
			ns.list = append(ns.list, &node{url: u})
		}
	}
	if len(ns.list) == 0 {
		return nil, errors.New("the client needs the URL of at least one gateway node")
	}
	if len(ns.list) > maxNodes {
		return nil, fmt.Errorf("%d gateway nodes are too many: at most %d", len(ns.list), maxNodes)
	}
	rand.Shuffle(len(ns.list), func(i, j int) { ns.list[i], ns.list[j] = ns.list[j], ns.list[i] })
	return ns, nil
}

// baseURL checks one: tokens travel over TLS, or do not leave the machine.
func baseURL(raw string) (string, error) {
	raw = strings.TrimRight(strings.TrimSpace(raw), "/")
	if !strings.Contains(raw, "://") {
		return "", schemeless(raw)
	}
	u, err := url.Parse(raw)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err // the rest may hold a password
		}
		return "", fmt.Errorf("a gateway URL cannot be read, write it as https://host:port: %w", err)
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	switch {
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", fmt.Errorf("gateway URL %q: write it as https://host:port", u.Redacted())
	case u.Scheme == "https" || u.Scheme == "http" && loopback:
		return u.String(), nil
	}
	return "", fmt.Errorf("gateway URL %q: an access token would travel in the clear, so only https will do: write https://%s", u.Redacted(), u.Host)
}

// schemeless is what to say of a URL without https:// before it. What may hold a
// password is not repeated.
func schemeless(raw string) error {
	u, err := url.Parse("https://" + raw)
	if err != nil || raw == "" || u.Host != raw || strings.ContainsAny(raw, "@?#") {
		return errors.New("a gateway URL cannot be read: write it as https://host:port")
	}
	return fmt.Errorf("gateway URL %q lacks its beginning: write https://%s", raw, raw)
}

// learn takes the nodes a gateway names. Those from the configuration stay; who
// configured TLS alone is not led off it.
func (ns *nodes) learn(urls []string) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	current := ns.list[ns.current].url
	want := slices.Clone(ns.configured)
	for _, raw := range urls {
		u, err := baseURL(raw)
		if err == nil && (ns.clear || strings.HasPrefix(u, "https:")) && !slices.Contains(want, u) && len(want) < maxNodes {
			want = append(want, u)
		}
	}
	var list []*node
	for _, n := range ns.list {
		if i := slices.Index(want, n.url); i >= 0 {
			list = append(list, n)
			want = slices.Delete(want, i, i+1)
		} else if n.url == current {
			list = append(list, n) // it is answering; the next list may drop it
		}
	}
	rand.Shuffle(len(want), func(i, j int) { want[i], want[j] = want[j], want[i] })
	for _, u := range want {
		list = append(list, &node{url: u})
	}
	ns.list = list
	ns.current = slices.IndexFunc(list, func(n *node) bool { return n.url == current })
}

// others takes the nodes that one names that is going, and reports whether there is
// any other than that.
func (ns *nodes) others(going string, urls []string) bool {
	if len(urls) > 0 {
		ns.learn(urls)
	}
	return slices.ContainsFunc(ns.all(), func(u string) bool { return u != going })
}

// pick chooses the node to ask now, and how long to wait before asking it.
func (ns *nodes) pick() (url string, wait time.Duration) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	now := time.Now()
	best := -1
	for i := range ns.list {
		at := (ns.current + i) % len(ns.list)
		n := ns.list[at]
		if !n.benched.After(now) && !n.notBefore.After(now) {
			ns.current = at
			return n.url, 0
		}
		if best < 0 || n.notBefore.Before(ns.list[best].notBefore) ||
			n.notBefore.Equal(ns.list[best].notBefore) && n.benched.Before(ns.list[best].benched) {
			best = at
		}
	}
	ns.current = best
	return ns.list[best].url, max(0, ns.list[best].notBefore.Sub(now))
}

// failed benches a node. A positive after is the node's own Retry-After.
func (ns *nodes) failed(url string, after time.Duration) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	for _, n := range ns.list {
		if n.url != url {
			continue
		}
		if after > 0 {
			n.notBefore = time.Now().Add(after)
			n.benched = n.notBefore
		} else {
			n.benched = time.Now().Add(benchTime)
		}
	}
}

// answered takes a node off the bench.
func (ns *nodes) answered(url string) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	for _, n := range ns.list {
		if n.url == url {
			n.benched, n.notBefore = time.Time{}, time.Time{}
		}
	}
}

func (ns *nodes) all() []string {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	var urls []string
	for _, n := range ns.list {
		urls = append(urls, n.url)
	}
	return urls
}
