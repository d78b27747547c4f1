package endpoint

import (
	"context"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"sitegate/api"
	"sitegate/license"
	"sitegate/phrase"
)

// What the site keeps about a person, and what of it may go.

const (
	maxPersonNames = 16     // besides the user's id
	mostPersonal   = 50_000 // records, events, and records of the audit trail of one person that are told at once
	personalAtOnce = 500    // that are looked at while the state waits

	personalAgain = 30 * time.Second // when to ask anew who finds that somebody's are being read
)

// asked reads whom a request is about, who asks and why.
func (e *Endpoint) asked(c *call, in *api.PersonRequest) (license.UserID, names, error) {
	id, err := c.named()
	if err != nil {
		return "", nil, err
	}
	if err := c.said(&in.By, in.Note); err != nil {
		return "", nil, err
	}
	if strings.TrimSpace(in.Note) == "" {
		return "", nil, malformed("note is missing: say why; the audit trail keeps it")
	}
	if len(in.Names) > maxPersonNames {
		return "", nil, malformed("names are more than 16")
	}
	user := e.userNamed(c, id)
	all := names{string(user)}
	e.gw.View(func(s *license.State) {
		if u := s.User(user); u != nil && u.Email != "" {
			all = append(all, u.Email)
		}
	})
	for _, name := range in.Names {
		if name == "" || !plain(name) {
			return "", nil, malformed("names has one that is empty, longer than 256 bytes or with control characters")
		}
		all = append(all, name)
	}
	slices.Sort(all[1:])
	return user, slices.CompactFunc(all, strings.EqualFold), nil
}

// personalData is POST /v1/users/{id}/personal-data: it is noted in the audit trail before
// anything is read, which is done for one person at a time.
func (e *Endpoint) personalData(c *call, in api.PersonRequest) (reply, error) {
	user, who, err := e.asked(c, &in)
	if err != nil {
		return reply{}, err
	}
	if !e.exporting.TryLock() {
		return reply{}, &trouble{code: api.CodeTooMany, after: personalAgain}
	}
	defer e.exporting.Unlock()
	if err := e.gw.NoteAct(c.ctx, license.NoteAct{What: "personal-data-read", By: in.By, Via: string(c.administrator.Way), User: user, Note: in.Note}); err != nil {
		return reply{}, err
	}
	e.log.InfoContext(c.ctx, "administrator acted", "id", c.id, "act", "personal-data", "kind", "user", "user", e.name(nil, "user", string(user)), "by", in.By)
	out := api.PersonalData{User: string(user), Names: who, At: e.gw.Now().Std(), Node: e.node(),
		Events: []api.PersonalRecord{}, Usage: []api.PersonalUsage{}, Audit: []api.AuditRecord{}}
	out.Records, out.More = e.recordsOf(who, mostPersonal)
	since := e.since()
	out.EventsSince = since.Std()
	var sent license.Head
	aside := map[string]bool{}
	e.gw.View(func(s *license.State) {
		sent = s.Head()
		for _, x := range license.AllSetAside(s) {
			aside[x.Usage.Record] = true
		}
	})
	_, _, err = e.gw.Recall(c.ctx, 0, 1, math.MaxInt, func(event license.Event) bool {
		if event.At < since {
			return true
		}
		if !who.in(reflect.ValueOf(event.Fact)) {
			return false
		}
		if len(out.Events) == mostPersonal {
			out.More = true
			return true
		}
		out.Events = append(out.Events, api.PersonalRecord{Kind: kindOf(event.Fact), Seq: event.Seq, At: event.At.Std(), Data: asKept(event.Fact)})
		if u, used := license.UseOf(event); used && u.User == user {
			out.Usage = append(out.Usage, personalUsage(event, u, sent.UsageSent, aside))
		}
		return false
	})
	if err != nil {
		return reply{}, err
	}
	if e.cfg.Audit != nil {
		var more bool
		if out.Audit, more, err = e.auditOf(c.ctx, who, mostPersonal); err != nil {
			return reply{}, err
		}
		out.More = out.More || more
	}
	return reply{status: http.StatusOK, body: out}, nil
}

func personalUsage(event license.Event, u license.Usage, sent uint64, aside map[string]bool) api.PersonalUsage {
	out := api.PersonalUsage{Record: u.Record, Product: string(u.Product), Machine: api.Machine{ID: u.Machine.ID, Name: u.Machine.Name},
		Started: u.Started.Std(), Ended: u.Ended.Std(), State: "waits"}
	_, ours := license.UsageOf(event)
	switch {
	case !ours:
		out.State = "by-client"
	case aside[u.Record]:
		out.State = "refused"
	case event.Seq <= sent:
		out.State = "acknowledged"
	}
	return out
}

// notPersonal are the kinds of records that name nobody, or are told of by their parts.
var notPersonal = []license.KeyKind{license.KeyHead, license.KeyProduct, license.KeyTombstone}

// recordsOf are the records of the state that name somebody, so many at the most, and whether
// there are more. The state is read in pieces, so that nothing waits for all of it.
func (e *Endpoint) recordsOf(who names, most int) (list []api.PersonalRecord, more bool) {
	list = []api.PersonalRecord{}
	var keys []license.Key
	e.gw.View(func(s *license.State) {
		keys = s.Keys()
		for _, contact := range license.Contacts(s) {
			if who.has(contact.Email) || who.has(contact.Name) {
				list = append(list, api.PersonalRecord{Kind: "contact", Data: asKept(contact)})
			}
		}
		if c := s.Head().Account.FulfillmentContact; who.has(c.Email) || who.has(c.Name) {
			list = append(list, api.PersonalRecord{Kind: "fulfillment-contact", Data: asKept(c)})
		}
		list = append(list, who.ofHead(s.Head())...)
	})
	keys = slices.DeleteFunc(keys, func(k license.Key) bool { return slices.Contains(notPersonal, k.Kind) })
	for piece := range slices.Chunk(keys, personalAtOnce) {
		e.gw.View(func(s *license.State) {
			for _, k := range piece {
				if r := s.Record(k); r != nil && len(list) <= most && who.in(reflect.ValueOf(r)) {
					list = append(list, api.PersonalRecord{Kind: kindOf(r), Data: asKept(r)})
				}
			}
		})
		if len(list) > most {
			return list[:most], true
		}
	}
	return list, false
}

