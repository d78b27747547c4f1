package license_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sitegate/license"
)

// The words of a restore.

// restore reads "restore backup", which puts the state aside, and "restore epoch N
// [recovered]", which goes on from it, or from the state as it is.
func (s *story) restore(w *words) error {
	if w.flag("backup") {
		s.backup = s.state.Clone()
		return nil
	}
	recovered := w.flag("recovered")
	epoch, err := strconv.ParseUint(w.after("epoch"), 10, 64)
	if err != nil {
		return err
	}
	if s.backup == nil || recovered {
		s.backup = s.state
	}
	s.state = s.backup.Clone()
	s.state.Restore(license.Beginning{Epoch: epoch, Cluster: s.state.Head().Cluster, At: s.now, Recovered: recovered, Node: "gw1", Instance: "new", Members: []string{"gw1", "gw3"}})
	kept := s.state.Head().Audit.Number
	s.trail = slices.DeleteFunc(s.trail, func(r license.Audited) bool { return r.Number > kept })
	return s.restart()
}

// resume reads "resume EPOCH", "reread EPOCH [last] [gone ID]... [found ID USER PRODUCT LICENSE on MACHINE for TIME]"
// and "accept-restore by WHO because WHY".
func (s *story) resume(verb string, w *words) (license.Command, error) {
	if verb == "accept-restore" {
		return license.AcceptRestore{By: long(w.after("by")), Note: long(w.after("because"))}, nil
	}
	epoch, err := strconv.ParseUint(w.next(), 10, 64)
	if err != nil || verb == "resume" {
		return license.Resume{Epoch: epoch}, err
	}
	c := license.Reread{Epoch: epoch, Last: w.flag("last")}
	for id := w.after("gone"); id != ""; id = w.after("gone") {
		c.Gone = append(c.Gone, nameID(id))
	}
	if id := w.after("found"); id != "" {
		x := license.Checkout{ID: nameID(id), Since: s.now}
		if x.Machine, err = w.machine(); err != nil {
			return nil, err
		}
		d, err := duration(w.after("for"))
		if err != nil {
			return nil, err
		}
		x.Until = s.now.Add(d)
		x.User, x.Product, x.License = license.UserID(w.next()), license.ProductID(w.next()), license.LicenseID(w.next())
		c.Found = append(c.Found, x)
	}
	return c, nil
}

func sayResumed(f license.Fact) string {
	switch f := f.(type) {
	case license.Resumed:
		how := "restored"
		if f.Recovered {
			how = "recovered"
		}
		return fmt.Sprintf("%s, epoch %d, nothing capped before %s", how, f.Epoch, sayTime(f.Until))
	case license.CheckoutFound:
		return "found checkout " + sayCheckout(&f.Checkout)
	case license.CheckoutsRead:
		return "checkouts read"
	case license.RestoreAccepted:
		return strings.TrimSpace(fmt.Sprintf("restore accepted by %s %q", f.By, f.Note))
	}
	return fmt.Sprintf("%T", f)
}
