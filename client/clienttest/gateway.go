// Package clienttest is a small gateway for the tests of clients: it speaks the
// contract of package api over real HTTP and real websockets, and keeps one
// active machine per user.
//
// It promises the contract's outside only. There is no cloud, no cluster and no
// disk behind it, every user may use every product it knows, and a lease that has
// run out is noticed when somebody asks. It has knobs for what goes wrong.
package clienttest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"sitegate/api"
)

// Gateway is one. Set the fields before the first request; the zero values of
// those with a default are fine.
type Gateway struct {
	Users map[string]string // bearer token → e-mail
	// Asks is how a request asks the active machine, as in api.Wait; empty refuses it.
	Asks     string
	Products []string      // that there are; one license of each for everybody
	TTL      time.Duration // of leases; zero is 180 s
	Beat     time.Duration // between heartbeats; zero is 60 s
	Nodes    []string      // told in hello

	// Before sees each request first. What it returns is the answer, if anything;
	// it may also wait, or panic(http.ErrAbortHandler) to break the connection.
	Before func(r *http.Request) *api.Problem
	// Expires is how long an access token lasts from when it comes in; zero: hello does
	// not say, and no auth frame is taken.
	Expires time.Duration
	// Mute leaves heartbeats on the websocket unanswered.
	Mute func() bool
	// Keyless answers heartbeats on the websocket as of a connection that has not shown the
	// key which the sessions were granted to.
	Keyless func() bool

	once sync.Once
	mux  *http.ServeMux

	mu        sync.Mutex
	seq       uint64
	epoch     uint64
	floor     uint64 // notices up to here are forgotten
	sessions  map[string]*session
	checkouts map[string]*checkout
	waits     map[string]*wait // by e-mail
	said      []said
	conns     map[*conn]struct{}
	asked     []string      // "POST /v1/sessions", in order
	changed   chan struct{} // closed at the next notice
	renewed   []string      // access tokens that auth frames brought
}

type session struct {
	api.Session
	user string
	ends time.Time
}

type checkout struct {
	api.Checkout
	user string
}

type wait struct {
	api.Wait
	kept time.Time // for its machine until then; zero: it waits
}

type said struct {
	user string
	to   string // the machine's id
	api.Notice
}

// ServeHTTP answers as a gateway does.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.once.Do(func() {
		g.epoch = 1
		g.TTL, g.Beat = cmp.Or(g.TTL, 180*time.Second), cmp.Or(g.Beat, 60*time.Second)
		g.sessions, g.checkouts = map[string]*session{}, map[string]*checkout{}
		g.waits, g.conns = map[string]*wait{}, map[*conn]struct{}{}
		g.changed = make(chan struct{})
		g.mux = http.NewServeMux()
		g.mux.HandleFunc("POST "+api.PathSessions, g.user(g.start))
		g.mux.HandleFunc("POST "+api.PathSessions+"/{id}/heartbeat", g.user(g.heartbeat))
		g.mux.HandleFunc("DELETE "+api.PathSessions+"/{id}", g.user(g.stop))
		g.mux.HandleFunc("POST "+api.PathCheckouts, g.user(g.checkOut))
		g.mux.HandleFunc("DELETE "+api.PathCheckouts+"/{id}", g.user(g.giveBack))
		g.mux.HandleFunc("POST "+api.PathWaits, g.user(g.wait))
		g.mux.HandleFunc("DELETE "+api.PathWaits+"/{id}", g.user(g.endWait))
		g.mux.HandleFunc("POST "+api.PathRequests, g.user(g.request))
		g.mux.HandleFunc("DELETE "+api.PathRequests+"/{id}", g.user(g.endWait))
		g.mux.HandleFunc("POST "+api.PathRequests+"/{id}/decline", g.user(g.decline))
		g.mux.HandleFunc("POST "+api.PathSessions+"/{id}/let-go", g.user(g.letGo))
		g.mux.HandleFunc("POST "+api.PathSignOut, g.user(g.signOut))
		g.mux.HandleFunc("GET "+api.PathMe, g.user(g.me))
		g.mux.HandleFunc("POST "+api.PathRefresh, g.user(g.me))
		g.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, api.Ready{Ready: true}) })
		g.mux.HandleFunc("GET "+api.PathNotices, g.notices)
		g.mux.HandleFunc("GET "+api.PathNotices+"/poll", g.poll)
	})
	g.mu.Lock()
	g.asked = append(g.asked, r.Method+" "+r.URL.Path)
	g.mu.Unlock()
	if g.Before != nil {
		if p := g.Before(r); p != nil {
			refuse(w, *p)
			return
		}
	}
	g.mux.ServeHTTP(w, r)
}

// Asked counts the requests whose "METHOD /path" begins with prefix.
func (g *Gateway) Asked(prefix string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, a := range g.asked {
		if strings.HasPrefix(a, prefix) {
			n++
		}
	}
	return n
}

// Running are the ids of the sessions that live, oldest first.
func (g *Gateway) Running() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expire()
	var live []*session
	for _, s := range g.sessions {
		live = append(live, s)
	}
	slices.SortFunc(live, func(a, b *session) int { return cmp.Compare(a.Token.Seq, b.Token.Seq) })
	var ids []string
	for _, s := range live {
		ids = append(ids, s.ID)
	}
	return ids
}

// Release ends all sessions of a user, as IT does: they are renewed for grace
// more, then refused.
func (g *Gateway) Release(email, by, note string, grace time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.sessions {
		if s.user == email {
			s.Ending = &api.Ending{Reason: "released", By: by, Note: note, Until: time.Now().Add(grace).UTC()}
			g.say(email, s.Machine.ID, api.Notice{Kind: api.KindReleased, ID: s.ID, Product: s.Product, Machine: s.Machine.Name,
				By: by, Note: note, Until: s.Ending.Until, Text: by + " has ended your session: " + note})
		}
	}
}

// Say sends a notice to a user's clients.
func (g *Gateway) Say(email string, n api.Notice) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.say(email, "", n)
}

// Forget drops all notices said so far, and one that nobody has heard: clients that
// come back have a gap.
func (g *Gateway) Forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seq++
	g.said, g.floor = nil, g.seq
}

func (g *Gateway) user(h func(w http.ResponseWriter, r *http.Request, email string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		email, ok := g.caller(r)
		if !ok {
			refuse(w, problem(api.CodeUnauthorized, http.StatusUnauthorized, "There is no valid sign-in."))
			return
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.expire()
		h(w, r, email)
	}
}

func (g *Gateway) caller(r *http.Request) (email string, ok bool) {
	email, ok = g.Users[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	return email, ok
}

func read[T any](w http.ResponseWriter, r *http.Request) (v T, ok bool) {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		refuse(w, problem(api.CodeMalformed, http.StatusBadRequest, "The body is not what this path takes: "+err.Error()))
		return v, false
	}
	return v, true
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func problem(code string, status int, detail string, next ...string) api.Problem {
	return api.Problem{Code: code, Status: status, Title: code, Detail: detail, Next: next}
}

func refuse(w http.ResponseWriter, p api.Problem) {
	p.Type, p.RequestID = api.ProblemBase+p.Code, uuid.NewString()
	w.Header().Set("Content-Type", api.ProblemType)
	if p.RetryAfterMS > 0 {
		w.Header().Set("Retry-After", fmt.Sprint((p.RetryAfterMS+999)/1000))
	}
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p)
}
