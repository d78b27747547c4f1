package endpoint

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
	"sitegate/phrase"
)

// maxBody is the largest body of a request, in bytes.
const maxBody = 64 << 10

// maxLarge and largeTimeout are for the few routes of operators that take a whole
// file, or work through a lot: JSON may write each byte of a file as six.
const (
	maxLarge     = 6*maxCSV + maxBody
	largeTimeout = 15 * time.Minute
)

// bodyTimeout is how long a client may take to send one.
const bodyTimeout = 10 * time.Second

// fileTimeout is how long an administrator may take to send a whole file.
const fileTimeout = 2 * time.Minute

// answerTimeout is when a request must be over, its answer written to a client
// that reads slowly.
const answerTimeout = bodyTimeout + callTimeout + 10*time.Second

// call is a request on its way through the endpoint.
type call struct {
	ctx    context.Context
	r      *http.Request
	w      *recorder
	id     string // of the request
	lang   phrase.Lang
	caller Caller
	// administrator is who calls a route for administrators.
	administrator Administrator
	place         string // that a caller with a key comes from; see keySeen
	most          int64  // bytes of its body
	client        string // the version a client said it has; decides whether names are told (R7)
}

// reply is what a handler answers with; a nil body is no content.
type reply struct {
	status int
	body   any
	done   bool // the handler has written it all
}

// recorder watches what is answered. It passes Hijack on, for the websocket.
type recorder struct {
	http.ResponseWriter
	call   call
	route  string
	quiet  bool
	status int
	bytes  int64
	reason string      // of a denial or problem
	err    error       // for the log only
	paid   bool        // a stranger has, for this answer
	level  slog.Level  // of the log line, at least
	more   []slog.Attr // of the log line
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	if status >= http.StatusOK && !w.call.known() && crowdedAt(w.call.ctx) {
		w.Header().Set("Connection", "close")
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.status = http.StatusSwitchingProtocols
	}
	return c, rw, err
}

// front is around everything: the request id, recovery, the log line, metrics.
func (e *Endpoint) front(mux http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		hurry(w, r)
		rec := &recorder{ResponseWriter: w, route: "unknown"}
		rec.call = call{ctx: r.Context(), r: r, w: rec, id: requestID(r), lang: phrase.Accept(r.Header.Get("Accept-Language"))}
		h := w.Header()
		h.Set("X-Request-Id", rec.call.id)
		secure(h)
		if len(r.TransferEncoding) > 0 { // net/http forgets whether there was a length, too: what follows is whose?
			h.Set("Connection", "close")
		}
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				e.log.Error("request panicked", "id", rec.call.id, "route", rec.route, "panic", p, "stack", string(debug.Stack()))
				if rec.status == 0 {
					e.problem(&rec.call, &trouble{code: api.CodeInternal})
				}
			}
			e.finish(rec, time.Since(begun))
		}()
		err := e.sound(r)
		if err != nil && forPages(r) { // there is no such page, as the pages themselves say it
			r.URL.Path, r.URL.RawPath = consolePath+"-", ""
			err = e.sound(r)
		}
		if err != nil {
			e.problem(&rec.call, cmp.Or(e.toll(&rec.call, costAnswer), err))
			return
		}
		mux.ServeHTTP(rec, r)
	})
}

// hurry bounds how long the client may take: with its body too where nobody asks
// for it, since the server waits for that before it answers. A writer that knows
// no deadlines needs none; who takes the connection over starts without.
func hurry(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	rc.SetWriteDeadline(time.Now().Add(answerTimeout))
	if r.ContentLength != 0 {
		rc.SetReadDeadline(time.Now().Add(bodyTimeout))
	}
}

func (e *Endpoint) finish(w *recorder, took time.Duration) {
	e.metrics.answered(w.route, w.status, took)
	e.charge(w)
	level := max(slog.LevelInfo, w.level)
	c := &w.call
	switch {
	case w.status >= 500 && w.err != nil && w.reason == api.CodeInternal:
		level = slog.LevelError
	case level > slog.LevelInfo: // which somebody should look at
	case w.quiet, (!c.known() || w.reason == api.CodeTooMany) && !e.lines.Allow():
		level = slog.LevelDebug
	}
	ctx := context.WithoutCancel(c.ctx)
	if !e.log.Enabled(ctx, level) {
		return
	}
	var room [16]slog.Attr
	attrs := append(room[:0], slog.String("id", c.id), slog.String("method", c.r.Method), slog.String("path", printable(c.r.URL.Path)),
		slog.Int("status", w.status), slog.Int64("ms", took.Milliseconds()), slog.String("remote", host(c.r.RemoteAddr)))
	if c.caller.User != "" {
		attrs = append(attrs, slog.String("user", string(c.caller.User)))
	}
	if c.administrator.Way != "" {
		attrs = append(attrs, slog.String("administrator", c.administrator.Name), slog.String("way", string(c.administrator.Way)))
	}
	if w.reason != "" {
		attrs = append(attrs, slog.String("reason", w.reason))
	}
	if w.err != nil {
		attrs = append(attrs, slog.Any("err", w.err))
	}
	attrs = append(attrs, w.more...)
	line := slog.NewRecord(time.Now(), level, "request", 0) // from where is no question: LogAttrs would look
	line.AddAttrs(attrs...)
	e.log.Handler().Handle(ctx, line)
}

