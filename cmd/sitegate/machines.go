package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sitegate/api"
)

const machinesHelp = `
Usage: sitegate machines [list] [WORD…] [--user USER] [--product ID] [--limit N] [--csv | --json] [--config FILE]
       sitegate machines show NAME [--id] [--reason WHY] [--json] [--config FILE]

Shows the machines on which something is open, those used last first, and those that are
blocked. WORDs narrow it down to those with something open that has each of them. USER is
a user's id or e-mail address.

"show" is what is open on one machine, and with --reason what happened there lately, too:
who looked, where and why is in the audit trail. The machine is meant by its name, or with
--id by its id.

Examples:
  sitegate machines ada
  sitegate machines show WS-101
  sitegate machines show WS-101 --reason "ticket 4711: whose was it on Monday"
`

func machines(ctx context.Context, p *program, args []string) error {
	return p.dispatchOr(ctx, machinesList, "sitegate machines", []command{
		{"list", "show the machines on which something is open, and those that are blocked", machinesList},
		{"show", "show what is open on a machine, and with a reason what happened lately", machinesShow},
		{"forget-key", "take from a machine the key that it goes by", machineForgetKey},
	}, args)
}

func machinesShow(ctx context.Context, p *program, args []string) error {
	f := p.flags("machines show", machinesHelp)
	byID := f.Bool("id", false, "NAME is the machine's id")
	asJSON := f.Bool("json", false, "print it as JSON")
	var why looked
	why.add(f)
	p.configFlags(f)
	p.remoteFlags(f)
	rest, err := p.parse(f, args)
	name, err := p.oneName(f, rest, err)
	if err != nil {
		return err
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	key := "machine"
	if *byID {
		key = "machine_id"
	}
	var all struct {
		Blocked []api.Block       `json:"blocked,omitempty"` // several of one name
		Open    []api.Open        `json:"open"`
		History []api.HistoryItem `json:"history,omitempty"`
	}
	var blocks rows[api.Block]
	if err := operator(ctx, c, http.MethodGet, api.PathBlocks+"?"+url.Values{key: {name}}.Encode(), nil, &blocks); err != nil {
		return err
	}
	all.Blocked = blocks.Items
	if all.Open, all.History, err = p.lately(ctx, c, url.Values{key: {name}}, why); err != nil {
		return err
	}
	if *asJSON {
		return p.json(all)
	}
	for _, b := range all.Blocked {
		words := blockWords(&b)
		if m := b.Machine; m != nil && m.ID != "" {
			words = m.ID + ": " + words
		}
		fmt.Fprintf(p.stdout, "%s, since %s\n", shown(words), stamp(b.Since))
	}
	return p.showLately(all.Open, all.History, why)
}

// blockWords say who keeps somebody or something out, and why.
func blockWords(b *api.Block) string { return because("blocked by "+b.By, b.Note) }

// because adds why something was done, where that was said.
func because(what, note string) string {
	if note == "" {
		return what
	}
	return what + ": " + note
}

// machineRow is a machine and what is open there.
type machineRow struct {
	Machine   api.Machine `json:"machine"`
	Users     []string    `json:"users"` // as they are called
	Products  []string    `json:"products"`
	Sessions  int         `json:"sessions"`
	Checkouts int         `json:"checkouts"`
	Since     time.Time   `json:"since,omitzero"` // the latest of it began
	Blocked   *api.Block  `json:"blocked,omitempty"`
}

func machinesList(ctx context.Context, p *program, args []string) error {
	l := p.listing("machines list", machinesHelp, api.PathOpen, "after")
	user := l.String("user", "", "only those that this user has something open on")
	product := l.String("product", "", "only those with something open of the product with this id")
	words, err := p.parse(l.FlagSet, args)
	if err != nil {
		return err
	}
	if *product != "" {
		l.query.Set("product", *product)
	}
	if *user != "" {
		if err := p.named(ctx, l, *user); err != nil {
			return err
		}
	}
	whole, blocked := *l, *l
	whole.limit = min(l.limit, 0) // a machine's sessions may be on any page
	open, _, err := read[api.Open](ctx, p, &whole, words)
	if err != nil {
		return err
	}
	blocked.limit, blocked.path, blocked.query = 0, api.PathBlocks, url.Values{}
	blocks, _, err := read[api.Block](ctx, p, &blocked, nil)
	if err != nil {
		return err
	}
	onlyOpen := len(l.query) > 0 // which is of a user or a product
	all := rows[machineRow]{Items: machineRows(open.Items, blocks.Items, onlyOpen, words)}
	if all.Total = len(all.Items); l.limit > 0 {
		all.Items = all.Items[:min(l.limit, len(all.Items))]
	}
	return show(p, l, all, "No machine fits.", "MACHINE|ID|USERS|PRODUCTS|SESSIONS|CHECKOUTS|SINCE (GMT)|STATE", func(m machineRow) []string {
		state := ""
		if m.Blocked != nil {
			state = blockWords(m.Blocked)
		}
		return []string{m.Machine.Name, m.Machine.ID, strings.Join(m.Users, ", "), strings.Join(m.Products, ", "), strconv.Itoa(m.Sessions), strconv.Itoa(m.Checkouts), stamp(m.Since), state}
	})
}

// machineRows are the machines of what is open, newest first, and then, unless only what is
// open is asked for, the blocked ones that have nothing open and each of the words. An id
// decides where both have one: not all that is open has it.
func machineRows(open []api.Open, blocks []api.Block, onlyOpen bool, words []string) []machineRow {
	list, byID, byName := []machineRow{}, map[string]int{}, map[string]int{}
	find := func(m api.Machine) (i int, there bool) {
		if i, there = byID[m.ID]; there && m.ID != "" {
			return i, true
		}
		i, there = byName[strings.ToLower(m.Name)]
		return i, there && m.Name != "" && (m.ID == "" || list[i].Machine.ID == "")
	}
	of := func(m api.Machine) *machineRow {
		i, there := find(m)
		if !there {
			i = len(list)
			list = append(list, machineRow{Machine: m, Users: []string{}, Products: []string{}})
			if _, taken := byName[strings.ToLower(m.Name)]; !taken {
				byName[strings.ToLower(m.Name)] = i
			}
		}
		if m.ID != "" {
			list[i].Machine.ID, byID[m.ID] = m.ID, i
		}
		return &list[i]
	}
	add := func(to *[]string, s string) {
		if !slices.Contains(*to, s) {
			*to = append(*to, s)
		}
	}
	for _, x := range open {
		m := of(x.Machine)
		add(&m.Users, person(x.User, x.Name, x.Email))
		add(&m.Products, cmp.Or(x.ProductName, x.Product))
		if m.Since.Before(x.Since) {
			m.Since = x.Since
		}
		if x.Kind == "checkout" {
			m.Checkouts++
		} else {
			m.Sessions++
		}
	}
	for _, b := range blocks {
		if b.Machine == nil {
			continue
		}
		_, there := find(*b.Machine)
		text := strings.ToLower(b.Machine.Name + " " + b.Machine.ID)
		if there || !onlyOpen && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, strings.ToLower(w)) }) {
			of(*b.Machine).Blocked = &b
		}
	}
	return list
}
