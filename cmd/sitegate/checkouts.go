package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"time"

	"sitegate/api"
	"sitegate/upstream/cloudapi"
)

func checkouts(ctx context.Context, p *program, args []string) error {
	return p.dispatchOr(ctx, checkoutsList, "sitegate checkouts", []command{
		{"list", "show what is checked out, to which machine, until when", checkoutsList},
		{"bulk", "check out for many, from a CSV file, after showing what would come of it", checkoutsBulk},
		{"import", "keep the licenses for a machine whose checkout file the vendor has made", checkoutsImport},
	}, args)
}

const checkoutsImportHelp = `
Usage: sitegate checkouts import FILE.belic [--machine NAME] [--by WHO] [--note WHY]
                                 [--config FILE]

Takes in a checkout that the vendor has made, for a machine that the file is carried
to: from now on this site keeps the license for that machine, until the file's end,
and refuses the others. The file is read and stays as it is; the machine needs it,
this site does not. Importing it again does nothing.

The file is believed if the vendor has signed it, by the certificate that the
vendor's own service names or by one in relay.signer_file. With --machine the file
is to be for that machine, else nothing is done.

Examples:
  sitegate checkouts import 5f0c1f0e_LAPTOP-7.belic
  sitegate checkouts import ada.belic --machine LAPTOP-7 --note "ship, until May"
`

func checkoutsImport(ctx context.Context, p *program, args []string) error {
	f := p.flags("checkouts import", checkoutsImportHelp)
	p.configFlags(f)
	machine := f.String("machine", "", "the machine that the file is to be for (default: whichever it names)")
	note := f.String("note", "", "why, for the audit trail")
	by := f.String("by", "", "who imports it (default: the user of this machine who asks)")
	files, err := p.parse(f, args)
	if err != nil {
		return err
	}
	if len(files) != 1 {
		return usagef("checkouts import: name one file, as sitegate checkouts import FILE.belic")
	}
	who := p.asker(*by)
	data, err := readBounded(files[0], cloudapi.MaxPolicy)
	if err != nil {
		return fmt.Errorf("reading what is to be imported: %w", err)
	}
	if len(data) > cloudapi.MaxPolicy {
		return fmt.Errorf("%s is larger than %d bytes, so that it is no checkout file", files[0], cloudapi.MaxPolicy)
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	var list api.List[api.Checkout]
	in := api.CheckoutImportRequest{File: data, Machine: *machine, By: who, Note: *note}
	if err := patientOperator(ctx, c, http.MethodPost, api.PathCheckouts+"/import", in, &list); err != nil {
		return err
	}
	for _, x := range list.Items {
		fmt.Fprintf(p.stdout, "%s: product %s is kept for %s until %s (license %s).\n", x.ID, x.Product, x.Machine.Name, x.Until.UTC().Format(time.RFC3339), x.License)
	}
	return nil
}

// vendorSigners reads the certificates that the vendor signs with by the site's own word;
// empty: none.
func vendorSigners(file string) (list []*x509.Certificate, err error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("the vendor's certificates (relay.signer_file): %w", err)
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("the vendor's certificates (relay.signer_file): %s: %w", file, err)
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("the vendor's certificates (relay.signer_file): %s holds none in PEM form", file)
	}
	return list, nil
}
