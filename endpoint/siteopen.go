package endpoint

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"sitegate/api"
	"sitegate/endpoint/roster"
	"sitegate/license"
	"sitegate/notice"
)

// What who administers the site looks at: all that is open, as it is now.

const (
	listSize   = 50  // rows of a page where nobody says how many
	listMost   = 500 // and at the most
	maxSearch  = 200 // bytes of what is searched for
	cappedTail = 3 * time.Minute
)

// search is what a list is asked for with.
type search struct {
	q    string
	most int
	url.Values
}

// searched reads what a list is asked for with, and whether that is within bounds.
func (c *call) searched() (search, error) {
	s := search{most: listSize, Values: c.r.URL.Query()}
	if s.q = s.Get("q"); len(s.q) > maxSearch || !utf8.ValidString(s.q) {
		return s, malformed("q is longer than 200 bytes, or no UTF-8")
	}
	for name := range s.Values {
		if v := s.Get(name); name != "q" && (len(v) > 2*license.MaxName+88 || !utf8.ValidString(v)) {
			return s, malformed(printable(name) + " is too long, or no UTF-8")
		}
	}
	if text := s.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > listMost {
			return s, malformed("limit is from 1 to 500")
		}
		s.most = n
	}
	return s, nil
}

// from reads a place in a list that goes back from the latest; zero: from there.
func (s search) from(name string) (uint64, error) {
	text := s.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, malformed(name + " is not the next of a page")
	}
	return n, nil
}

// open is GET /v1/site/open: sessions and checkouts, newest first.
func (e *Endpoint) open(c *call) (reply, error) {
	s, err := c.searched()
	if err != nil {
		return reply{}, err
	}
	on := e.machineNamed(c, license.Machine{ID: s.Get("machine_id"), Name: s.Get("machine")})
	q := roster.Query{Words: s.q, Product: license.ProductID(s.Get("product")), User: e.userNamed(c, s.Get("user")), Machine: on.Machine, Called: on.called, Most: s.most}
	if q.Before, err = s.from("after"); err != nil {
		return reply{}, err
	}
	if text := s.Get("id"); text != "" {
		return e.openOne(c, text)
	}
	switch s.Get("kind") {
	case "":
	case "session":
		q.Kind = roster.Sessions
	case "checkout":
		q.Kind = roster.Checkouts
	default:
		return reply{}, malformed("kind is session or checkout")
	}
	capped := s.Get("capped") == "yes"
	if capped {
		q.Products = map[license.ProductID]bool{}
		e.gw.View(func(s *license.State) {
			for _, p := range s.Products() {
				if p.Capped == license.CappedYes {
					q.Products[p.ID] = true
				}
			}
		})
	}
	found := e.roster.Find(q)
	out := api.OpenList{Items: []api.Open{}, Total: found.Total, All: found.All, At: e.gw.Now().Std()}
	if capped && q.Before == 0 {
		if out.Items, err = e.closedLately(c, q); err != nil {
			return reply{}, err
		}
	}
	if found.Next != 0 {
		out.Next = strconv.FormatUint(found.Next, 10)
	}
	e.gw.View(func(s *license.State) {
		for _, x := range found.Rows {
			if row, there := e.openRow(c, s, x); there {
				out.Items = append(out.Items, row)
			}
		}
	})
	return reply{status: http.StatusOK, body: out}, nil
}

// openOne is the list of one session or checkout, by its id, or of none.
func (e *Endpoint) openOne(c *call, text string) (reply, error) {
	id, err := parseID(text)
	if err != nil {
		return reply{}, err
	}
	out := api.OpenList{Items: []api.Open{}, At: e.gw.Now().Std()}
	e.gw.View(func(s *license.State) {
		x := roster.Row{ID: id}
		if y := s.Session(id); y != nil {
			x.User, x.Product, x.License, x.Machine = y.User, y.Product, y.License, y.Machine
		} else if y := s.Checkout(id); y != nil {
			x.User, x.Product, x.License, x.Machine, x.Checkout = y.User, y.Product, y.License, y.Machine, true
		}
		if row, there := e.openRow(c, s, x); there {
			out.Items, out.Total = append(out.Items, row), 1
		}
		n := s.Counts()
		out.All = n.Sessions + n.Checkouts
	})
	return reply{status: http.StatusOK, body: out}, nil
}

// openRow is a row as the state has it now, if it still does.
func (e *Endpoint) openRow(c *call, s *license.State, x roster.Row) (out api.Open, there bool) {
	if x.Checkout {
		y := s.Checkout(x.ID)
		if y == nil {
			return out, false
		}
		out = api.Open{Kind: "checkout", Version: y.Version, LicenseType: license.Practitioner, Since: y.Since.Std(), Until: y.Until.Std(),
			Relayed: y.Relayed, Flagged: y.Flagged.Std()}
		told := e.toldNotes(c)
		if told {
			out.By, out.Note = y.By, y.Note
		}
		if l := y.WrittenOff; l != nil {
			if out.WrittenOff = (&api.WriteOff{At: l.At.Std()}); told {
				out.WrittenOff.By, out.WrittenOff.Note = l.By, l.Note
			}
		}
	} else {
		y := s.Session(x.ID)
		if y == nil {
			return out, false
		}
		out = api.Open{Kind: "session", Version: y.Version, LicenseType: cmp.Or(y.Type, license.Practitioner), Since: y.Since.Std(),
			Provisional: y.Provisional, Relayed: y.Relayed, Ending: e.shownEnding(c, s, y.User, y.Notice)}
		if !y.UnderCheckout.IsZero() {
			out.Under = y.UnderCheckout.String()
		}
	}
	out.ID, out.User, out.Product, out.License = x.ID.String(), e.userID(c, s, x.User), string(x.Product), string(x.License)
	out.Name, out.Email = e.shownUser(s, x.User)
	out.Machine = e.machineOf(c, s, x.User, x.Machine)
	out.ProductName, out.Capped = shownProduct(s, x.Product)
	return out, true
}

