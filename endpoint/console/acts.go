package console

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"sitegate/api"
)

// acts are all that can be done from here.
func (c *Console) acts() []actOf {
	return []actOf{
		{path: "sessions/{id}/free", key: "free", page: "now", role: Operator, see: seeSession, do: func(v *visit, _ *subject) (*page, error) {
			return nil, v.post(api.Of(api.PathSessions, v.id(), "/release"), v.said(), nil)
		}},
		{path: "checkouts/{id}/write-off", key: "write-off", page: "checkouts", role: Operator, see: seeCheckout, do: func(v *visit, _ *subject) (*page, error) {
			return nil, v.post(api.Of(api.PathCheckouts, v.id(), "/write-off"), v.said(), nil)
		}},
		{path: "users/{id}/free", key: "free-user", page: "users", role: Operator, see: seeUser("free-user"), do: ofUser("/release")},
		{path: "users/{id}/block", key: "block", page: "users", role: Operator, see: seeUser("block"), do: ofUser("/block")},
		{path: "users/{id}/unblock", key: "unblock", page: "users", role: Operator, see: seeUser("unblock"), do: ofUser("/unblock")},
		{path: "machine/block", key: "block", page: "machines", role: Operator, see: seeMachine("block"), do: ofMachine("/block")},
		{path: "machine/unblock", key: "unblock", page: "machines", role: Operator, see: seeMachine("unblock"), do: ofMachine("/unblock")},
		{path: "licenses/{id}/move", key: "move", page: "licenses", role: Operator, see: seeMove, do: doMove},
		{path: "checkouts/bulk", key: "bulk", page: "checkouts", role: Operator, see: seeBulk, do: c.doBulk},
		{path: importPath, key: "import", page: "licenses", role: Admin, see: seeImport, do: doImport},
		{path: "usage/resend", key: "resend", page: "usage", role: Operator, see: seeResend, do: doResend},
		{path: "connectivity/doctor", key: "doctor", page: "connectivity", role: Operator, see: seeDoctor, do: doDoctor},
		{path: "settings/reload", key: "reload", page: "settings", role: Admin, see: seeReload, do: doReload},
		{path: "rollout/bypass", key: "bypass", page: "rollout", role: Operator, see: seeBypass(false), do: func(v *visit, _ *subject) (*page, error) {
			return nil, v.post(api.PathBypass, v.said(), nil)
		}},
		{path: "rollout/bypass/over", key: "bypass-over", page: "rollout", role: Operator, see: seeBypass(true), do: func(v *visit, _ *subject) (*page, error) {
			return nil, v.post(api.PathBypass+"/over", v.said(), nil)
		}},
		{path: "cluster/join", key: "join", page: "cluster", role: Admin, see: seeJoin, do: c.doJoin},
		{path: "cluster/nodes/{id}/drain", key: "drain", page: "cluster", role: Admin, see: seeNode("drain"), do: func(v *visit, _ *subject) (*page, error) {
			return nil, v.post(api.PathDrain, api.DrainRequest{Node: v.id(), OverMS: time.Minute.Milliseconds(), Note: v.reason()}, nil)
		}},
		{path: "cluster/step-down", key: "step-down", page: "cluster", role: Admin, see: seeNode("step-down"), do: func(v *visit, _ *subject) (*page, error) {
			return nil, v.post(api.PathStepDown, api.StepDownRequest{Note: v.reason()}, nil)
		}},
		{path: "cluster/backup", key: "backup", page: "cluster", role: Admin, see: seeBackup, do: doBackup},
		{path: "cluster/backup/file", key: "backup-file", page: "cluster", role: Admin, see: seeBackupFile, give: giveBackup},
		{path: "cluster/nodes/{id}/remove", key: "remove", page: "cluster", role: Admin, see: seeNode("remove"), do: func(v *visit, _ *subject) (*page, error) {
			return nil, v.post(api.Of(api.PathMembers, v.id(), "/remove"), api.RemoveRequest{By: v.who.Name, Note: v.reason()}, nil)
		}},
	}
}

// opened is the session or checkout that the path names, if there still is one.
func (v *visit) opened(kind string) (*api.Open, error) {
	var l api.OpenList
	if err := v.get(api.PathOpen, url.Values{"id": {v.id()}}, &l); err != nil {
		return nil, err
	}
	if len(l.Items) == 0 || l.Items[0].Kind != kind {
		return nil, &gone{kind}
	}
	return &l.Items[0], nil
}

func (v *visit) openFacts(x *api.Open) []fact {
	return []fact{{v.t("col.user"), person(x.User, x.Name, x.Email)}, {v.t("col.machine"), onMachine(x.Machine)},
		{v.t("col.product"), cell{Text: clean(x.ProductName)}}, {v.t("col.since"), cell{At: x.Since, Ago: true}}}
}

