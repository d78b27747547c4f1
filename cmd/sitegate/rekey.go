package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"sitegate/api"
	"sitegate/configs"
)

// defaultOverlap is how long clients are served that trust the old CA only, if nothing is
// said.
const defaultOverlap = 30 * 24 * time.Hour

const rekeyHelp = `
Usage: sitegate cluster rekey --note WHY [--overlap DURATION] [--cut-off]
                              [--config FILE]

Replaces the site's CA, key and all, while the cluster works: whoever has the key
of the old one, or a certificate by it, is no node of this cluster by that any more.
Each node gets a certificate by the new CA within seconds; one that is off gets it
when it comes back within --overlap, and has to join anew after that.

Clients that trust the old CA go on being served for as long as --overlap says, one
second to 9600h (default: 30 days), and need the new one meanwhile: see
docs/operator/tls.md. Within that time another one is refused: it would cut off who
trusts the first CA only, and with --cut-off it does. Join tokens are void. It is in
the audit trail. To run it after a node was removed whose disk may be read by others:

Example:
  sitegate cluster remove gw3 --note "machine stolen"
  sitegate cluster rekey --note "gw3 was stolen"
`

func clusterRekey(ctx context.Context, p *program, args []string) error {
	f := p.flags("cluster rekey", rekeyHelp)
	p.configFlags(f)
	p.remoteFlags(f)
	note := f.String("note", "", "why, for the audit trail")
	overlap := f.Duration("overlap", defaultOverlap, "how long clients are served that trust the old CA only: 1s to 9600h")
	cutOff := f.Bool("cut-off", false, "also within the overlap of the last one, which cuts off clients that trust the CA before it only")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	if *note == "" {
		return usagef("cluster rekey: say why, with --note: it is kept in the audit trail")
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	return p.rekey(ctx, c, api.RekeyRequest{Note: *note, OverlapMS: overlap.Milliseconds(), CutOff: *cutOff})
}

func (p *program) rekey(ctx context.Context, c configs.Config, in api.RekeyRequest) error {
	in.By = p.operatorName()
	if err := operator(ctx, c, http.MethodPost, api.PathRekey, in, nil); err != nil {
		return err
	}
	var s api.Status
	if err := operator(ctx, c, http.MethodGet, api.PathStatus, nil, &s); err != nil {
		return err
	}
	if r := s.Cluster.Replacement; r != nil {
		fmt.Fprintln(p.stdout, replacementWords(*r))
	}
	fmt.Fprintln(p.stdout, "How far the nodes are: sitegate cluster members. The new CA's certificate: ca/site-ca.pem in the data folder, or /ca.pem of any node.\nKeep a copy of that folder with the backups, and destroy the copies of the old key.")
	return nil
}

// replacementWords tell how far the replacement of the site's CA is, and what is to be seen
// to.
func replacementWords(r api.Replacement) string {
	words := fmt.Sprintf("The site's CA was replaced on %s by %s. ", r.Since.UTC().Format(time.DateOnly), r.Fingerprint)
	if r.Over.IsZero() {
		words = fmt.Sprintf("The site's CA is being replaced since %s by %s. ", r.Since.UTC().Format(time.RFC3339), r.Fingerprint)
		if len(r.Waiting) > 0 {
			words += fmt.Sprintf("No certificate by the new one yet: %s; whoever has none by %s is to join anew. ", strings.Join(r.Waiting, ", "), r.Until.UTC().Format(time.RFC3339))
		}
		if len(r.Keyless) > 0 {
			words += fmt.Sprintf("Its key is not yet on %s. ", strings.Join(r.Keyless, ", "))
		}
	}
	if len(r.Left) > 0 {
		words += fmt.Sprintf("NO CERTIFICATE BY THE NEW ONE: %s: remove, and have it join again by a token. ", strings.Join(r.Left, ", "))
	}
	return words + fmt.Sprintf("Clients that trust the old one only are served until %s.", r.Until.UTC().Format(time.RFC3339))
}
