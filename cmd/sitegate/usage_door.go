package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/endpoint"
	"sitegate/gateway"
	"sitegate/license"
	"sitegate/siteca"
	"sitegate/upstream"
	"sitegate/upstream/cloudapi"
)

// pathExports and pathReceipts are where administrators export usage, and takes
// the vendor's receipts.
const (
	pathExports  = "/v1/usage/exports"
	pathReceipts = "/v1/usage/receipts"
)

// exportsAnswer is what is exported, and what is not.
type exportsAnswer struct {
	Site     string          `json:"site"`
	Waiting  uint64          `json:"waiting"`  // usage records that the cloud has not acknowledged
	Refused  uint64          `json:"refused"`  // set aside
	Exported uint64          `json:"exported"` // the number of the last file
	Open     []exportedUsage `json:"open"`     // files that wait for their receipts
}

// exportedUsage is one file of usage records.
type exportedUsage struct {
	Number   uint64    `json:"number"`
	After    uint64    `json:"after"`
	Through  uint64    `json:"through"`
	Records  uint64    `json:"records"`
	SHA256   string    `json:"sha256"`
	At       time.Time `json:"at"`
	By       string    `json:"by"`
	Received bool      `json:"received"` // its receipt is in, and waits for that of a file before it
}

// exportRequest asks for the next file.
type exportRequest struct {
	Until time.Time `json:"until"`
	By    string    `json:"by"`
}

// usageDoor is what the operator's socket does about usage that somebody carries.
type usageDoor struct {
	gw     *gateway.Gateway
	keys   *siteca.Keys
	vendor crypto.PublicKey // of receipts; nil: none are taken
	node   string
	refuse refusing
	log    *slog.Logger
}

// newUsageDoor reads the vendor's key, if there is one.
func newUsageDoor(c configs.Config, gw *gateway.Gateway, keys *siteca.Keys, refuse refusing, log *slog.Logger) (*usageDoor, error) {
	u := &usageDoor{gw: gw, keys: keys, node: c.Node, refuse: refuse, log: log}
	if c.Usage.ReceiptKeyFile == "" {
		return u, nil
	}
	data, err := os.ReadFile(c.Usage.ReceiptKeyFile)
	if err == nil {
		u.vendor, err = cloudapi.PublicKey(data)
	}
	if err != nil {
		return nil, fmt.Errorf("the key of the vendor's receipts (usage.receipt_key_file, %s): %w", c.Usage.ReceiptKeyFile, err)
	}
	return u, nil
}

func (u *usageDoor) install(handle administer) {
	handle("GET "+pathExports, license.Viewer, license.ReadScope|license.UsageScope, u.answer(u.list))
	handle("POST "+pathExports, license.Admin, license.UsageScope, u.answer(u.export))
	handle("GET "+pathExports+"/{number}/manifest", license.Admin, license.UsageScope, u.answer(u.manifest))
	handle("GET "+pathExports+"/{number}", license.Admin, license.UsageScope, http.HandlerFunc(u.file))
	handle("POST "+pathReceipts, license.Admin, license.UsageScope, u.answer(u.receive))
}

// answer answers with what f returns; nil is no content.
func (u *usageDoor) answer(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), usagePatience)
		defer cancel()
		v, err := f(r.WithContext(ctx))
		switch {
		case err != nil:
			u.cannot(w, err)
		case v == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(v) // who has gone reads no answer
		}
	}
}

// usagePatience bounds one request: a file may have to be looked for in a long journal.
const usagePatience = 10 * time.Minute

// cannot refuses. That nobody leads, or that an answer was lost, is told as everywhere.
func (u *usageDoor) cannot(w http.ResponseWriter, err error) {
	u.log.Warn("what the operator asked about usage could not be done", "id", w.Header().Get("X-Request-Id"), "err", err)
	if !errors.Is(err, gateway.ErrNoLeader) && !errors.Is(err, gateway.ErrUnknown) {
		err = endpoint.NotDone(api.CodeUsage, err)
	}
	u.refuse(w, err)
}

func (u *usageDoor) list(*http.Request) (any, error) {
	out := exportsAnswer{Open: []exportedUsage{}}
	u.gw.View(func(s *license.State) {
		h := s.Head()
		out.Site, out.Waiting, out.Refused, out.Exported = h.Cluster, s.UsageWaiting(), uint64(len(license.AllSetAside(s))), h.Exported.Number
		for _, x := range license.Exports(s) {
			out.Open = append(out.Open, exportOf(x))
		}
	})
	return out, nil
}

func exportOf(x license.Export) exportedUsage {
	return exportedUsage{Number: x.Number, After: x.After, Through: x.Through, Records: x.Records, SHA256: hex.EncodeToString(x.Sum[:]),
		At: x.At.Std(), By: x.By, Received: x.Received != 0}
}

// export notes the next file; nothing: there is no more usage up to that time.
func (u *usageDoor) export(r *http.Request) (any, error) {
	var in exportRequest
	if err := readDocument(r, &in); err != nil {
		return nil, err
	}
	if in.By = endpoint.AdministratorOf(r.Context()).By(in.By); in.By == "" {
		return nil, errors.New("by is missing: who exports it")
	}
	x, err := u.gw.ExportUsage(r.Context(), license.TimeOf(in.Until), in.By, upstream.UsageLine)
	if errors.Is(err, gateway.ErrNothingToExport) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	u.log.Info("usage was exported", "number", x.Number, "records", x.Records, "by", in.By)
	return exportOf(x), nil
}

