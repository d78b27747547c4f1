package endpoint

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"mime"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"sitegate/upstream/cloudapi"
)

// sound refuses what no client of the vendor's sends, and what two readers could take
// for two different requests.
func (rl *relay) sound(r *http.Request, rt *relayed) error {
	switch {
	case misdirected(r):
		return &relayError{code: relayMisdirected}
	case r.URL.RawPath != "":
		return malformed("the path has escapes")
	case r.URL.RawQuery != "" && !rt.query:
		return malformed("there is a query")
	case len(r.Header["Authorization"]) > 1:
		return malformed("there is more than one Authorization")
	case r.Header.Get("Content-Encoding") != "":
		return &relayError{code: relayMediaType, detail: "the body is encoded"}
	}
	for name := range r.Header {
		if strings.Contains(name, "_") {
			return malformed("a header's name has an underscore")
		}
	}
	if via := r.Header["Via"]; len(via) > 0 {
		if own := rl.via(); slices.ContainsFunc(via, func(hop string) bool { return strings.Contains(hop, own) }) {
			return &relayError{code: relayLoop}
		}
	}
	if rt.media == "" {
		if r.ContentLength != 0 {
			return malformed("there is a body")
		}
		return nil
	}
	if rt.media == mediaAny {
		return nil
	}
	mt, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mt != rt.media || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		return &relayError{code: relayMediaType, detail: "it is not " + rt.media + " in UTF-8"}
	}
	return nil
}

// misdirected reports whether the request is for another host than its connection was
// made to (RFC 9110, 15.5.20). A client that names none in TLS asks by address.
func misdirected(r *http.Request) bool {
	if r.TLS == nil {
		return false
	}
	asked, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		asked = r.Host
	}
	asked = strings.TrimSuffix(strings.Trim(asked, "[]"), ".")
	if r.TLS.ServerName == "" {
		return net.ParseIP(asked) == nil
	}
	return !strings.EqualFold(asked, strings.TrimSuffix(r.TLS.ServerName, "."))
}

// readBody takes the request's body to its end.
func (x *exchange) readBody() error {
	if x.rt.media == "" {
		return nil
	}
	data, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, x.rt.most))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		io.CopyN(io.Discard, x.r.Body, maxWaste) // else it would see no answer
		return &relayError{code: relayTooLarge}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &relayError{code: relayTooSlow}
	case err != nil:
		return malformed("the body could not be read to its end")
	}
	http.NewResponseController(x.w).SetReadDeadline(time.Time{})
	x.body = data
	return nil
}

type exchangeKey struct{}

// pass relays the request and passes the answer on, if it may leave; else x.err says
// why not.
func (rl *relay) pass(x *exchange) {
	rl.proxy.ServeHTTP(finalWriter{x.w}, x.r.WithContext(context.WithValue(x.ctx, exchangeKey{}, x)))
}

// finalWriter drops what the vendor says before its answer (1xx).
type finalWriter struct{ *recorder }

func (w finalWriter) WriteHeader(status int) {
	if status >= 200 {
		w.recorder.WriteHeader(status)
	}
}

func (rl *relay) newProxy() *httputil.ReverseProxy {
	of := func(r *http.Request) *exchange { return r.Context().Value(exchangeKey{}).(*exchange) }
	return &httputil.ReverseProxy{
		Transport:  patience{rl},
		BufferPool: &buffers{sync.Pool{New: func() any { b := make([]byte, 16<<10); return &b }}},
		Rewrite: func(p *httputil.ProxyRequest) {
			rl.rewrite(of(p.In), p.Out)
		},
		ModifyResponse: func(resp *http.Response) error { return rl.answer(of(resp.Request), resp) },
		ErrorHandler:   func(_ http.ResponseWriter, r *http.Request, err error) { of(r).err = lost(err) },
		ErrorLog:       log.New(io.Discard, "", 0), // what it would say is in the request's line
	}
}

// rewrite makes the request to the vendor: the client's own, without what is of this hop.
func (rl *relay) rewrite(x *exchange, out *http.Request) {
	to := *x.rt.to
	to.RawQuery = x.r.URL.RawQuery
	out.URL, out.Host = &to, ""
	for name := range out.Header {
		if !leaves(name) && !(x.r.Method == http.MethodPut && strings.HasPrefix(name, "X-Ms-")) {
			out.Header.Del(name)
		}
	}
	out.Header.Set("Accept-Encoding", "identity") // it is read here, and passed on as it came
	out.Header.Add("Via", rl.via())
	out.Trailer, out.TransferEncoding = nil, nil
	out.Body, out.GetBody, out.ContentLength = nil, nil, int64(len(x.body))
	if len(x.body) > 0 {
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(x.body)), nil }
		out.Body, _ = out.GetBody()
	}
}

