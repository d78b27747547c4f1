package endpoint

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"

	"sitegate/api"
	"sitegate/license"
	"sitegate/phrase"
)

// What can be wrong with a row beside the others, and in the making.
const (
	rowAmbiguous   = "row-ambiguous"    // several users have this address
	rowTwice       = "row-twice"        // user and machine are there already
	rowTwoMachines = "row-two-machines" // the user is there with another machine
	rowNotFound    = "row-not-found"    // nobody, or no machine, goes by this name now
	rowNotTried    = "row-not-tried"    // the site could not decide on an earlier one
)

const maxBulkProducts = 20

// lending is one checkout of a bulk.
type lending struct {
	row     csvRow
	command license.CheckOut
	denial  *license.Denial
	reason  string // where there is no denial
}

// bulk is POST /v1/checkouts/bulk on the operator's socket. Every row is checked
// before the first checkout is made, and nothing is made where one is bad.
func (e *Endpoint) bulk(c *call, in api.BulkCheckoutRequest) (reply, error) {
	if err := c.said(&in.By, in.Note); err != nil {
		return reply{}, err
	}
	id, err := parseID(in.ID)
	if err != nil {
		return reply{}, err
	}
	if err := bulkProducts(in.Products); err != nil {
		return reply{}, err
	}
	read, err := readCSV(in.CSV)
	if err != nil {
		return reply{}, err
	}
	if n := len(read) * len(in.Products); n == 0 || n > maxRows {
		return reply{}, malformed(fmt.Sprintf("these are %d checkouts; one request makes from 1 to %d", n, maxRows))
	}
	report := api.BulkReport{Rows: len(read), DryRun: in.DryRun, Items: []api.BulkRow{}}
	plan := e.planBulk(c, id, in, read)
	for i := range plan {
		if plan[i].bad() {
			report.Bad++
			report.Items = append(report.Items, e.bulkRow(c, &plan[i]))
		}
	}
	switch {
	case report.Bad > 0:
		c.w.reason = "bad-rows"
		return reply{status: http.StatusUnprocessableEntity, body: report}, nil
	case !in.DryRun:
		e.makeBulk(c, plan, &report)
		e.log.InfoContext(c.ctx, "checkouts made", "id", c.id, "by", in.By, "made", report.Made, "bad", report.Bad)
	}
	for i := range plan {
		report.Items = append(report.Items, e.bulkRow(c, &plan[i]))
	}
	return reply{status: http.StatusOK, body: report}, nil
}

func bulkProducts(products []api.BulkProduct) error {
	if len(products) == 0 || len(products) > maxBulkProducts {
		return malformed(fmt.Sprintf("products has %d entries; it takes from 1 to %d", len(products), maxBulkProducts))
	}
	seen := map[api.BulkProduct]bool{}
	for _, p := range products {
		if err := words(p.Product, p.Version); err != nil {
			return err
		}
		if seen[p] {
			return malformed("a product is there twice")
		}
		seen[p] = true
	}
	return nil
}

// planBulk says what would be made of the rows, or why not.
func (e *Endpoint) planBulk(c *call, id license.ID, in api.BulkCheckoutRequest, rows []csvRow) []lending {
	users := e.whose(rows)
	seen := map[license.UserID]license.Machine{}
	plan := make([]lending, 0, len(rows)*len(in.Products))
	now := e.gw.Now()
	for _, row := range rows {
		fault := func(column, reason string) { row.column, row.reason = column, reason }
		found := users[strings.ToLower(row.user)]
		m := license.Machine{Name: row.machine}
		var user license.UserID
		var err error
		switch {
		case row.reason != "":
		case len(found) > 1:
			fault("user", rowAmbiguous)
		case len(found) == 1:
			user = found[0]
		case e.looksHidden("user", row.user):
			if user, err = e.userActedOn(c, row.user); err != nil {
				fault("user", rowNotFound)
			}
		default:
			user = license.UserID(row.user) // an id, or nobody's
		}
		if row.reason == "" {
			if m, err = e.actual(user, m); err != nil {
				fault("machine", rowNotFound)
			}
		}
		if other, twice := seen[user]; twice && row.reason == "" {
			if fault("machine", rowTwoMachines); other.Is(m) {
				fault("user", rowTwice)
			}
		}
		if row.reason != "" {
			plan = append(plan, lending{row: row, reason: row.reason})
			continue
		}
		seen[user] = m
		e.gw.View(func(s *license.State) {
			for _, p := range in.Products {
				l := lending{row: row, command: license.CheckOut{ID: bulkID(id, user, m, p), User: user, Product: license.ProductID(p.Product), Machine: m,
					Version: p.Version, Until: license.TimeOf(in.Until), By: in.By, Note: in.Note, Agreed: true}}
				if l.denial = license.Check(s, now, l.command); l.denial == nil {
					l.command.Until = license.CheckoutEnd(s, now, l.command)
				}
				plan = append(plan, l)
			}
		})
	}
	return plan
}

