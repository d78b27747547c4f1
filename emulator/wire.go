package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"sitegate/upstream/cloudapi"
)

// answer writes v as JSON.
func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // the status is out; who does not read on has gone
}

// refuse writes a problem.
func refuse(w http.ResponseWriter, status int, reason, detail string) {
	answer(w, status, cloudapi.Problem{Reason: reason, Detail: detail})
}

// read decodes one JSON value of the body into v; false: it has answered already.
func read(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, err2 := d.Token(); err2 != io.EOF {
			err = errors.New("more than one JSON value")
		}
	}
	if err == nil {
		return true
	}
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		refuse(w, http.StatusRequestEntityTooLarge, cloudapi.ReasonInvalid, fmt.Sprintf("the body is larger than %d bytes", big.Limit))
		return false
	}
	refuse(w, http.StatusBadRequest, cloudapi.ReasonInvalid, "the body is not what this call takes: "+err.Error())
	return false
}