// auditOf are the records of the audit trail that are about somebody, or by them, as far as it
// knows whose its pseudonyms are: the latest, so many at the most, and whether there are more.
func (e *Endpoint) auditOf(ctx context.Context, who names, most int) (list []api.AuditRecord, more bool, err error) {
	list = []api.AuditRecord{}
	var trail license.AuditTrail
	e.gw.View(func(s *license.State) { trail = s.Head().Audit })
	for upto := trail.Number; upto > trail.After && !more; {
		after := max(trail.After, upto-min(upto, maxTrailPage))
		records, _, err := e.cfg.Audit(ctx, after, int(upto-after))
		if err != nil {
			return nil, false, err
		}
		e.gw.View(func(s *license.State) {
			for i := range slices.Backward(records) {
				r := auditRecord(&records[i])
				if nameIn(s, &r); r.Number > upto || !who.has(r.ByName) && !who.has(r.UserName) {
					continue // behind what was to be read where others were dropped meanwhile, or nobody's
				}
				if more = len(list) == most; more {
					return
				}
				list = append(list, r)
			}
		})
		upto = after
	}
	slices.Reverse(list)
	return list, more, nil
}

// erasePerson is POST /v1/users/{id}/erase: the audit trail forgets whose the person's
// pseudonyms are, and what was given as a reason in records with them. What stays is said.
func (e *Endpoint) erasePerson(c *call, in api.PersonRequest) (reply, error) {
	user, who, err := e.asked(c, &in)
	if err != nil {
		return reply{}, err
	}
	if slices.ContainsFunc(who, func(name string) bool {
		return len(name) > 2 && strings.Contains(strings.ToLower(in.Note), strings.ToLower(name))
	}) {
		return reply{}, malformed("note has the name that is to be forgotten, and it would be kept there")
	}
	out := api.Erased{User: string(user), Stays: []api.Stay{}}
	var known []license.Veil
	e.gw.View(func(s *license.State) {
		for _, v := range license.Veils(s) {
			if (v.Kind == license.VeilWho || v.Kind == license.VeilUser) && who.has(v.Text) {
				known = append(known, v)
			}
		}
	})
	for _, v := range known {
		if _, err := decided(e.gw.EraseNames(c.ctx, license.EraseNames{Kind: v.Kind, Text: v.Text, By: in.By, Note: in.Note})); err != nil {
			return reply{}, err
		}
		out.Forgotten++
	}
	if out.Forgotten == 0 { // each erasure has a record of its own
		if err := e.gw.NoteAct(c.ctx, license.NoteAct{What: "person-erased", By: in.By, Via: string(c.administrator.Way), Note: in.Note}); err != nil {
			return reply{}, err
		}
	}
	out.Stays = e.stays(c, user, who)
	e.log.InfoContext(c.ctx, "administrator acted", "id", c.id, "act", "erase", "kind", "user", "user", "", "by", in.By) // and not the name, once more
	return reply{status: http.StatusOK, body: out}, nil
}

// stays is what is kept of a user although they were erased, and why.
func (e *Endpoint) stays(c *call, user license.UserID, who names) []api.Stay {
	list := []api.Stay{}
	add := func(kind string, n int, until time.Time) {
		if n > 0 {
			list = append(list, api.Stay{Kind: kind, Count: n, Until: until, Text: phrase.Advice(c.lang, "stays/"+kind, phrase.Matter{Until: license.TimeOf(until)})})
		}
	}
	one := func(there bool) int {
		if there {
			return 1
		}
		return 0
	}
	isOf := func(a license.Administrator) bool { return who.has(a.Email) || who.has(a.Name) }
	e.gw.View(func(s *license.State) {
		add("account", one(s.User(user) != nil), time.Time{})
		add("licenses", len(s.Assigned(user)), time.Time{})
		if a := s.Active(user); a != nil {
			add("sessions", len(a.Sessions)+len(a.Waiters), time.Time{})
			last := license.Time(0)
			for i := range a.Checkouts {
				last = max(last, a.Checkouts[i].Until)
			}
			add("checkouts", len(a.Checkouts), last.Std())
		}
		add("machine-keys", len(license.KeysOf(s, user)), time.Time{})
		_, blocked := license.UserBar(s, user)
		add("block", one(blocked), time.Time{})
		usage := 0
		for _, x := range license.AllSetAside(s) {
			usage += one(x.Usage.User == user)
		}
		add("usage-refused", usage, time.Time{})
		contact := one(isOf(s.Head().Account.FulfillmentContact))
		for _, a := range s.Head().Account.Administrators {
			contact += one(isOf(a))
		}
		add("contact", contact, time.Time{})
		accounts := 0
		for _, a := range license.LocalAccounts(s) {
			accounts += one(who.has(a.Name) || who.has(a.By))
		}
		add("local-accounts", accounts, time.Time{})
		tokens := 0
		for _, t := range license.Credentials(s, license.APIToken, 0) {
			tokens += one(who.has(t.Name) || who.has(t.By))
		}
		add("api-tokens", tokens, time.Time{})
		add("acts", len(who.ofHead(s.Head())), time.Time{})
	})
	add("journal", 1, time.Time{})
	return list
}
