package console

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sitegate/api"
)

func sortFull(full []api.ProductUse) {
	slices.SortStableFunc(full, func(a, b api.ProductUse) int {
		return cmp.Or(cmp.Compare(b.InUse*a.Owned, a.InUse*b.Owned), cmp.Compare(a.Name, b.Name))
	})
}

// checkouts are who has what out, where and until when.
func checkouts(v *visit) (*page, error) {
	q := v.query("product", "after")
	q.Set("kind", "checkout")
	var l api.OpenList
	if err := v.get(api.PathOpen, q, &l); err != nil {
		return nil, err
	}
	var products api.List[api.ProductUse]
	if err := v.get(api.PathProducts, nil, &products); err != nil {
		return nil, err
	}
	p := &page{Title: v.t("checkouts.title"), Lead: v.t("checkouts.lead"), Search: v.searching("checkouts", "now.search", v.productFilter(products.Items))}
	p.Search.Count = v.t("count", v.number(l.Total))
	if v.who.May(Operator) {
		p.Actions = []link{{Text: v.t("bulk.title"), Href: at("checkouts/bulk")}}
	}
	t := &table{Caption: v.t("checkouts.title"), Columns: []string{v.t("col.user"), v.t("col.machine"), v.t("col.product"), v.t("col.since"), v.t("col.until"), v.t("col.act")}}
	for _, x := range l.Items {
		r := v.openRow(x)
		if x.By != "" {
			r.Cells[3].Sub = v.t("checkouts.by", clean(x.By), clean(x.Note))
		}
		if x.WrittenOff != nil {
			r.Cells[4].Sub = v.t("checkouts.written-off", clean(x.WrittenOff.By), clean(x.WrittenOff.Note))
		}
		r.Cells[4].Tags = slices.DeleteFunc(r.Cells[4].Tags, func(g tag) bool { return g.Text == v.t("tag.checkout") })
		t.Rows = append(t.Rows, r)
	}
	p.Sections = []section{{ID: "out", Heading: v.t("checkouts.heading"), Note: v.t("checkouts.note"), Table: t, Empty: v.t("checkouts.empty"), Next: v.more("checkouts", "after", l.Next)}}
	return p, nil
}

// users are the account's.
func users(v *visit) (*page, error) {
	var l api.SiteUserList
	if err := v.get(api.PathSiteUsers, v.query("after"), &l); err != nil {
		return nil, err
	}
	p := &page{Title: v.t("users.title"), Lead: v.t("users.lead"), Search: v.searching("users", "users.search")}
	p.Search.Count = v.t("count", v.number(l.Total))
	t := &table{Caption: v.t("users.title"), Columns: []string{v.t("col.user"), v.t("col.country"), v.t("col.licenses"), v.t("col.sessions"), v.t("col.checkouts"), v.t("col.machine")}}
	for _, x := range l.Items {
		who := person(x.ID, x.Name, x.Email)
		who.Tags = v.userTags(x)
		t.Rows = append(t.Rows, row{ID: x.ID, Cells: []cell{who, {Text: clean(x.Country)}, {Text: v.number(x.Licenses), Number: true},
			{Text: v.number(x.Sessions), Number: true}, {Text: v.number(x.Checkouts), Number: true}, {Text: clean(strings.Join(x.Machines, ", "))}}})
	}
	p.Sections = []section{{ID: "users", Heading: v.t("users.heading"), Table: t, Empty: v.t("nothing-found"), Next: v.more("users", "after", l.Next)}}
	return p, nil
}

func (v *visit) userTags(x api.SiteUser) []tag {
	var tags []tag
	add := func(on bool, key, tone string) {
		if on {
			tags = append(tags, tag{v.t(key), tone})
		}
	}
	add(!x.Known, "tag.unknown-user", "bad")
	add(x.Blocked, "tag.blocked", "bad")
	add(x.BlockedHere != nil, "tag.blocked-here", "bad")
	add(x.OtherAccount, "tag.other-account", "warn")
	add(x.Known && x.Country == "", "tag.no-country", "warn")
	return tags
}