func seeSession(v *visit) (*subject, error) {
	x, err := v.opened("session")
	if err != nil {
		return nil, err
	}
	if x.Ending != nil && x.Ending.Reason == "released" {
		return nil, &gone{"released"}
	}
	m := clean(x.Machine.Name)
	s := &subject{of: m, facts: v.openFacts(x), does: []string{v.t("free.does.told", m), v.t("free.does.when"), v.t("free.does.save")}, note: true, must: true,
		back: v.back(at("")), done: "free", state: x.ID + " " + x.User + " " + x.Machine.ID + " " + x.Machine.Name, danger: true}
	if x.Relayed {
		s.does[0], s.does[1] = v.t("free.does.relayed", m), v.t("free.does.relayed.when")
	}
	return s, nil
}

func seeCheckout(v *visit) (*subject, error) {
	x, err := v.opened("checkout")
	if err != nil {
		return nil, err
	}
	if x.WrittenOff != nil {
		return nil, &gone{"written-off"}
	}
	return &subject{of: clean(x.Machine.Name), facts: append(v.openFacts(x), fact{v.t("col.until"), cell{At: x.Until}}), does: []string{v.t("write-off.does.blocks"), v.t("write-off.does.cloud"), v.t("write-off.does.back")},
		note: true, must: true, back: v.back(at("checkouts")), done: "write-off", state: x.ID + " " + x.User + " " + rfc(x.Until), danger: true}, nil
}

func seeUser(act string) func(*visit) (*subject, error) {
	return func(v *visit) (*subject, error) {
		id := v.id()
		var u api.SiteUser
		if err := v.get(api.Of(api.PathSiteUsers, id, ""), nil, &u); err != nil {
			return nil, err
		}
		state := "free"
		switch {
		case act == "block" && u.BlockedHere != nil, act == "unblock" && u.BlockedHere == nil, act == "free-user" && u.Sessions == 0:
			return nil, &gone{act}
		case u.BlockedHere != nil:
			state = "blocked"
		}
		s := &subject{of: clean(cmp.Or(u.Name, u.Email, u.ID)), facts: []fact{{v.t("col.user"), person(u.ID, u.Name, u.Email)}, {v.t("col.sessions"), cell{Text: v.number(u.Sessions)}}, {v.t("col.machine"), cell{Text: clean(strings.Join(u.Machines, ", "))}}},
			note: true, must: act != "unblock", back: userPage(id), done: act, state: u.ID + " " + state, danger: act != "unblock"}
		switch act {
		case "block":
			s.does = []string{v.t("block.does.user"), v.t("block.does.sessions"), v.t("block.does.note")}
		case "unblock":
			s.does = []string{v.t("unblock.does")}
		default:
			var l api.OpenList
			if err := v.get(api.PathOpen, url.Values{"user": {id}, "kind": {"session"}, "limit": {"500"}}, &l); err != nil {
				return nil, err
			}
			for _, x := range l.Items { // whoever confirms has seen these, and no others
				s.state += " " + x.ID
			}
			s.does = []string{v.t("free.does.told", clean(strings.Join(u.Machines, ", "))), v.t("free.does.when"), v.t("free.does.save")}
		}
		return s, nil
	}
}

func ofUser(path string) func(*visit, *subject) (*page, error) {
	return func(v *visit, _ *subject) (*page, error) {
		return nil, v.post(api.Of(api.PathUsers, v.id(), path), v.said(), nil)
	}
}

func seeMachine(act string) func(*visit) (*subject, error) {
	return func(v *visit) (*subject, error) {
		m := machineOf(v)
		if m == (api.Machine{}) {
			return nil, &gone{"machine"}
		}
		b, err := v.blockOf(m)
		if err != nil {
			return nil, err
		}
		if (act == "block") == (b != nil) {
			return nil, &gone{act}
		}
		s := &subject{of: clean(cmp.Or(m.Name, m.ID)), facts: []fact{{v.t("col.machine"), onMachine(m)}, {v.t("col.id"), cell{Text: clean(m.ID), Code: true}}}, note: true, must: act == "block",
			back: machinePage(m), done: act, state: act + " " + m.ID + " " + m.Name, danger: act == "block"}
		s.does = []string{v.t("unblock.does")}
		if act == "block" {
			s.does = []string{v.t("block.does.machine"), v.t("block.does.sessions"), v.t("block.does.note")}
		}
		return s, nil
	}
}

func ofMachine(path string) func(*visit, *subject) (*page, error) {
	return func(v *visit, _ *subject) (*page, error) {
		return nil, v.post(api.PathMachines+path, api.MachineBlockRequest{Machine: machineOf(v), By: v.who.Name, Note: v.reason()}, nil)
	}
}

