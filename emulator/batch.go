package emulator

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"sitegate/upstream/cloudapi"
)

// batch answers PathHoldsBatch: each operation as if it had come by itself.
func (e *Emulator) batch(w http.ResponseWriter, r *http.Request, site string) {
	var req cloudapi.BatchRequest
	if !read(w, r, &req) {
		return
	}
	if n := len(req.Operations); n < 1 || n > cloudapi.MaxBatch {
		refuse(w, http.StatusBadRequest, cloudapi.ReasonInvalid, "a batch has from 1 to "+strconv.Itoa(cloudapi.MaxBatch)+" operations")
		return
	}
	var out cloudapi.BatchAnswer
	for _, o := range req.Operations {
		h, what := e.putHold, any(o.Hold)
		switch {
		case (o.Hold == nil) == (o.Release == nil):
			refuse(w, http.StatusBadRequest, cloudapi.ReasonInvalid, "an operation is a hold or a release")
			return
		case o.Release != nil:
			h, what = e.releaseHold, o.Release
		}
		body, err := json.Marshal(what)
		if err != nil {
			refuse(w, http.StatusBadRequest, cloudapi.ReasonInvalid, err.Error())
			return
		}
		one := r.Clone(r.Context())
		one.Body = readCloser{bytes.NewReader(body)}
		rec := &kept{header: http.Header{}}
		h(rec, one, site)
		var got cloudapi.OperationResult
		if rec.status >= 300 {
			got = cloudapi.OperationResult{Status: rec.status, Problem: new(cloudapi.Problem)}
			_ = json.Unmarshal(rec.body.Bytes(), got.Problem) // it is ours
		} else if rec.body.Len() > 0 {
			_ = json.Unmarshal(rec.body.Bytes(), &got)
		}
		out.Results = append(out.Results, got)
	}
	answer(w, http.StatusOK, out)
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// quotaTime is what MaxRequests are counted in.
const quotaTime = 30 * time.Second

// overQuota reports whether a site asks too often, and when it may again.
func (e *Emulator) overQuota() (wait time.Duration, over bool) {
	if e.MaxRequests == 0 {
		return 0, false
	}
	e.quota.Lock()
	defer e.quota.Unlock()
	now := e.now()
	for len(e.asked) > 0 && now.Sub(e.asked[0]) >= quotaTime {
		e.asked = e.asked[1:]
	}
	if len(e.asked) >= e.MaxRequests {
		return quotaTime - now.Sub(e.asked[0]), true
	}
	e.asked = append(e.asked, now)
	return 0, false
}
