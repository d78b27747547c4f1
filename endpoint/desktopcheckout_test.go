package endpoint

import (
	"crypto/x509"
	"encoding/base64"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/emulator"
	"sitegate/license"
)

// carried is a checkout file that the vendor's portal has made.
func (d *desktopRig) carried(t *testing.T, user, machine string, products ...string) []byte {
	t.Helper()
	file, err := d.cloud.CheckoutFile(user, machine, time.Now().Add(10*24*time.Hour), products...)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// socket is the operator's.
func (d *desktopRig) socket(t *testing.T) *rig {
	t.Helper()
	op := *d.rig
	op.Server = httptest.NewServer(d.e.Operator())
	t.Cleanup(op.Close)
	return &op
}

// checkedOut is what ada has checked out, as "product machine".
func (d *desktopRig) checkedOut() (list []string) {
	d.node.View(func(s *license.State) {
		if a := s.Active("ada"); a != nil {
			for _, x := range a.Checkouts {
				list = append(list, string(x.Product)+" "+x.Machine.Name)
			}
		}
	})
	return list
}

func TestACheckoutFileIsEntered(t *testing.T) {
	d := newDesktopRig(t)
	it := d.socket(t)
	file := d.carried(t, "ada", "LAPTOP-7", "1234", "2001")
	in := api.CheckoutImportRequest{File: file, Machine: "laptop-7.corp.example", By: "ida", Note: "ship"}
	var list api.List[api.Checkout]
	it.want(t, 201, "", "POST", "/v1/checkouts/import", in).into(t, &list)
	if len(list.Items) != 1 || list.Items[0].Product != "1234" || list.Items[0].Machine.Name != "LAPTOP-7" || list.Items[0].By != "ida" || time.Until(list.Items[0].Until) < 9*24*time.Hour {
		t.Errorf("entered: %+v; want the capped one until the file's end", list.Items)
	}
	d.withholds(t, d.policy(t, d.bearer(t, "ada"), "WS-101", "1234"), 409, "machine-active")
	again := list.Items[0].ID
	it.want(t, 200, "", "POST", "/v1/checkouts/import", in).into(t, &list)
	if got := d.checkedOut(); len(got) != 1 || list.Items[0].ID != again {
		t.Errorf("imported twice: %v, %s and %s", got, again, list.Items[0].ID)
	}
	d.node.View(func(s *license.State) {
		if x := s.Active("ada").Checkouts[0]; !x.Relayed {
			t.Errorf("the checkout is %+v; want one that meters itself", x)
		}
	})
}

func TestCheckoutFilesThatAreNotWhatTheyShouldBe(t *testing.T) {
	d := newDesktopRig(t)
	it := d.socket(t)
	good := d.carried(t, "ada", "LAPTOP-7", "1234")
	token, cert, _ := strings.Cut(string(good), "\n")
	made := func(terms emulator.PolicyTerms, f func() []byte) []byte {
		d.cloud.SetPolicyTerms(terms)
		defer d.cloud.SetPolicyTerms(emulator.PolicyTerms{Blind: true})
		return f()
	}
	carried := func() []byte { return d.carried(t, "ada", "LAPTOP-7", "1234") }
	policy := d.policy(t, d.bearer(t, "ben"), "WS-9", "2001", "1234")
	expired, err := d.cloud.CheckoutFile("ada", "LAPTOP-7", time.Now().Add(time.Second), "1234")
	if err != nil {
		t.Fatal(err)
	}
	p := &emulator.Emulator{}
	other := base64.StdEncoding.EncodeToString(p.PolicyCertificate().Raw)
	for what, s := range map[string]struct {
		in   api.CheckoutImportRequest
		says string
	}{
		"nothing":               {api.CheckoutImportRequest{}, "no checkout file"},
		"cut short":             {api.CheckoutImportRequest{File: good[:len(good)/2]}, "no checkout file"},
		"altered":               {api.CheckoutImportRequest{File: made(emulator.PolicyTerms{Altered: true}, carried)}, "was altered"},
		"signed with no one's":  {api.CheckoutImportRequest{File: made(emulator.PolicyTerms{WrongKey: true}, carried)}, "was altered"},
		"another's certificate": {api.CheckoutImportRequest{File: []byte(token + "\n" + other), Machine: "WS-1"}, "not for WS-1"}, // which the vendor's signature is good by all the same
		"for another machine":   {api.CheckoutImportRequest{File: good, Machine: "WS-101"}, "for the machine LAPTOP-7, not for WS-101"},
		"no checkout":           {api.CheckoutImportRequest{File: []byte(strings.Trim(string(policy.raw), "\"\n") + "\n" + cert)}, "no checkout: nothing in it is checked out"},
		"not capped":            {api.CheckoutImportRequest{File: d.carried(t, "ada", "LAPTOP-7", "2001")}, "nothing in the file is capped"},
	} {
		s.in.By, s.in.Note = "ida", "test"
		a := it.want(t, 400, "", "POST", "/v1/checkouts/import", s.in)
		if problem := a.problem(t); !strings.Contains(problem.Detail, s.says) {
			t.Errorf("%s: %q, want %q in it", what, problem.Detail, s.says)
		}
	}
	eventually(t, "the end of a short one", func() bool {
		a := it.call(t, "", "POST", "/v1/checkouts/import", api.CheckoutImportRequest{File: expired, By: "ida", Note: "test", Machine: "laptop-7"})
		return a.StatusCode == 400 && strings.Contains(a.problem(t).Detail, "ended at")
	})
	if got := d.checkedOut(); len(got) > 1 { // the short one, while it lasted
		t.Errorf("entered: %v", got)
	}

	d.node.do(t, license.Mirror{Changes: []license.Change{{Account: &license.Account{ID: "a-9"}}}, From: "c1", Cursor: "c2"})
	if p := it.want(t, 400, "", "POST", "/v1/checkouts/import", api.CheckoutImportRequest{File: good, By: "ida", Note: "test"}).problem(t); !strings.Contains(p.Detail, "another account") {
		t.Errorf("another account: %q", p.Detail)
	}
}

// A license that another machine has is not given away: it has to be stopped there first.
func TestACheckoutFileIsRefusedWhileAnotherMachineIsActive(t *testing.T) {
	d := newDesktopRig(t)
	it := d.socket(t)
	file := d.carried(t, "ada", "LAPTOP-7", "1234")
	d.gives(t, d.bearer(t, "ada"), "WS-101", "1234")
	if p := it.want(t, 409, "", "POST", "/v1/checkouts/import", api.CheckoutImportRequest{File: file, By: "ida", Note: "test"}).problem(t); p.Code != "machine-active" {
		t.Errorf("got %+v, want machine-active", p)
	}
	if got := d.checkedOut(); len(got) != 0 {
		t.Errorf("entered: %v", got)
	}
}

// The certificate in the file is the file's word. The site's own is believed without a link.
func TestACheckoutFileIsBelievedByTheSitesCertificates(t *testing.T) {
	d := newDesktopRig(t)
	it := d.socket(t)
	file := d.carried(t, "ada", "LAPTOP-7", "1234")
	old := d.cloud.PolicyCertificate()
	d.cloud.RotatePolicyKey()
	in := api.CheckoutImportRequest{File: file, By: "ida", Note: "test"}
	if p := it.want(t, 400, "", "POST", "/v1/checkouts/import", in).problem(t); !strings.Contains(p.Detail, "not signed by the vendor") || !strings.Contains(p.Detail, "relay.signer_file") {
		t.Errorf("got %q, want how to have it believed", p.Detail)
	}
	d.vendor.CloseClientConnections()
	d.e.relay.signers = newSigners(d.e.relay.cfg.Transport, "https://127.0.0.1:1/none", nil)
	if p := it.want(t, 503, "", "POST", "/v1/checkouts/import", in).problem(t); p.Code != api.CodeCloud {
		t.Errorf("without a link: %+v", p)
	}
	d.e.relay.signers = newSigners(d.e.relay.cfg.Transport, "https://127.0.0.1:1/none", []*x509.Certificate{old})
	it.want(t, 201, "", "POST", "/v1/checkouts/import", in)
}

func TestCheckoutFilesNeedARelay(t *testing.T) {
	_, it := operated(t, filled(t))
	cloud := &emulator.Emulator{}
	cloud.Seed(3)
	file, err := cloud.CheckoutFile(emulator.UserA, "LAPTOP-7", time.Now().Add(24*time.Hour), emulator.ProductCapped)
	if err != nil {
		t.Fatal(err)
	}
	if p := it.want(t, 400, "", "POST", "/v1/checkouts/import", api.CheckoutImportRequest{File: file, By: "ida", Note: "x"}).problem(t); !strings.Contains(p.Detail, "relay") {
		t.Errorf("got %q", p.Detail)
	}
}
