package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"sitegate/api"
	"sitegate/configs"
)

func stamp(t time.Time) string { return moment(t, "2006-01-02 15:04", "") }

// userID is the id of a user who is named by it or by an e-mail address.
func userID(ctx context.Context, c configs.Config, name string) (string, error) {
	local, _, address := strings.Cut(name, "@")
	if !address {
		return name, nil
	}
	list := func(query url.Values) (page rows[api.SiteUser], err error) {
		return page, operator(ctx, c, http.MethodGet, api.PathSiteUsers+"?"+query.Encode(), nil, &page)
	}
	exact, err := list(url.Values{"named": {name}})
	if err != nil {
		return "", err
	}
	switch found := exact.Items; {
	case len(found) == 1:
		return found[0].ID, nil
	case len(found) > 1:
		var ids []string
		for _, u := range found {
			ids = append(ids, u.ID)
		}
		return "", fmt.Errorf("%d users of the account have the address %s: name one by the id, %s", len(ids), name, strings.Join(ids, " or "))
	}
	alike, err := list(url.Values{"q": {local}, "limit": {"20"}})
	if err != nil {
		return "", err
	}
	var near []string
	for _, u := range alike.Items {
		if u.Email != "" {
			near = append(near, u.Email)
		}
	}
	if other := configs.Nearest(name, near); other != "" {
		return "", fmt.Errorf("no user of the account has the address %s; did you mean %s?", name, other)
	}
	return "", fmt.Errorf("no user of the account has the address %s: see sitegate users. Whoever is hidden by privacy is named by the id or by the name that is shown", name)
}

// named narrows a list down to a user.
func (p *program) named(ctx context.Context, l *listing, user string) error {
	c, _, err := p.load(l.FlagSet)
	if err != nil {
		return err
	}
	id, err := userID(ctx, c, user)
	l.query.Set("user", id)
	return err
}

const usersHelp = `
Usage: sitegate users [WORD…] [--limit N] [--csv | --json] [--config FILE]
       sitegate users show USER [--reason WHY] [--json] [--config FILE]
       sitegate users removal USER [--json] [--config FILE]

Shows the users of the account by name, with what each has: licenses, sessions,
checkouts and the machines those are on. WORDs narrow it down. "show" is one user and
what is open, and with --reason what happened lately, too: who looked, at whom and why
is in the audit trail. "removal" says what would be lost if the user were removed from
the account at the vendor's. USER is a user's id or e-mail address.

Examples:
  sitegate users ada
  sitegate users show ada@acme.example
  sitegate users show ada@acme.example --reason "ticket 4711: refused this morning"
`

func users(ctx context.Context, p *program, args []string) error {
	return p.dispatchOr(ctx, usersList, "sitegate users", []command{
		{"list", "show the users of the account", usersList},
		{"show", "show a user, and with a reason what happened lately", usersShow},
		{"removal", "say what is lost with a user who is removed from the account", usersRemoval},
	}, args)
}

func usersList(ctx context.Context, p *program, args []string) error {
	l := p.listing("users list", usersHelp, api.PathSiteUsers, "after")
	words, err := p.parse(l.FlagSet, args)
	if err != nil {
		return err
	}
	all, _, err := read[api.SiteUser](ctx, p, l, words)
	if err != nil {
		return err
	}
	return show(p, l, all, "No user fits.", "ID|USER|LICENSES|SESSIONS|CHECKOUTS|MACHINES|STATE", func(u api.SiteUser) []string {
		return []string{u.ID, person("", u.Name, u.Email), fmt.Sprint(u.Licenses), fmt.Sprint(u.Sessions), fmt.Sprint(u.Checkouts), strings.Join(u.Machines, ", "), userState(u)}
	})
}

func userState(u api.SiteUser) string {
	var words []string
	if !u.Known {
		words = append(words, "not in the account")
	}
	if u.OtherAccount {
		words = append(words, "of another account")
	}
	if u.Blocked {
		words = append(words, "blocked by the vendor")
	}
	if b := u.BlockedHere; b != nil {
		words = append(words, blockWords(b))
	}
	return strings.Join(words, ", ")
}

// aUser reads the flags of a command about one user.
func (p *program) aUser(ctx context.Context, name string, args []string, more func(*pflag.FlagSet)) (f *pflag.FlagSet, c configs.Config, id string, err error) {
	f = p.flags(name, usersHelp)
	if more != nil {
		more(f)
	}
	f.Bool("json", false, "print it as JSON")
	p.configFlags(f)
	p.remoteFlags(f)
	rest, err := p.parse(f, args)
	user, err := p.oneName(f, rest, err)
	if err != nil {
		return f, c, "", err
	}
	if c, _, err = p.load(f); err != nil {
		return f, c, "", err
	}
	id, err = userID(ctx, c, user)
	return f, c, id, err
}