// named is the file that the path names. A node that is a moment behind is waited for.
func (u *usageDoor) named(r *http.Request) (license.Export, error) {
	number, err := strconv.ParseUint(r.PathValue("number"), 10, 64)
	if err != nil {
		return license.Export{}, errors.New("the number of a file is a number")
	}
	for end := time.Now().Add(2 * time.Second); ; {
		var x license.Export
		u.gw.View(func(s *license.State) {
			for _, y := range license.Exports(s) {
				if y.Number == number {
					x = y
				}
			}
		})
		if x.Number != 0 {
			return x, nil
		}
		if time.Now().After(end) || r.Context().Err() != nil {
			return x, fmt.Errorf("there is no file %d that waits for its receipt", number)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-r.Context().Done():
		}
	}
}

// file gives the records of a file. One that fails in the middle breaks the connection
// off.
func (u *usageDoor) file(w http.ResponseWriter, r *http.Request) {
	x, err := u.named(r)
	if err != nil {
		u.cannot(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	if err := u.gw.WriteExport(r.Context(), x, upstream.UsageLine, w); err != nil {
		u.log.Warn("a file of usage could not be given", "number", x.Number, "err", err)
		panic(http.ErrAbortHandler)
	}
}

func (u *usageDoor) manifest(r *http.Request) (any, error) {
	x, err := u.named(r)
	if err != nil {
		return nil, err
	}
	var h license.Head
	u.gw.View(func(s *license.State) { h = s.Head() })
	m := cloudapi.UsageManifest{Site: h.Cluster, Epoch: h.Epoch, Number: x.Number, File: usageFileName(x.Number), After: x.After, Through: x.Through,
		Records: x.Records, SHA256: hex.EncodeToString(x.Sum[:]), MadeAt: x.At.Std(), MadeBy: x.By, Node: u.node}
	pair := u.keys.Certificate()
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("this node has no key to sign with")
	}
	chain := append(pair.Certificate[:1:1], u.keys.Issuer().Raw)
	return cloudapi.Sign(cloudapi.KindManifest, m, key, chain...)
}

// receive takes a receipt, if the vendor has signed it.
func (u *usageDoor) receive(r *http.Request) (any, error) {
	var signed cloudapi.Signed
	if err := readDocument(r, &signed); err != nil {
		return nil, err
	}
	if u.vendor == nil {
		return nil, errors.New("this site does not know the vendor's key: set usage.receipt_key_file")
	}
	var got cloudapi.UsageFileReceipt
	if err := signed.Open(cloudapi.KindReceipt, u.vendor, &got); err != nil {
		return nil, fmt.Errorf("the receipt is not taken: %w", err)
	}
	var sum license.Digest
	if err := sum.UnmarshalText([]byte(got.SHA256)); err != nil || got.Accepted < 0 || len(got.Refused) > license.MaxSetAsideAtOnce {
		return nil, fmt.Errorf("the receipt is not taken: it has no proper checksum or counts, or refuses more than %d records", license.MaxSetAsideAtOnce)
	}
	var site string
	u.gw.View(func(s *license.State) { site = s.Head().Cluster })
	if got.Site != site {
		return nil, fmt.Errorf("the receipt is not taken: it is for site %.100q, this is %s", got.Site, site)
	}
	var refused []gateway.RefusedRecord
	for _, l := range got.Refused {
		refused = append(refused, gateway.RefusedRecord{Record: l.ID, Why: clipped(l.Detail)})
	}
	a, err := u.gw.ReceiveUsage(r.Context(), got.Number, sum, uint64(got.Accepted), refused, endpoint.AdministratorOf(r.Context()).By(r.URL.Query().Get("by")))
	if err != nil {
		return nil, err
	}
	if d := a.Outcome.Denial; d != nil {
		return nil, fmt.Errorf("the receipt is not taken: it is not of file %d as this site has exported it (%s)", got.Number, d.Reason)
	}
	u.log.Info("a receipt for usage was taken", "number", got.Number, "accepted", got.Accepted, "refused", len(got.Refused), "repeat", a.Outcome.Repeat)
	return receiptAnswer{Number: got.Number, Accepted: got.Accepted, Refused: len(got.Refused), Repeat: a.Outcome.Repeat}, nil
}

// receiptAnswer is what has become of a receipt.
type receiptAnswer struct {
	Number   uint64 `json:"number"`
	Accepted int    `json:"accepted"`
	Refused  int    `json:"refused"`
	Repeat   bool   `json:"repeat"` // it had been taken before
}

// clipped bounds what the vendor says of a record, which is kept as text.
func clipped(s string) string { return strings.ToValidUTF8(s[:min(len(s), 200)], "?") }

// maxDocument bounds what comes in on these paths.
const maxDocument = 1 << 20

func readDocument(r *http.Request, into any) error {
	b, err := io.ReadAll(io.LimitReader(r.Body, maxDocument+1))
	switch {
	case err != nil:
		return err
	case len(b) > maxDocument:
		return fmt.Errorf("it has more than %d bytes", maxDocument)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("it is not what belongs here: %w", err)
	}
	return nil
}

// usageFileName is what a file of usage records is called, and usageManifestName its
// manifest.
func usageFileName(number uint64) string     { return fmt.Sprintf("usage-%06d.jsonl", number) }
func usageManifestName(number uint64) string { return fmt.Sprintf("usage-%06d.manifest.json", number) }

// openManifest checks the signature of a manifest by a certificate of this site.
func openManifest(s cloudapi.Signed, ca []byte) (m cloudapi.UsageManifest, err error) {
	if len(s.Certificates) == 0 {
		return m, cloudapi.ErrSignature
	}
	leaf, err := x509.ParseCertificate(s.Certificates[0])
	if err != nil {
		return m, fmt.Errorf("reading the certificate of who signed it: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return m, fmt.Errorf("who signed it is not of this site: %w", err)
	}
	return m, s.Open(cloudapi.KindManifest, leaf.PublicKey, &m)
}
