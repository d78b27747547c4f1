package emulator

import (
	"bytes"
	"cmp"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fault is what goes wrong with the requests whose path begins with Prefix. Delay comes first; then the first of Hang, Cut, Lose, Short, Again and Status that
// is set. With none of them the request is answered as ever, only later.
type Fault struct {
	Prefix     string        // "" strikes every path; of several the longest one counts
	Delay      time.Duration // before anything else
	Hang       bool          // never answer: until the fault is cleared, or the caller gives up
	Cut        bool          // close the connection without an answer
	Lose       bool          // do what is asked, and close the connection without an answer
	Short      bool          // do what is asked, announce the whole answer, send half of it and close the connection
	Again      bool          // do what is asked, and give the answer to the request before it; the first gets its own
	Status     int           // answer this status with Body
	Body       string        // body of Status
	Location   string        // with Status: where a redirect leads
	Type       string        // content type of Body; empty is text/html, as of a box in between
	RetryAfter time.Duration // with Status: a Retry-After header, in whole seconds
	Times      int           // strike so often, then be gone; zero: until cleared
}

type faults struct {
	mu  sync.Mutex
	set map[string]*struck
}

// struck is a fault in force.
type struck struct {
	Fault
	left int
	gone chan struct{} // closed when the fault is cleared or replaced

	mu   sync.Mutex
	last *kept // with Again: the last answer; mu guards it
}

// kept is an answer that nobody has heard yet.
type kept struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (k *kept) Header() http.Header { return k.header }

func (k *kept) WriteHeader(status int) {
	if k.status == 0 {
		k.status = status
	}
}

func (k *kept) Write(b []byte) (int, error) {
	k.WriteHeader(http.StatusOK)
	return k.body.Write(b)
}

func (k *kept) give(w http.ResponseWriter) {
	maps.Copy(w.Header(), k.header)
	w.WriteHeader(cmp.Or(k.status, http.StatusOK))
	w.Write(k.body.Bytes()) // who does not read it has gone
}

// spent says that s has struck as often as it may. It stays in the set so that clearing it frees what hangs.
func (s *struck) spent() bool { return s.Times > 0 && s.left == 0 }

// SetFault puts f in force, in place of what was there for the same prefix.
func (e *Emulator) SetFault(f Fault) {
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	e.faults.drop(f.Prefix)
	if e.faults.set == nil {
		e.faults.set = map[string]*struck{}
	}
	e.faults.set[f.Prefix] = &struck{Fault: f, left: f.Times, gone: make(chan struct{})}
}

// ClearFaults ends all faults; what hangs is answered now.
func (e *Emulator) ClearFaults() {
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	for p := range e.faults.set {
		e.faults.drop(p)
	}
}

// Faults are those in force, in no order.
func (e *Emulator) Faults() []Fault {
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	list := []Fault{}
	for _, s := range e.faults.set {
		if !s.spent() {
			f := s.Fault
			f.Times = s.left
			list = append(list, f)
		}
	}
	return list
}

// drop ends the fault of prefix. The caller holds the lock.
func (f *faults) drop(prefix string) {
	if s := f.set[prefix]; s != nil {
		close(s.gone)
		delete(f.set, prefix)
	}
}

// hit finds the fault for path and counts it.
func (f *faults) hit(path string) *struck {
	f.mu.Lock()
	defer f.mu.Unlock()
	var best *struck
	for p, s := range f.set {
		if strings.HasPrefix(path, p) && !s.spent() && (best == nil || len(p) > len(best.Prefix)) {
			best = s
		}
	}
	if best != nil && best.Times > 0 {
		best.left--
	}
	return best
}

// strike lets the fault for r do what it does; true: the request has had its answer, or will have none.
func (f *faults) strike(w http.ResponseWriter, r *http.Request, answer http.Handler) bool {
	s := f.hit(r.URL.Path)
	if s == nil {
		return false
	}
	// A server notices that the caller has gone only once it has read the body.
	if s.Delay > 0 || s.Hang {
		body, err := io.ReadAll(io.LimitReader(r.Body, 64<<20))
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
	}
	if s.Delay > 0 {
		t := time.NewTimer(s.Delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-s.gone:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	switch {
	case s.Hang:
		select {
		case <-s.gone:
			return false
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	case s.Cut:
		panic(http.ErrAbortHandler)
	case s.Lose:
		answer.ServeHTTP(&kept{header: http.Header{}}, r)
		panic(http.ErrAbortHandler)
	case s.Short:
		whole := &kept{header: http.Header{}}
		answer.ServeHTTP(whole, r)
		maps.Copy(w.Header(), whole.header)
		w.Header().Set("Content-Length", strconv.Itoa(whole.body.Len()))
		w.WriteHeader(cmp.Or(whole.status, http.StatusOK))
		w.Write(whole.body.Bytes()[:whole.body.Len()/2]) // who does not read it has gone
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case s.Again:
		now := &kept{header: http.Header{}}
		answer.ServeHTTP(now, r)
		s.mu.Lock()
		before := s.last
		s.last = now
		s.mu.Unlock()
		if before == nil {
			before = now
		}
		before.give(w)
		return true
	case s.Status != 0:
		if s.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(s.RetryAfter/time.Second)))
		}
		if s.Location != "" {
			w.Header().Set("Location", s.Location)
		}
		typ := s.Type
		if typ == "" {
			typ = "text/html; charset=utf-8"
		}
		w.Header().Set("Content-Type", typ)
		w.WriteHeader(s.Status)
		io.WriteString(w, s.Body)
		return true
	}
	return false
}