func usersShow(ctx context.Context, p *program, args []string) error {
	var why looked
	f, c, id, err := p.aUser(ctx, "users show", args, why.add)
	if err != nil {
		return err
	}
	var all struct {
		User     api.SiteUser      `json:"user"`
		Licenses []api.SiteLicense `json:"assigned"`
		Open     []api.Open        `json:"open"`
		History  []api.HistoryItem `json:"history,omitempty"`
	}
	if err := operator(ctx, c, http.MethodGet, api.Of(api.PathSiteUsers, id, ""), nil, &all.User); err != nil {
		return err
	}
	query := url.Values{"user": {id}, "limit": {strconv.Itoa(mostOfPage)}}
	for more := true; more; {
		var assigned rows[api.SiteLicense]
		if err := operator(ctx, c, http.MethodGet, api.PathSiteLicenses+"?"+query.Encode(), nil, &assigned); err != nil {
			return err
		}
		all.Licenses = append(all.Licenses, assigned.Items...)
		query.Set("after", assigned.Next)
		more = assigned.Next != ""
	}
	if all.Open, all.History, err = p.lately(ctx, c, url.Values{"user": {id}}, why); err != nil {
		return err
	}
	if asJSON, _ := f.GetBool("json"); asJSON {
		return p.json(all)
	}
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	u := all.User
	for _, row := range [][2]string{{"user", person(u.ID, u.Name, u.Email)}, {"id", u.ID}, {"country", u.Country}, {"licenses", fmt.Sprint(u.Licenses)}, {"state", userState(u)}} {
		if row[1] != "" {
			fmt.Fprintf(t, "%s\t%s\n", row[0], shown(row[1]))
		}
	}
	for _, l := range all.Licenses {
		what := l.ID + " of " + cmp.Or(l.ProductName, l.Product)
		if state := licenseState(l); state != "" {
			what += ", " + state
		}
		fmt.Fprintf(t, "license\t%s\n", shown(what))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return p.showLately(all.Open, all.History, why)
}

// looked is why somebody looks at what happened, and who does. Without a reason it is not
// shown.
type looked struct{ reason, by string }

func (l *looked) add(f *pflag.FlagSet) {
	f.StringVar(&l.reason, "reason", "", "show what happened lately, too, and why you look, for the audit trail")
	f.StringVar(&l.by, "by", "", "who looks (default: the user of this machine who asks)")
}

// lately is what is open of a user or machine and, where it is said why, what happened last.
func (p *program) lately(ctx context.Context, c configs.Config, query url.Values, why looked) (open []api.Open, history []api.HistoryItem, err error) {
	query.Set("limit", "20")
	var o rows[api.Open]
	if err := operator(ctx, c, http.MethodGet, api.PathOpen+"?"+query.Encode(), nil, &o); err != nil {
		return nil, nil, err
	}
	if why.reason == "" {
		return o.Items, nil, nil
	}
	query.Set("reason", why.reason)
	query.Set("by", p.asker(why.by))
	var h rows[api.HistoryItem]
	if err := operator(ctx, c, http.MethodGet, api.PathHistory+"?"+query.Encode(), nil, &h); err != nil {
		return nil, nil, err
	}
	return o.Items, h.Items, nil
}

// openCount says how much is open.
func openCount(open []api.Open) string {
	checkouts := 0
	for _, x := range open {
		if x.Kind == "checkout" {
			checkouts++
		}
	}
	return count(len(open)-checkouts, "session") + ", " + count(checkouts, "checkout")
}

func (p *program) showLately(open []api.Open, history []api.HistoryItem, why looked) error {
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\nOpen now: %s\n", openCount(open))
	for _, x := range open {
		until := ""
		if x.Kind == "checkout" {
			until = "until " + stamp(x.Until)
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s %s\n", x.ID, x.Kind, shown(person(x.User, x.Name, x.Email)), shown(onMachine(x.Machine)), shown(cmp.Or(x.ProductName, x.Product)), until, openState(x))
	}
	if why.reason == "" {
		fmt.Fprintln(t, "\nWhat happened lately is shown with --reason WHY, which the audit trail keeps.")
		return t.Flush()
	}
	if len(history) == 0 {
		fmt.Fprintln(t, "\nNothing is to be told of lately.")
		return t.Flush()
	}
	fmt.Fprintf(t, "\nLately (GMT):\n")
	for _, x := range history {
		on := ""
		if x.Machine != nil {
			on = onMachine(*x.Machine)
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", stamp(x.At), shown(on), shown(x.Text))
	}
	return t.Flush()
}

func usersRemoval(ctx context.Context, p *program, args []string) error {
	f, c, id, err := p.aUser(ctx, "users removal", args, nil)
	if err != nil {
		return err
	}
	var r api.Removal
	if err := operator(ctx, c, http.MethodGet, api.Of(api.PathUsers, id, "/removal"), nil, &r); err != nil {
		return err
	}
	if asJSON, _ := f.GetBool("json"); asJSON {
		return p.json(r)
	}
	if r.Safe {
		fmt.Fprintf(p.stdout, "Nothing is lost with %s.\n", shown(person(r.User, r.Name, r.Email)))
	}
	for _, l := range r.Licenses {
		would := "would be lost"
		if l.Lost {
			would = "is lost"
		}
		fmt.Fprintf(p.stdout, "License %s of product %s %s; its term ends %s.\n", l.ID, l.Product, would, moment(l.Ends, "2006-01-02", "never"))
	}
	for _, next := range r.Next {
		fmt.Fprintln(p.stdout, next)
	}
	return nil
}
