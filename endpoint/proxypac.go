package endpoint

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"text/template"
	"time"
)

// PAC is what the proxy auto-configuration file says that the forward proxy gives to
// desktops: the vendor's hosts by the gateway's nodes, and all the rest as the site has it.
type PAC struct {
	// Nodes are the forward proxies of all nodes, host:port each; none: the address that a
	// desktop has asked at.
	Nodes func() []string
	// Own are the host:port of the gateway itself, as desktops ask for it: they are reached past
	// all proxies, too. Nil: none.
	Own func() []string
	// Past are relayed hosts that are reached past all proxies, since the site's DNS leads
	// them to the gateway; the other ones are led here, and refused.
	Past []string
	// Site is the site's own file, which decides for the rest; nil: there is none. An error
	// says that it cannot be had: then there is no file at all, rather than one that
	// sends directly what the site's own would not.
	Site func(context.Context) (string, error)
	// Otherwise is what is said for the rest where Site is nil; empty: DIRECT.
	Otherwise string
}

// PACMark is in every file that a gateway makes: one is not put into another.
const PACMark = "sitegate makes this file"

// The paths of the file. Some systems ask for the second one by themselves (WPAD).
const (
	pathPAC  = "/proxy.pac"
	pathWPAD = "/wpad.dat"
	typePAC  = "application/x-ns-proxy-autoconfig"
	pacAge   = "private, max-age=300" // every answer has its own order
)

// pacTime is how long the site's own file may take to be had.
const pacTime = 8 * time.Second

// pacFile is in the JavaScript that the oldest engines know. The site's own file is in a
// function of its own, so that its names and ours do not meet: whichever way it defines
// its FindProxyForURL, it is found there. What it throws it throws here, too, so that a
// client does as it would with that file alone.
var pacFile = template.Must(template.New("pac").Parse(`// ` + PACMark + `: the hosts below by the license gateway, the rest as the site has it.
var sitegate = {
  ours: {{.Ours}},
  past: {{.Past}},
  nodes: {{.Nodes}},
  port: {http: "80", ws: "80", https: "443", wss: "443", ftp: "21"},
  site: null,
  broken: null,
  key: function (url, host) {
    var name = host.toLowerCase(), scheme = url.substring(0, url.indexOf(":")).toLowerCase();
    if (name.charAt(name.length - 1) === ".") { name = name.substring(0, name.length - 1); }
    var rest = url.substring(scheme.length + 3), end = rest.search(/[\/?#]/);
    if (end >= 0) { rest = rest.substring(0, end); }
    rest = rest.substring(rest.lastIndexOf("@") + 1);
    var port = /:([0-9]+)$/.exec(rest);
    return name + ":" + (port ? port[1] : sitegate.port[scheme]);
  },
  has: function (list, key) { return Object.prototype.hasOwnProperty.call(list, key); }
};

function FindProxyForURL(url, host) {
  var key = sitegate.key(url, host);
  if (sitegate.has(sitegate.ours, key)) { return sitegate.nodes; }
  if (sitegate.has(sitegate.past, key)) { return "DIRECT"; }
  if (sitegate.broken) { throw sitegate.broken; }
  return sitegate.site ? sitegate.site(url, host) : {{.Otherwise}};
}
{{if .Site}}
try {
  sitegate.site = (function () {
    var FindProxyForURL, self = {};
    var found = (function () {
// The site's own file:
{{.Site}}
// Here it ends.
;return typeof FindProxyForURL === "function" ? FindProxyForURL : null;
    }).call(self);
    return found || self.FindProxyForURL;
  })();
  if (typeof sitegate.site !== "function") { throw new Error("the site's own file has no FindProxyForURL"); }
} catch (e) { sitegate.broken = e; }
{{end}}`))

// pacText makes a file, with the nodes in an order of its own.
func (t *terms) pacText(nodes []string, site string) string {
	ours, past := map[string]int{}, map[string]int{}
	for target := range t.targets.rule {
		ours[target] = 1
	}
	for name := range t.targets.relayed {
		list := ours
		switch {
		case slices.Contains(t.PAC.Past, name):
			list = past
		case t.NoRelay:
			continue // they are reached as they were before
		}
		list[name+":80"], list[name+":443"] = 1, 1
	}
	if t.PAC.Own != nil {
		for _, at := range t.PAC.Own() {
			at = strings.ToLower(at)
			past[at], past[strings.NewReplacer("[", "", "]", "").Replace(at)] = 1, 1 // clients differ over an IPv6 address
		}
	}
	nodes = slices.Clone(nodes)
	rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	for i, n := range nodes {
		nodes[i] = "PROXY " + n
	}
	otherwise := t.PAC.Otherwise
	if otherwise == "" {
		otherwise = "DIRECT"
	}
	var b strings.Builder
	err := pacFile.Execute(&b, map[string]string{"Ours": script(ours), "Past": script(past), "Nodes": script(strings.Join(nodes, "; ")), "Otherwise": script(otherwise), "Site": site})
	if err != nil {
		panic(err) // our own template
	}
	return b.String()
}

// script is a value as JavaScript has it.
func script(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own values
	}
	return string(b)
}

// page answers what is asked of this proxy itself.
func (t *Tunnel) page(w http.ResponseWriter, r *http.Request, x *trip) {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		t.refuse(w, r, x.id, &refusal{http.StatusMethodNotAllowed, methodNotAllowed, "This is the license gateway's forward proxy: it takes CONNECT, and GET.\n"}, nil)
		return
	case x.terms.PAC == nil || r.URL.Path != pathPAC && r.URL.Path != pathWPAD:
		t.refuse(w, r, x.id, &refusal{http.StatusNotFound, "not_found", "This is the license gateway's forward proxy. There is nothing to be read here but " + pathPAC + ".\n"}, nil)
		return
	}
	site := ""
	if x.terms.PAC.Site != nil {
		ctx, cancel := context.WithTimeout(r.Context(), pacTime)
		defer cancel()
		var err error
		if site, err = x.terms.PAC.Site(ctx); err != nil {
			t.refuse(w, r, x.id, &refusal{http.StatusServiceUnavailable, "pac_failed", "The site's own proxy configuration file cannot be had, and there is no copy of it yet.\nAsk IT to look at connect.pac of the license gateway.\n"}, err)
			return
		}
	}
	text := x.terms.pacText(x.terms.proxies(r), site)
	t.metrics.tunnels.WithLabelValues("pac").Inc()
	t.log.Log(r.Context(), slog.LevelDebug, "proxy configuration given", "id", x.id, "client", x.client)
	h := w.Header()
	h.Set("Content-Type", typePAC)
	h.Set("Cache-Control", pacAge)
	h.Set("X-Content-Type-Options", "nosniff")
	io.WriteString(w, text) // who has gone reads no file
}

// proxies are the forward proxies of all nodes.
func (t *terms) proxies(r *http.Request) []string {
	if t.PAC.Nodes != nil {
		if list := t.PAC.Nodes(); len(list) > 0 {
			slices.Sort(list)
			return slices.Compact(list)
		}
	}
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return []string{at.String()}
	}
	return nil
}