func seeMove(v *visit) (*subject, error) {
	id := v.id()
	var x api.SiteLicense
	if err := v.get(api.Of(api.PathSiteLicenses, id, ""), nil, &x); err != nil {
		return nil, err
	}
	does := []string{v.t("move.does.rule"), v.t("move.does.cloud")}
	if x.Assignee != "" {
		does = append(does, v.t("move.does.loses", clean(cmp.Or(x.Name, x.Assignee))))
	}
	if !x.LockedUntil.IsZero() {
		does = append(does, v.t("move.does.locked", stamp(x.LockedUntil)))
	}
	return &subject{of: clean(x.ProductName), facts: v.licenseFacts(x), does: does, fields: []field{{Name: "to", Kind: "text", Label: v.t("move.to"), Help: v.t("move.to.help"), Required: true, Most: maxReason}},
		note: true, must: true, back: of("licenses", id, ""), done: "move", state: x.ID + " " + x.Assignee + " " + rfc(x.AssignedAt)}, nil
}

// doMove finds the user that is meant, by id or e-mail, and has the cloud move the license.
func doMove(v *visit, _ *subject) (*page, error) {
	to := strings.TrimSpace(v.r.PostFormValue("to"))
	user, err := v.meant(to)
	if err != nil {
		return nil, err
	}
	return nil, v.post(api.Of(api.PathLicenses, v.id(), "/move"), api.MoveRequest{To: user, By: v.who.Name, Note: v.reason()}, nil)
}

// meant is the id of the user of the account who is called so, by id, by the name that is
// shown where they are hidden, or by e-mail.
func (v *visit) meant(to string) (string, error) {
	var l api.SiteUserList
	if to != "" { // which would be everybody
		if err := v.get(api.PathSiteUsers, url.Values{"named": {to}}, &l); err != nil {
			return "", err
		}
	}
	known := slices.DeleteFunc(l.Items, func(u api.SiteUser) bool { return !u.Known })
	if len(known) != 1 {
		key := "move.nobody"
		if len(known) > 1 {
			key = "move.several"
		}
		return "", &failed{api.Problem{Status: 422, Title: v.t("move.to"), Detail: v.t(key, clean(to))}}
	}
	return known[0].ID, nil
}

func seeNode(act string) func(*visit) (*subject, error) {
	return func(v *visit) (*subject, error) {
		var l api.List[api.ClusterMember]
		if err := v.get(api.PathMembers, nil, &l); err != nil {
			return nil, err
		}
		for _, m := range l.Items {
			if leads := m.Role == api.RoleLeader; act == "step-down" && !leads || act != "step-down" && m.Name != v.id() {
				continue
			}
			if act == "drain" && m.Drained {
				return nil, &gone{"drained"}
			}
			s := &subject{of: clean(m.Name), facts: []fact{{v.t("col.node"), cell{Text: clean(m.Name), Sub: clean(m.Address)}}, {v.t("col.role"), cell{Text: v.t("node." + m.Role)}}},
				does: []string{v.t(act + ".does.1"), v.t(act + ".does.2")}, note: true, must: true, own: true, back: at("cluster"), done: act, state: act + " " + m.Name + " " + m.Role, danger: act != "step-down"}
			if act == "drain" && m.Self {
				s.does = append(s.does, v.t("drain.does.here"))
			}
			return s, nil
		}
		if act == "step-down" {
			return nil, &gone{"leader"}
		}
		return nil, &gone{"node"}
	}
}

// tokenLives are how long a join token may let a machine in.
var tokenLives = map[string]time.Duration{"1h": time.Hour, "24h": 24 * time.Hour}

func seeJoin(v *visit) (*subject, error) {
	f := field{Name: "for", Kind: "select", Label: v.t("join.for"), Options: []option{{"1h", v.t("join.for.1h"), true}, {"24h", v.t("join.for.24h"), false}}}
	return &subject{does: []string{v.t("join.does.1"), v.t("join.does.2")}, fields: []field{f}, back: at("cluster"), state: "join"}, nil
}

// doJoin shows the command by which a machine joins. The token is in this answer and
// nowhere else.
func (c *Console) doJoin(v *visit, _ *subject) (*page, error) {
	life, known := tokenLives[v.r.PostFormValue("for")]
	if !known {
		life = time.Hour
	}
	if !c.issued.first(v.r.PostFormValue("once")) {
		return nil, &failed{api.Problem{Status: 409, Title: v.t("join.again.title"), Detail: v.t("join.again")}}
	}
	var t api.JoinToken
	if err := v.post(api.PathTokens, api.TokenRequest{ForMS: life.Milliseconds(), By: v.who.Name}, &t); err != nil {
		return nil, err
	}
	return &page{Title: v.t("join.title"), Lead: v.t("join.lead"), Sections: []section{{ID: "command", Heading: v.t("join.command"), Copy: "sitegate cluster join --token-file - --peer-listen HOST:7443",
		Note: v.t("join.command.note")}, {ID: "token", Heading: v.t("join.token"), Copy: t.Token, Facts: []fact{{v.t("col.until"), cell{At: t.Expires}}}}}, Actions: []link{{Text: v.t("back"), Href: at("cluster")}}}, nil
}
