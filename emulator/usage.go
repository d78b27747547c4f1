package emulator

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"sitegate/upstream/cloudapi"
)

// usage is what the sites have posted.
type usage struct {
	records    []cloudapi.UsageRecord // in order of arrival, each once
	seen       map[string]bool        // ids of records
	answers    map[string]posting     // site and idempotency key → what was answered
	duplicates int
	refused    map[string]bool // users whose records are not taken
}

type posting struct {
	sum     [sha256.Size]byte // of the request
	receipt cloudapi.UsageReceipt
}

// Usage is every usage record the cloud has accepted, each once, in order of arrival.
func (e *Emulator) Usage() []cloudapi.UsageRecord {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.usage.records)
}

// UsageDuplicates is how many records came again under another idempotency key, and were not counted again.
func (e *Emulator) UsageDuplicates() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.usage.duplicates
}

// RefuseUsageOf makes it a cloud that refuses every posting with a record of one of these users, in place of those it was told before.
func (e *Emulator) RefuseUsageOf(users ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.usage.refused = map[string]bool{}
	for _, u := range users {
		e.usage.refused[u] = true
	}
}

func (e *Emulator) refusesUsageOf(user string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.usage.refused[user]
}

// postUsage answers PathUsage.
func (e *Emulator) postUsage(w http.ResponseWriter, r *http.Request, site string) {
	key := r.Header.Get(cloudapi.IdempotencyKey)
	if key == "" || len(key) > cloudapi.MaxID {
		refuse(w, http.StatusBadRequest, cloudapi.ReasonInvalid, fmt.Sprintf("%s is a header of 1 to %d bytes", cloudapi.IdempotencyKey, cloudapi.MaxID))
		return
	}
	var req cloudapi.UsageRequest
	if !read(w, r, &req) {
		return
	}
	if len(req.Records) > cloudapi.MaxUsageRecords {
		refuse(w, http.StatusBadRequest, cloudapi.ReasonInvalid, fmt.Sprintf("a posting has at most %d records", cloudapi.MaxUsageRecords))
		return
	}
	for i, rec := range req.Records {
		if rec.ID == "" || rec.UserID == "" || rec.ProductID == "" || len(rec.ID) > cloudapi.MaxID ||
			rec.StartedAt.IsZero() || rec.EndedAt.Before(rec.StartedAt) {
			refuse(w, http.StatusBadRequest, cloudapi.ReasonInvalid, fmt.Sprintf("record %d needs an id, a user, a product, and an end that is not before its start", i))
			return
		}
		if e.refusesUsageOf(rec.UserID) {
			refuse(w, http.StatusBadRequest, cloudapi.ReasonInvalid, fmt.Sprintf("record %d is of a user that is not known", i))
			return
		}
	}
	body, err := json.Marshal(req)
	if err != nil {
		refuse(w, http.StatusBadRequest, cloudapi.ReasonInvalid, err.Error())
		return
	}
	receipt, ok := e.accept(site+" "+key, sha256.Sum256(body), req.Records)
	receipt.Key = key
	if !ok {
		refuse(w, http.StatusUnprocessableEntity, cloudapi.ReasonInvalid, "this idempotency key was used for another posting")
		return
	}
	answer(w, http.StatusOK, receipt)
}

// accept keeps records that are new; false: the key stands for another posting.
func (e *Emulator) accept(key string, sum [sha256.Size]byte, records []cloudapi.UsageRecord) (cloudapi.UsageReceipt, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	u := &e.usage
	if u.seen == nil {
		u.seen, u.answers = map[string]bool{}, map[string]posting{}
	}
	if p, again := u.answers[key]; again {
		return p.receipt, p.sum == sum
	}
	var receipt cloudapi.UsageReceipt
	for _, rec := range records {
		receipt.Accepted++
		if u.seen[rec.ID] {
			receipt.Duplicates++
			continue
		}
		u.seen[rec.ID] = true
		u.records = append(u.records, rec)
	}
	u.duplicates += receipt.Duplicates
	u.answers[key] = posting{sum, receipt}
	return receipt, true
}
