package endpoint

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"sitegate/api"
	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// importCheckout is POST /v1/checkouts/import on the operator's socket: a checkout that the
// vendor has made for one of the site's machines, by its file. It is read and entered; the file
// stays as it is, and is good without this site.
func (e *Endpoint) importCheckout(c *call, in api.CheckoutImportRequest) (reply, error) {
	if err := c.said(&in.By, in.Note); err != nil {
		return reply{}, err
	}
	if !plain(in.Machine) {
		return reply{}, malformed("machine is longer than 256 bytes or has control characters")
	}
	f, err := cloudapi.ReadCheckoutFile(in.File)
	if err != nil {
		return reply{}, malformed("the file is no checkout file, or is damaged: " + err.Error())
	}
	if err := e.vendorSigned(c, f); err != nil {
		return reply{}, err
	}
	list, err := e.checkoutsIn(f, in)
	if err != nil {
		return reply{}, err
	}
	out := api.List[api.Checkout]{Items: []api.Checkout{}}
	status := http.StatusOK
	for _, x := range list {
		a, err := decided(e.gw.ImportCheckout(c.ctx, x))
		if err != nil {
			return reply{}, err
		}
		if !a.Outcome.Repeat {
			status = http.StatusCreated
			e.log.InfoContext(c.ctx, "checkout imported", "id", c.id, "user", string(x.User), "machine", x.Machine.Name, "product", string(x.Product), "by", in.By)
		}
		out.Items = append(out.Items, checkout(a.Outcome.Checkout, a.Epoch))
	}
	return reply{status: status, body: out}, nil
}

// vendorSigned makes sure that the vendor has signed the file, by a certificate that its own
// service or this site's operator has named. That in the file is only what the file says.
func (e *Endpoint) vendorSigned(c *call, f cloudapi.CheckoutFile) error {
	if e.relay == nil {
		return malformed("this site does not know the vendor's certificate: set the section relay in the configuration, which says where it is asked for, or relay.signer_file")
	}
	_, err := e.relay.signers.verify(c.ctx, f.Policy)
	switch {
	case err == nil:
		return nil
	case f.Policy.Verify(f.Certificate) != nil:
		return malformed("the file was altered: its signature is not good even by the certificate that is in it")
	case !errors.Is(err, cloudapi.ErrSignature):
		c.w.err = err
		return &trouble{code: api.CodeCloud, detail: "The certificate that the vendor signs with could not be asked for, and none that is known has signed the file: try again with a link, or set relay.signer_file."}
	}
	return malformed(fmt.Sprintf("the file is not signed by the vendor: its certificate (SHA-256 %x) is none that the vendor's service or relay.signer_file names. "+
		"If the vendor confirms that it is theirs, as one of before, put it into relay.signer_file", sha256.Sum256(f.Certificate.Raw)))
}

// checkoutsIn are the checkouts that a file is for: of the products in it that the rule of one
// machine is for.
func (e *Endpoint) checkoutsIn(f cloudapi.CheckoutFile, in api.CheckoutImportRequest) (list []license.CheckOut, err error) {
	p := &f.Policy.Policy
	m := license.Machine{Name: strings.TrimSpace(p.RequestData.MachineName)}
	user := userOf(p)
	until := p.ExpiresOn.Time
	if until.IsZero() {
		until = f.Policy.Expires
	}
	switch now := e.gw.Now().Std(); {
	case user == "" || !plain(user) || !m.Is(m) || !plain(m.Name):
		return nil, malformed("the file names no user, or no machine")
	case in.Machine != "" && !m.Is(license.Machine{Name: in.Machine}):
		return nil, malformed("the file is for the machine " + m.Name + ", not for " + in.Machine)
	case !until.After(now):
		return nil, malformed("the checkout ended at " + until.UTC().Format(time.RFC3339))
	}
	out, capped := 0, 0
	e.gw.View(func(s *license.State) {
		if account := s.Head().Account.ID; account != "" && account != p.UserData.UltimateID && account != p.UserData.OrganizationID {
			err = malformed("the file is of another account than this site's, " + account)
			return
		}
		for _, x := range p.Securables {
			product := license.ProductID(x.ProductID)
			if !plain(string(product)) || !p.Access(x.ProductID, x.Feature).Allows() || !p.True(x.ProductID, x.Feature, cloudapi.QualifierIsCheckedOut) {
				continue
			}
			out++
			if known := s.Product(product); known != nil && !known.Single() {
				continue
			}
			capped++
			if slices.ContainsFunc(list, func(c license.CheckOut) bool { return c.Product == product }) {
				continue // another feature of it
			}
			list = append(list, license.CheckOut{ID: importID(p.PolicyID, product), User: license.UserID(user), Product: product, Machine: m,
				Until: license.TimeOf(until), By: in.By, Note: in.Note})
		}
	})
	switch {
	case err != nil:
		return nil, err
	case out == 0:
		return nil, malformed("the file is a policy and no checkout: nothing in it is checked out")
	case capped == 0:
		return nil, malformed("nothing in the file is capped to one machine, so that there is no license to keep for it; its machine may use it as it is")
	}
	return list, nil
}

// importID is a checkout's id, the same each time that its file is imported.
func importID(policy string, product license.ProductID) (id license.ID) {
	sum := sha256.Sum256([]byte("checkout file\n" + policy + "\n" + string(product)))
	copy(id[:], sum[:])
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // a UUID of a form of its own (RFC 9562, version 8)
	return id
}