// oneUser is a user, what they have open, what is assigned to them, and what happened.
func oneUser(v *visit) (*page, error) {
	id := v.id()
	var u api.SiteUser
	if err := v.get(api.Of(api.PathSiteUsers, id, ""), nil, &u); err != nil {
		return nil, err
	}
	var open api.OpenList
	if err := v.get(api.PathOpen, url.Values{"user": {id}, "limit": {"200"}}, &open); err != nil {
		return nil, err
	}
	var licenses api.SiteLicenseList
	if err := v.get(api.PathSiteLicenses, url.Values{"user": {id}, "limit": {"200"}}, &licenses); err != nil {
		return nil, err
	}
	p := &page{Title: clean(cmp.Or(u.Name, u.Email, u.ID))}
	if v.who.May(Operator) {
		if u.Sessions > 0 {
			p.Actions = append(p.Actions, link{Text: v.t("act.free-user"), Href: of("users", id, "/free")})
		}
		if u.BlockedHere != nil {
			p.Actions = append(p.Actions, link{Text: v.t("act.unblock"), Href: of("users", id, "/unblock")})
		} else {
			p.Actions = append(p.Actions, link{Text: v.t("act.block"), Href: of("users", id, "/block"), Tone: "danger"})
		}
	}
	facts := []fact{{v.t("col.email"), cell{Text: clean(u.Email), Tags: v.userTags(u)}}, {v.t("col.id"), cell{Text: clean(u.ID), Code: true}}, {v.t("col.country"), cell{Text: clean(u.Country)}}}
	if b := u.BlockedHere; b != nil {
		facts = append(facts, fact{v.t("tag.blocked-here"), cell{Text: clean(b.By), Sub: clean(b.Note), At: b.Since}})
	}
	t := &table{Caption: v.t("user.open"), Columns: v.openColumns()}
	for _, x := range open.Items {
		t.Rows = append(t.Rows, v.openRow(x))
	}
	happened, err := v.history(p, url.Values{"user": {id}})
	if err != nil {
		return nil, err
	}
	p.Sections = []section{{ID: "who", Facts: facts}, {ID: "open", Heading: v.t("user.open"), Table: t, Empty: v.t("user.open.none")},
		{ID: "assigned", Heading: v.t("user.licenses"), Table: v.licenseTable(licenses.Items), Empty: v.t("user.licenses.none")}, happened}
	return p, nil
}

// machines are those with something open, and those that are blocked.
func machines(v *visit) (*page, error) {
	q := v.query("after")
	q.Set("limit", "200") // of what is open: several rows of it are one of a machine
	var l api.OpenList
	if err := v.get(api.PathOpen, q, &l); err != nil {
		return nil, err
	}
	var blocks api.List[api.Block]
	if err := v.get(api.PathBlocks, nil, &blocks); err != nil {
		return nil, err
	}
	p := &page{Title: v.t("machines.title"), Lead: v.t("machines.lead"), Search: v.searching("machines", "machines.search")}
	t := &table{Caption: v.t("machines.title"), Columns: []string{v.t("col.machine"), v.t("col.user"), v.t("col.product"), v.t("col.since"), v.t("col.state")}}
	slices.SortStableFunc(l.Items, func(a, b api.Open) int {
		return cmp.Or(strings.Compare(a.Machine.Name, b.Machine.Name), strings.Compare(a.Machine.ID, b.Machine.ID))
	})
	for items := l.Items; len(items) > 0; {
		n := 1
		for n < len(items) && items[n].Machine == items[0].Machine {
			n++
		}
		t.Rows = append(t.Rows, v.machineRow(items[:n]))
		items = items[n:]
	}
	if l.Next == "" && q.Get("after") == "" { // of a page alone nobody can say how many machines there are
		p.Search.Count = v.t("count", v.number(len(t.Rows)))
	}
	p.Sections = []section{{ID: "machines", Heading: v.t("machines.heading"), Table: t, Empty: v.t("nothing-found"), Next: v.more("machines", "after", l.Next)}}
	b := &table{Caption: v.t("machines.blocked"), Columns: []string{v.t("col.machine"), v.t("col.since"), v.t("col.by"), v.t("col.act")}}
	for i, x := range blocks.Items {
		if x.Machine == nil {
			continue
		}
		acts := cell{}
		if v.who.May(Operator) {
			acts.Links = []link{{Text: v.t("act.unblock"), Href: at("machine/unblock", "name", x.Machine.Name, "id", x.Machine.ID)}}
		}
		b.Rows = append(b.Rows, row{ID: "block-" + strconv.Itoa(i), Cells: []cell{onMachine(*x.Machine), {At: x.Since}, {Text: clean(x.By), Sub: clean(x.Note)}, acts}})
	}
	if len(b.Rows) > 0 {
		p.Sections = append(p.Sections, section{ID: "blocked", Heading: v.t("machines.blocked"), Table: b})
	}
	return p, nil
}

