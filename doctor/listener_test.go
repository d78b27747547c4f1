package doctor

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/emulator"
	"sitegate/emulator/proxy"
)

const nodeHost = "gw1.site.test"

// node answers as a node does whom nobody has signed in at, by what it heard of the request.
var node = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == api.PathNotices && r.Header.Get("Upgrade") == "" {
		w.Header().Set("Content-Type", api.ProblemType)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusUnauthorized)
})

// Desktops come to a node by an address that may be a load balancer's: its certificate counts, and whether it lets websockets through.
func TestWhatDesktopsComeTo(t *testing.T) {
	strips := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Upgrade")
		r.Header.Del("Connection")
		w.Header().Set("Via", "1.1 edge")
		node(w, r)
	})
	for name, tt := range map[string]struct {
		door     http.Handler
		shows    string // the host of its certificate
		trusted  bool
		want     string
		words    string
		straight bool // nothing answers
	}{
		"all is well":                        {door: node, shows: nodeHost, trusted: true, want: "PASS listener\nPASS websocket\n"},
		"the certificate is another host's":  {door: node, shows: "old.site.test", trusted: true, want: "FAIL listener tls_name_mismatch\nPASS websocket\n", words: "not for " + nodeHost},
		"who issued it is not known here":    {door: node, shows: nodeHost, want: "WARN listener\nPASS websocket\n", words: "seat doctor"},
		"websockets lose what asks for them": {door: strips, shows: nodeHost, trusted: true, want: "PASS listener\nFAIL websocket websocket_blocked\n", words: "lost its Upgrade header on the way (Via: 1.1 edge)"},
		"no node is behind what answers": {door: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }), shows: nodeHost, trusted: true,
			want: "PASS listener\nWARN websocket api_unreachable\n", words: "503"},
		"nobody is there": {straight: true, want: "WARN listener\n", words: "seat doctor"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil, nil, proxy.Config{})
			s.text += "api: {url: \"https://" + nodeHost + ":8443\"}\n"
			c := s.config(t)
			c.Status = &api.Status{Node: "gw1", Time: time.Now()}
			at := listen(t)
			if tt.straight {
				at.Close()
			} else {
				srv, err := emulator.Serve(at, tt.door, tt.shows)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { srv.Close() })
				if tt.trusted {
					c.SiteCA = srv.CAPEM
				}
			}
			var asked string
			c.Reach = func(ctx context.Context, addr string) (net.Conn, error) {
				asked = addr
				return new(net.Dialer).DialContext(ctx, "tcp", at.Addr().String())
			}
			x := &examination{Config: c}
			x.listener(t.Context())
			rows := strings.ReplaceAll(strings.Join(strings.SplitAfter(states(x.report), "\n")[1:], ""), " "+nodeHost+":8443", "")
			if rows != tt.want || asked != nodeHost+":8443" {
				t.Errorf("got\n%s of %s, want\n%s", rows, asked, tt.want)
			}
			all := ""
			for _, c := range x.report.Checks {
				if all += c.Found + " " + c.Action + " "; (c.State == Fail || c.State == Warn) && c.Action == "" {
					t.Errorf("got %+v, and not what to do", c)
				}
			}
			if !strings.Contains(all, tt.words) {
				t.Errorf("got %s, want %q in it", all, tt.words)
			}
		})
	}
}

// Where the node does not run there is nothing that desktops could be shown.
func TestNothingIsReachedWhereNoNodeRuns(t *testing.T) {
	c := newSite(t, nil, nil, proxy.Config{}).config(t)
	c.Reach = func(context.Context, string) (net.Conn, error) { t.Error("it was tried"); return nil, net.ErrClosed }
	x := &examination{Config: c}
	x.listener(t.Context())
	if got := states(x.report); got != "SKIP listener 127.0.0.1:8443\n" {
		t.Errorf("got %s", got)
	}
}