// closedLately is the capped usage that has ended and stays listed for three minutes
// (KB0018624), latest first. It is read of the journal, so that all nodes list the same,
// whenever they were started; more events than are looked through for a page hide the first
// of them.
func (e *Endpoint) closedLately(c *call, q roster.Query) ([]api.Open, error) {
	from := e.gw.Now().Add(-cappedTail)
	rows := []api.Open{}
	_, _, err := e.gw.Recall(c.ctx, 0, 1, lookBack, func(event license.Event) bool {
		if event.At < from || len(rows) == listMost {
			return true // and no further
		}
		for _, n := range notice.From(event) {
			if row, is := e.closed(c, q, &n); is {
				row.Since = since(event.Fact).Std()
				rows = append(rows, row)
				break
			}
		}
		return false
	})
	return rows, err
}

// since is when what has ended began.
func since(f license.Fact) license.Time {
	switch f := f.(type) {
	case license.Stopped:
		return f.Session.Since
	case license.Expired:
		return f.Session.Since
	case license.Returned:
		return f.Checkout.Since
	case license.CheckoutEnded:
		return f.Checkout.Since
	case license.CheckedIn:
		return f.Checkout.Since
	}
	return 0
}

// closed is what a notice says to have ended, where that is looked for.
func (e *Endpoint) closed(c *call, q roster.Query, n *notice.Notice) (x api.Open, is bool) {
	if n.Kind != notice.Stopped && n.Kind != notice.Free && n.Kind != notice.Returned || !q.Products[n.Product] {
		return x, false
	}
	x = api.Open{ID: n.ID.String(), Kind: "session", Product: string(n.Product), License: string(n.License),
		LicenseType: license.Practitioner, Until: n.At.Std(), Closed: true}
	if n.Kind == notice.Returned {
		x.Kind = "checkout"
	}
	e.gw.View(func(s *license.State) {
		if is = e.roster.Fits(s, &q, roster.Row{ID: n.ID, User: n.User, Product: n.Product, License: n.License, Machine: n.Machine, Checkout: x.Kind == "checkout"}); !is {
			return
		}
		x.User, x.Machine = e.userID(c, s, n.User), e.machineOf(c, s, n.User, n.Machine)
		x.Name, x.Email = e.shownUser(s, n.User)
		x.ProductName, x.Capped = shownProduct(s, n.Product)
	})
	return x, is
}

// products is GET /v1/site/products: what is owned, and what is in use.
func (e *Endpoint) products(*call) (reply, error) {
	uses, owned := e.roster.Uses(), e.owned.Owned(e.gw.Now())
	out := api.List[api.ProductUse]{Items: []api.ProductUse{}}
	e.gw.View(func(s *license.State) {
		for _, p := range s.Products() {
			u := uses[p.ID]
			out.Items = append(out.Items, api.ProductUse{Product: string(p.ID), Name: p.Name, Capped: p.Capped.String(), Owned: owned[p.ID],
				InUse: u.Licenses, Sessions: u.Sessions, Checkouts: u.Checkouts})
		}
	})
	slices.SortFunc(out.Items, func(a, b api.ProductUse) int {
		return cmp.Or(cmp.Compare(cmp.Or(a.Name, a.Product), cmp.Or(b.Name, b.Product)), cmp.Compare(a.Product, b.Product))
	})
	return reply{status: http.StatusOK, body: out}, nil
}

// shownUser is how the site shows a user: by name and e-mail or, where they have a
// pseudonym, by that alone.
func (e *Endpoint) shownUser(s *license.State, id license.UserID) (name, email string) {
	if name = e.name(s, "user", string(id)); name != string(id) {
		return name, ""
	}
	if u := s.User(id); u != nil {
		return cmp.Or(u.Name, u.Email, string(id)), u.Email
	}
	return string(id), ""
}

// shownMachine is how the site shows a machine of a user's ("": whose it is is not known);
// s as in name.
func (e *Endpoint) shownMachine(s *license.State, user license.UserID, m license.Machine) api.Machine {
	called, _ := e.machine(s, user, m)
	return api.Machine{ID: m.ID, Name: called}
}

func (e *Endpoint) machine(s *license.State, user license.UserID, m license.Machine) (called string, hidden bool) {
	return roster.Names(e.cfg.Pseudonym).Machine(s, user, m)
}

func shownProduct(s *license.State, id license.ProductID) (name, capped string) {
	name, capped = string(id), license.CappedUnknown.String()
	if p := s.Product(id); p != nil {
		name, capped = cmp.Or(p.Name, name), p.Capped.String()
	}
	return name, capped
}