// whose finds the users that rows name by their address; an id goes first.
func (e *Endpoint) whose(rows []csvRow) (users map[string][]license.UserID) {
	e.gw.View(func(s *license.State) {
		var addresses []string
		for _, row := range rows {
			if s.User(license.UserID(row.user)) == nil {
				addresses = append(addresses, row.user)
			}
		}
		users = s.UsersByEmail(addresses)
	})
	return users
}

// bulkID is the id of one checkout of a bulk: the same again is the same request.
func bulkID(bulk license.ID, user license.UserID, m license.Machine, p api.BulkProduct) license.ID {
	sum := sha256.Sum256(fmt.Appendf(bulk[:], "%q %q %q %q", user, strings.ToLower(cmp.Or(m.Name, m.ID)), p.Product, p.Version))
	id := license.ID(sum[:16])
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // a UUIDv8
	return id
}

// makeBulk makes one after the other. What the site cannot decide on ends it: the
// same request again goes on.
func (e *Endpoint) makeBulk(c *call, plan []lending, report *api.BulkReport) {
	stopped := false
	for i := range plan {
		l := &plan[i]
		if stopped {
			l.reason = rowNotTried
			report.Bad++
			continue
		}
		a, err := e.gw.CheckOut(c.ctx, l.command)
		switch {
		case err != nil:
			l.reason, stopped = codeOf(err), true
			c.w.err = err
			report.Bad++
		case a.Outcome.Denial != nil:
			l.denial = a.Outcome.Denial
			report.Bad++
		default:
			l.command.Until = a.Outcome.Checkout.Until
			report.Made++
		}
	}
}

func (l *lending) bad() bool { return l.denial != nil || l.reason != "" }

// bulkRow is the report of one checkout.
func (e *Endpoint) bulkRow(c *call, l *lending) api.BulkRow {
	out := api.BulkRow{Row: l.row.line, Column: l.row.column, User: l.row.user, Machine: l.row.machine,
		Product: string(l.command.Product), Version: l.command.Version}
	var d license.Denial
	switch {
	case l.denial != nil:
		d = *l.denial
		out.Column, out.Reason = columnOf(d.Reason), string(d.Reason)
	case l.reason != "":
		out.Reason = l.reason
	default:
		out.Checkout, out.Until = l.command.ID.String(), l.command.Until.Std()
		return out
	}
	e.gw.View(func(s *license.State) {
		out.Text = phrase.Row(c.lang, out.Reason, d, productName(s, l.command.Product))
	})
	return out
}

// columnOf is what to look at where a denial says no.
func columnOf(r license.Reason) string {
	switch r {
	case license.MachineActive, license.KeptForWaiter, license.MachineBlocked, license.CheckoutWrittenOff:
		return "machine"
	case license.UnknownProduct:
		return "product"
	case license.CheckoutTooLong, license.CheckoutInPast, license.LicenseEnded, license.LicenseNotStarted:
		return "until"
	case license.CloudNeeded, license.BadCommand:
		return ""
	}
	return "user"
}