// A cloud that repeats what it was asked is known from something that answers in its place.
func TestTheCloudItselfAnswers(t *testing.T) {
	cloud := &emulator.Emulator{Issuer: "https://" + signInHost}
	r := Run(t.Context(), newSite(t, cloud, nil, proxy.Config{}).config(t))
	if c := find(t, r, "answer", cloudHost); c.State != Pass || !strings.Contains(c.Found, "answers itself") {
		t.Errorf("got %+v, want it known for the cloud", c)
	}
	kept := httptest.NewRecorder()
	req := httptest.NewRequest(http.MethodGet, "https://"+cloudHost+"/site/v1/ping", nil)
	req.Header.Set("Site-Challenge", "yesterday's")
	cloud.ServeHTTP(kept, req)
	cache := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, values := range kept.Result().Header {
			w.Header()[name] = values
		}
		w.WriteHeader(kept.Code)
	})
	r = Run(t.Context(), newSite(t, cache, nil, proxy.Config{}).config(t))
	if c := find(t, r, "answer", cloudHost); c.State != Fail || c.Code != "captive_portal" || c.Action == "" {
		t.Errorf("got %+v, want an answer of yesterday told from one of now", c)
	}
}

// A way out that ends what is silent is found only by being silent.
func TestASilentConnectionIsHeld(t *testing.T) {
	s := newSite(t, nil, nil, proxy.Config{})
	c := s.config(t)
	r := Run(t.Context(), c)
	for _, row := range r.Checks {
		if row.Step == "hold" {
			t.Errorf("got %+v, though nobody asked for it", row)
		}
	}
	c.Hold = time.Millisecond
	if row := find(t, Run(t.Context(), c), "hold", cloudHost); row.State != Pass {
		t.Errorf("got %+v, want it still there", row)
	}
	asked, closes := 0, 1
	over := roundTrip(func(r *http.Request) (*http.Response, error) {
		if asked++; asked > closes {
			return nil, net.ErrClosed
		}
		return &http.Response{StatusCode: 401, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	})
	if row := hold(t.Context(), over, &destination{addr: cloudHost + ":443"}, time.Millisecond); row.State != Warn || row.Action == "" {
		t.Errorf("got %+v, want it to be seen to", row)
	}
	asked, closes = 0, 0
	if row := hold(t.Context(), over, &destination{addr: cloudHost + ":443"}, time.Millisecond); row.State != Skip {
		t.Errorf("closed after each answer: got %+v, want it skipped", row)
	}
	asked, closes = 0, 1
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if row := hold(ctx, over, &destination{addr: cloudHost + ":443"}, time.Hour); row.State != Skip {
		t.Errorf("got %+v, want it skipped", row)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The names that are needed come before the PAC file, which is at one of them.
func TestStepsComeInTheirOrder(t *testing.T) {
	s := newSite(t, nil, nil, proxy.Config{})
	s.text = s.text[:strings.Index(s.text, "  proxy:")] + "  pac: {url: \"http://wpad.site.invalid/proxy.pac\"}\n"
	c := s.config(t)
	r := Run(t.Context(), c)
	var steps []string
	for _, row := range r.Checks {
		if len(steps) == 0 || steps[len(steps)-1] != row.Step {
			steps = append(steps, row.Step)
		}
	}
	if got, want := strings.Join(steps, " "), "config settings clock node network dns pac tcp listener"; got != want && got != strings.Replace(want, " tcp", "", 1) {
		t.Errorf("got %s, want %s", got, want)
	}
	if row := find(t, r, "dns", "wpad.site.invalid"); row.State != Fail {
		t.Errorf("got %+v, want the PAC file's host not to resolve", row)
	}
}

func TestDefaultRoutes(t *testing.T) {
	const four = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	0102010A	0003	0	0	0	00000000	0	0	0
eth0	0002010A	00000000	0001	0	0	0	00FFFFFF	0	0	0
ppp0	00000000	00000000	0001	0	0	50	00000000	0	0	0
eth0	00000000	0102010A	0003	0	0	90	00000000	0	0	0
broken	00000000	zz	0003	0	0	0	00000000
`
	if got := strings.Join(routes4(strings.NewReader(four)), " "); got != "10.1.2.1 (eth0) ppp0" {
		t.Errorf("got %q", got)
	}
	const six = `20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
`
	if got := strings.Join(routes6(strings.NewReader(six)), " "); got != "fe80::1 (eth0)" {
		t.Errorf("got %q", got)
	}
}