// machineRow is a machine with what is open on it: whose, and what, since the first of it.
func (v *visit) machineRow(open []api.Open) row {
	who, first := person(open[0].User, open[0].Name, open[0].Email), open[0].Since
	var users, products []string
	state := cell{}
	for _, x := range open {
		if name := person(x.User, x.Name, "").Text; !slices.Contains(users, name) {
			users = append(users, name)
		}
		if name := clean(x.ProductName); !slices.Contains(products, name) {
			products = append(products, name)
		}
		for _, g := range v.tags(x) {
			if !slices.Contains(state.Tags, g) {
				state.Tags = append(state.Tags, g)
			}
		}
		if x.Since.Before(first) {
			first = x.Since
		}
	}
	if len(users) > 1 {
		who = cell{Text: strings.Join(users, ", ")}
	}
	m := open[0].Machine
	return row{ID: "m-" + m.ID + " " + m.Name, Cells: []cell{onMachine(m), who, {Text: strings.Join(products, ", ")}, {At: first, Ago: true}, state}}
}

// machineOf is the machine that a page's address names.
func machineOf(v *visit) api.Machine {
	q := v.r.URL.Query()
	return api.Machine{ID: q.Get("id"), Name: q.Get("name")}
}

// blockOf is the block of a machine; nil: it is not blocked.
func (v *visit) blockOf(m api.Machine) (*api.Block, error) {
	var l api.List[api.Block]
	if err := v.get(api.PathBlocks, url.Values{"machine": {m.Name}, "machine_id": {m.ID}}, &l); err != nil || len(l.Items) == 0 || l.Items[0].Machine == nil {
		return nil, err
	}
	return &l.Items[0], nil
}

// oneMachine is a machine, what runs on it, and what happened on it.
func oneMachine(v *visit) (*page, error) {
	m := machineOf(v)
	q := url.Values{"limit": {"200"}}
	if m.Name != "" {
		q.Set("machine", m.Name)
	}
	if m.ID != "" {
		q.Set("machine_id", m.ID)
	}
	var open api.OpenList
	if err := v.get(api.PathOpen, q, &open); err != nil {
		return nil, err
	}
	p := &page{Title: clean(cmp.Or(m.Name, m.ID))}
	facts := []fact{{v.t("col.machine"), cell{Text: clean(m.Name)}}, {v.t("col.id"), cell{Text: clean(m.ID), Code: true}}}
	b, err := v.blockOf(m)
	if err != nil {
		return nil, err
	}
	act := link{Text: v.t("act.block"), Href: at("machine/block", "name", m.Name, "id", m.ID), Tone: "danger"}
	if b != nil {
		act = link{Text: v.t("act.unblock"), Href: at("machine/unblock", "name", b.Machine.Name, "id", b.Machine.ID)}
		facts = append(facts, fact{v.t("tag.blocked-here"), cell{Text: clean(b.By), Sub: clean(b.Note), At: b.Since}})
	}
	if v.who.May(Operator) {
		p.Actions = []link{act}
	}
	t := &table{Caption: v.t("machine.open"), Columns: v.openColumns()}
	for _, x := range open.Items {
		t.Rows = append(t.Rows, v.openRow(x))
	}
	q.Del("limit")
	happened, err := v.history(p, q)
	if err != nil {
		return nil, err
	}
	p.Sections = []section{{ID: "what", Facts: facts},
		{ID: "open", Heading: v.t("machine.open"), Table: t, Empty: v.t("machine.open.none")}, happened}
	return p, nil
}