// leaves reports whether a header of a client's goes to the vendor: what the vendor's clients
// send, and what is for its services. Others could have a server there take the request for
// another one (X-Original-URL, X-Forwarded-Host, Range, …).
func leaves(name string) bool {
	switch name {
	case "Accept", "Accept-Charset", "Accept-Language", "Authorization", "Cache-Control", "Content-Md5", "Content-Type", "Date", "Pragma", "Soapaction",
		"User-Agent", "Via", "X-Correlation-Id":
		return true
	}
	return strings.HasPrefix(name, "Mas-")
}

// read takes the vendor's answer to its end.
func (x *exchange) read(resp *http.Response) ([]byte, error) {
	if resp.StatusCode < 200 {
		return nil, &relayError{code: relayBadAnswer, detail: "it switches protocols"}
	}
	body, err := readAnswer(resp)
	switch {
	case err != nil && x.ctx.Err() == nil:
		return nil, &relayError{code: relayCutShort, err: err}
	case err != nil:
		return nil, lost(err)
	case len(body) > cloudapi.MaxPolicy:
		return nil, &relayError{code: relayBadAnswer, detail: "it is too large", status: resp.StatusCode}
	}
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return nil, &relayError{code: relayBadAnswer, detail: "it is encoded", status: resp.StatusCode}
	}
	return body, nil
}

// answer reads the vendor's answer to its end before any of it leaves.
func (rl *relay) answer(x *exchange, resp *http.Response) error {
	body, err := x.read(resp)
	if err != nil {
		return err
	}
	h := resp.Header
	if err := rl.redirect(x, resp); err != nil {
		return err
	}
	if x.rt.judge != nil {
		if body, err = x.rt.judge(x, resp, body); err != nil {
			return err
		}
	}
	// What is said of the vendor's host is not true of this one.
	for name := range h {
		if name == "Alt-Svc" || name == "Strict-Transport-Security" || name == "X-Request-Id" || strings.HasPrefix(name, "X-Sitegate-") {
			h.Del(name)
		}
	}
	h.Del("Set-Cookie")                         // this origin is not the vendor's,
	h.Set("Content-Security-Policy", "sandbox") // and its pages are nobody's here
	own := x.w.Header()
	for _, name := range []string{"Cache-Control", "Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Resource-Policy"} {
		if h.Get(name) != "" {
			own.Del(name)
		}
	}
	resp.Trailer = nil
	resp.ContentLength, resp.Body = int64(len(body)), io.NopCloser(bytes.NewReader(body))
	if resp.StatusCode != http.StatusNoContent && resp.StatusCode != http.StatusNotModified {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	return nil
}

// readAnswer reads an answer to its end, and not further than one may be long: at first into
// room for as much as it says to have.
func readAnswer(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	if b, is := resp.Body.(*readBody); is && b.err == nil {
		return b.whole, nil
	}
	room := min(max(resp.ContentLength, 0), maxAnswerRoom) + bytes.MinRead // which the buffer wants to be left over
	all := bytes.NewBuffer(make([]byte, 0, room))
	_, err := all.ReadFrom(io.LimitReader(resp.Body, cloudapi.MaxPolicy+1))
	return all.Bytes(), err
}

// maxAnswerRoom is what is taken for an answer before it comes: most are far smaller.
const maxAnswerRoom = 64 << 10

// readBody is the body of an answer that was read to its end, or to where that failed.
type readBody struct {
	io.Reader
	whole []byte
	err   error
}

func (*readBody) Close() error { return nil }

// redirect sends a client on to where it would come by this gateway, and nowhere else.
func (rl *relay) redirect(x *exchange, resp *http.Response) error {
	to := resp.Header.Get("Location")
	if to == "" {
		return nil
	}
	u, err := url.Parse(to)
	if err == nil {
		u = x.rt.to.ResolveReference(u)
		if local := rl.local(u.String()); local != "" {
			resp.Header.Set("Location", local)
			return nil
		}
	}
	if x.rt.query {
		return &relayError{code: relayRedirected} // where to may have a signature in it
	}
	return &relayError{code: relayRedirected, detail: "to " + printable(to)}
}

// local is the address at this gateway of one of the vendor's that is relayed; empty: it
// is none.
func (rl *relay) local(address string) string {
	for _, s := range rl.services {
		from := strings.TrimSuffix(s.to.String(), apiSuffix)
		rest, ok := strings.CutPrefix(address, from)
		if ok && (rest == "" || strings.ContainsAny(rest[:1], "/?")) && !strings.Contains(rest, "..") {
			path := s.path
			if from != s.to.String() {
				path = strings.TrimSuffix(path, apiSuffix)
			}
			return rl.cfg.URL + path + rest
		}
	}
	return ""
}

// buffers are those that answers are copied with.
type buffers struct{ sync.Pool }

func (b *buffers) Get() []byte  { return *b.Pool.Get().(*[]byte) }
func (b *buffers) Put(p []byte) { b.Pool.Put(&p) }