// serve is the one way of all routes: who is calling, how often, then the
// handler, then its answer. admit finds out who may come in.
func (e *Endpoint) serve(rt route, admit func(*call) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		rec := w.(*recorder)
		c := &rec.call
		c.r, rec.route, rec.quiet = r, rt.path, rt.quiet
		if rt.method != "" {
			rec.route = rt.method + " " + rt.path
		}
		plainHeaders(r.Header)
		err := switches(r, rt)
		if err == nil {
			err = admit(c)
		} else {
			err = cmp.Or(e.toll(c, costAnswer), err)
		}
		if err != nil {
			if !e.turnsAway(c, rt, err) {
				e.problem(c, err)
			}
			return
		}
		limit := callTimeout
		c.most = maxBody
		if rt.large {
			limit, c.most = largeTimeout, cmp.Or(rt.most, maxLarge)
			if r.ContentLength != 0 {
				http.NewResponseController(w).SetReadDeadline(time.Now().Add(fileTimeout))
			}
			http.NewResponseController(w).SetWriteDeadline(time.Now().Add(fileTimeout + largeTimeout + 10*time.Second))
		}
		c.ctx = c.withProof(gateway.WithRequest(r.Context(), c.id), rt.who)
		if !rt.long {
			ctx, cancel := context.WithTimeout(c.ctx, limit)
			defer cancel()
			c.ctx = ctx
		}
		rep, err := rt.do(c)
		switch {
		case err != nil:
			e.problem(c, err)
		case rep.done:
		case rep.body == nil:
			rec.WriteHeader(rep.status)
		default:
			writeJSON(rec, "application/json", rep.status, rep.body)
		}
	}
}

// admitAnyone asks nobody who they are.
func (e *Endpoint) admitAnyone(c *call) error {
	return e.toll(c, costAnswer)
}

// admit finds out who calls and whether they may call now.
func (e *Endpoint) admit(c *call) error {
	caller, err := e.auth.identify(c.ctx, c.r, func() error { return e.heard(c) })
	if err == nil && caller.byKey() {
		c.place = placeOf(c.r.RemoteAddr)
	}
	if err == nil && (caller.byKey() || caller.domains != nil) {
		e.gw.View(func(s *license.State) {
			if err = stands(s, &caller); err == nil {
				e.keySeen(s, &caller, c.place)
			}
		})
	}
	if err != nil {
		return e.stranger(c, err)
	}
	c.caller = caller
	if wait, ok := e.limits.take(caller.Issuer + " " + string(caller.User)); !ok {
		e.metrics.limited.Inc()
		return &trouble{code: api.CodeTooMany, after: wait}
	}
	return nil
}

// body makes a handler of a function that takes a JSON body.
func body[In any](f func(*call, In) (reply, error)) func(*call) (reply, error) {
	return func(c *call) (reply, error) {
		var in In
		if err := c.read(&in); err != nil {
			return reply{}, err
		}
		return f(c, in)
	}
}

// read takes the JSON body, strictly.
func (c *call) read(into any) error {
	if typ := c.r.Header.Get("Content-Type"); typ != "application/json" { // as most say it
		mt, _, err := mime.ParseMediaType(typ)
		if err != nil || mt != "application/json" {
			return &trouble{code: api.CodeMediaType}
		}
	}
	data, err := readAll(http.MaxBytesReader(c.w, c.r.Body, c.most))
	if err != nil {
		// Who is still writing would see a broken connection and not our answer.
		io.CopyN(io.Discard, c.r.Body, maxWaste)
		return err
	}
	// It is all there. From now on the server only watches whether the client stays.
	http.NewResponseController(c.w).SetReadDeadline(time.Time{})
	return unmarshal(data, into)
}

// requestID takes the caller's id where it is a sane one, else makes one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if len(id) < 8 || len(id) > 64 {
		return newID()
	}
	for _, b := range []byte(id) {
		if (b < '0' || b > '9') && (b < 'A' || b > 'Z') && (b < 'a' || b > 'z') && b != '-' && b != '_' && b != '.' {
			return newID()
		}
	}
	return id
}

func newID() string {
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.NewString()
	}
	return id.String()
}

func writeJSON(w http.ResponseWriter, contentType string, status int, v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // people read it, and nosniff keeps browsers from it
	if err := e.Encode(v); err != nil {
		panic(err) // our own types
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	w.Write(b.Bytes()) // a client that is gone is nobody's error
}

// printable cuts what a client sent to what a log line can bear.
func printable(s string) string {
	const most = 200
	if len(s) > most {
		s = s[:most]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return '?'
		}
		return r
	}, s)
}
