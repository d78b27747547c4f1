package console

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sitegate/api"
)

// cluster are the nodes, and what can be done about them.
func cluster(v *visit) (*page, error) {
	var l api.List[api.ClusterMember]
	if err := v.get(api.PathMembers, nil, &l); err != nil {
		return nil, err
	}
	s, err := v.status()
	if err != nil {
		return nil, err
	}
	p := &page{Title: v.t("cluster.title"), Lead: v.t("cluster.lead")}
	if v.who.May(Admin) {
		p.Actions = []link{{Text: v.t("act.join"), Href: at("cluster/join"), Tone: "primary"}, {Text: v.t("act.backup-file"), Href: at("cluster/backup/file")}}
	}
	t := &table{Caption: v.t("cluster.title"), Columns: []string{v.t("col.node"), v.t("col.role"), v.t("col.lag"), v.t("col.reached"), v.t("col.version"), v.t("col.certificate"), v.t("chip.disk"), v.t("col.act")}}
	for _, m := range l.Items {
		name := cell{Text: clean(m.Name), Sub: clean(m.Address)}
		if m.Self {
			name.Tags = []tag{{v.t("tag.self"), "info"}}
		}
		if m.Drained {
			name.Tags = append(name.Tags, tag{v.t("tag.drained"), "warn"})
		}
		role := cell{Tags: []tag{{v.t("node." + m.Role), map[string]string{api.RoleLeader: "good"}[m.Role]}}}
		lag, reached, certificate := cell{}, cell{At: m.Reached, Ago: true}, cell{At: m.Certificate}
		if m.Known || m.Self {
			lag.Text = v.t("cluster.entries", v.number(int(min(m.LagEntries, 1<<31))))
		} else {
			lag.Text = v.t("unknown")
		}
		switch {
		case m.Self:
			reached = cell{Text: v.t("cluster.this")}
		case m.Reached.IsZero():
			reached = cell{Tags: []tag{{v.t("cluster.never"), "bad"}}}
		case time.Since(m.Reached) > reachedWithin:
			reached.Tags = []tag{{v.t("cluster.silent"), "bad"}}
		}
		if !m.Certificate.IsZero() && time.Until(m.Certificate) < 14*24*time.Hour {
			certificate.Tags = []tag{{v.t("tag.soon"), "warn"}}
		}
		acts := cell{}
		can := func(act, href, tone string, may bool) {
			if may && v.who.May(Admin) {
				acts.Links = append(acts.Links, link{Text: v.t("act." + act), Href: href, Tone: tone, Label: v.t("act."+act) + ": " + clean(m.Name)})
			}
		}
		can("step-down", at("cluster/step-down"), "", m.Role == api.RoleLeader && len(l.Items) > 1)
		can("drain", of("cluster/nodes", m.Name, "/drain"), "", !m.Drained && len(l.Items) > 1)
		can("remove", of("cluster/nodes", m.Name, "/remove"), "danger", !m.Self)
		t.Rows = append(t.Rows, row{ID: m.Name, Cells: []cell{name, role, lag, reached, {Text: clean(m.Version)}, certificate, v.room(m.Disk), acts}})
	}
	facts := []fact{{v.t("cluster.leader"), cell{Text: clean(cmp.Or(s.Cluster.Leader, v.t("chip.no-leader")))}}, {v.t("cluster.term"), cell{Text: fmt.Sprint(s.Cluster.Term)}},
		{v.t("cluster.index"), cell{Text: fmt.Sprint(s.Cluster.Index)}}, {v.t("cluster.level"), cell{Text: fmt.Sprint(s.Cluster.Level)}},
		{v.t("cluster.id"), cell{Text: s.Cluster.ID, Code: true}}, {v.t("cluster.connected"), cell{Text: v.number(s.Connected)}}}
	if s.Disk != nil {
		facts = append(facts, fact{v.t("chip.disk"), v.room(s.Disk)})
	}
	p.Sections = []section{{ID: "nodes", Heading: v.t("cluster.nodes"), Table: t}, {ID: "facts", Heading: v.t("cluster.facts"), Facts: facts}}
	p.Sections = append(p.Sections, v.certificates(s)...)
	backups := section{ID: "backups", Heading: v.t("backup.title"), Note: v.t("backup.none")}
	if s.Backup != nil {
		backups.Note, backups.Facts = v.t("backup.note"), v.backupFacts(s.Backup)
		if v.who.May(Admin) {
			backups.Actions = []link{{Text: v.t("act.backup"), Href: at("cluster/backup")}}
		}
	}
	p.Sections = append(p.Sections, backups)
	if s.Restored != nil {
		p.Sections = append(p.Sections, section{ID: "restored", Heading: v.t("chip.restored"), Note: v.t("cluster.restored"), Facts: []fact{{v.t("col.until"), cell{At: s.Restored.Until}}}})
	}
	return p, nil
}

// room is how much there is in a node's data folder.
func (v *visit) room(d *api.DiskStatus) cell {
	if d == nil {
		return cell{Text: v.t("unknown")}
	}
	return cell{Text: v.t("cluster.disk", bytesOf(d.Free), bytesOf(d.Total)), Tags: []tag{{v.t("disk." + d.State), map[string]string{api.DiskOK: "good", api.DiskWarn: "warn", api.DiskLow: "bad"}[d.State]}}}
}

// certificates are those that this node shows, as sitegate status has them.
func (v *visit) certificates(s *api.Status) []section {
	if len(s.Certificates) == 0 {
		return nil
	}
	t := &table{Caption: v.t("certificates.title"), Columns: []string{v.t("certificates.of"), v.t("col.until"), v.t("certificates.fingerprint"), v.t("col.detail")}}
	for i, x := range s.Certificates {
		whose, ends, detail := cell{Text: clean(x.Name)}, cell{At: x.Ends}, cell{Text: clean(x.File)}
		if has("certificates." + x.Name) {
			whose.Text = v.t("certificates." + x.Name)
		}
		switch left := time.Until(x.Ends); {
		case left < 0:
			ends.Tags = []tag{{v.t("tag.ended"), "bad"}}
		case left < 14*24*time.Hour:
			ends.Tags = []tag{{v.t("tag.soon"), "warn"}}
		}
		if x.Problem != "" {
			detail.Tags, detail.Sub = []tag{{v.t("certificates.unusable"), "bad"}}, sentence(x.Problem)
		}
		t.Rows = append(t.Rows, row{ID: "certificate-" + strconv.Itoa(i), Cells: []cell{whose, ends, {Text: clean(x.Fingerprint), Code: true}, detail}})
	}
	out := section{ID: "certificates", Heading: v.t("certificates.title"), Note: v.t("certificates.note"), Table: t}
	if r := s.Cluster.Replacement; r != nil {
		out.Facts = []fact{{v.t("certificates.replaced"), cell{At: r.Until, Sub: clean(r.Fingerprint)}}}
	}
	return []section{out}
}

// bytesOf is a size as people read it.
func bytesOf(n uint64) string {
	const unit = 1 << 10
	f, units := float64(n), []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for f >= unit && i < len(units)-1 {
		f, i = f/unit, i+1
	}
	return fmt.Sprintf("%.3g %s", f, units[i])
}

// connectivity is how the link to the vendor is, and the ways out.
func connectivity(v *visit) (*page, error) {
	s, err := v.status()
	if err != nil {
		return nil, err
	}
	p := &page{Title: v.t("connectivity.title"), Lead: v.t("connectivity.lead")}
	facts := []fact{{v.t("chip.link"), cell{Text: v.t("link." + s.Link.State), At: s.Link.Since, Ago: true}}, {v.t("connectivity.contact"), cell{At: s.Link.Contact, Ago: true}},
		{v.t("connectivity.mirror"), cell{At: s.Mirror.Read, Ago: true}}, {v.t("connectivity.autonomy-capped"), cell{Text: v.alone(s.Autonomy.CappedMS)}},
		{v.t("connectivity.autonomy-uncapped"), cell{Text: v.alone(s.Autonomy.UncappedMS)}}, {v.t("connectivity.usage"), cell{Text: v.number(int(min(s.Usage.Waiting, 1<<31)))}}}
	offers := &table{Caption: v.t("connectivity.offers"), Columns: []string{v.t("col.what"), v.t("col.state"), v.t("col.since")}}
	for _, o := range []struct {
		key string
		is  *api.Offer
	}{{"feed", s.Cloud.Feed}, {"holds", s.Cloud.Holds}, {"moves", s.Cloud.Moves}, {"books", s.Cloud.Books}} {
		r := row{ID: "offer-" + o.key, Cells: []cell{{Text: v.t("offer." + o.key)}, {Tags: []tag{{v.t("unknown"), ""}}}, {}}}
		if o.is != nil {
			r.Cells[1], r.Cells[2] = cell{Tags: []tag{{v.t("offer.yes"), "good"}}}, cell{At: o.is.Since}
			if !o.is.Offered {
				r.Cells[1].Tags = []tag{{v.t("offer.no"), "warn"}}
			}
		}
		offers.Rows = append(offers.Rows, r)
	}
	ways := &table{Caption: v.t("connectivity.ways"), Columns: []string{v.t("col.proxy"), v.t("col.kind"), v.t("col.state"), v.t("col.detail")}}
	for _, w := range s.Egress {
		ways.Rows = append(ways.Rows, v.way(w))
	}
	p.Sections = []section{{ID: "link", Heading: v.t("chip.link"), Facts: facts}, {ID: "ways", Heading: v.t("connectivity.ways"), Table: ways, Empty: v.t("connectivity.direct")},
		{ID: "offers", Heading: v.t("connectivity.offers"), Table: offers},
		{ID: "doctor", Heading: v.t("connectivity.doctor"), Note: v.t("connectivity.doctor.note"), Copy: "sitegate doctor\nsitegate doctor --bundle sitegate-doctor.zip"}}
	if v.who.May(Operator) {
		p.Actions = []link{{Text: v.t("act.doctor"), Href: at("connectivity/doctor")}}
	}
	if len(s.Lockouts) > 0 {
		var names []string
		for _, l := range s.Lockouts {
			names = append(names, clean(l.Node)+" → "+clean(l.Proxy))
		}
		p.Alert = &alert{Title: v.t("connectivity.lockout"), Detail: strings.Join(names, ", "), Next: []string{v.t("connectivity.lockout.next")}}
	}
	if len(s.KeysHeld) > 0 {
		held := clean(strings.Join(s.KeysHeld, ", "))
		if p.Alert == nil {
			p.Alert = &alert{Title: v.t("connectivity.keys"), Detail: held}
		} else {
			p.Alert.Next = append(p.Alert.Next, v.t("connectivity.keys")+": "+held)
		}
		p.Alert.Next = append(p.Alert.Next, v.t("connectivity.keys.next"))
	}
	return p, nil
}

// alone is how long the site may decide alone.
func (v *visit) alone(ms int64) string {
	if ms <= 0 {
		return v.t("connectivity.not-alone")
	}
	return (time.Duration(ms) * time.Millisecond).String()
}

// settings are what the rules go by at the site.
func settings(v *visit) (*page, error) {
	var s api.SiteSettings
	if err := v.get(api.PathSettings, nil, &s); err != nil {
		return nil, err
	}
	t := &table{Caption: v.t("settings.title"), Columns: []string{v.t("settings.name"), v.t("settings.value"), v.t("settings.from")}}
	for _, x := range s.Items {
		from := tag{v.t("settings.default"), ""}
		if x.Set {
			from = tag{v.t("settings.set"), "info"}
		}
		t.Rows = append(t.Rows, row{ID: x.Name, Cells: []cell{{Text: x.Name, Code: true, Sub: sentence(x.About)}, {Text: sentence(x.Value), Code: true}, {Tags: []tag{from}}}})
	}
	p := &page{Title: v.t("settings.title"), Lead: v.t("settings.lead"), Sections: []section{{ID: "settings", Heading: v.t("settings.heading"), Table: t}}}
	if v.who.May(Operator) {
		own, err := v.nodeSettings()
		if err != nil {
			return nil, err
		}
		p.Sections = append(p.Sections, own...)
	}
	if v.who.May(Admin) {
		p.Actions = []link{{Text: v.t("act.reload"), Href: at("settings/reload")}}
	}
	p.Sections = append(p.Sections, section{ID: "reload", Heading: v.t("settings.reload"), Note: v.t("settings.reload.note"), Copy: "sitegate check --config /etc/sitegate/sitegate.yaml\nsystemctl reload sitegate"})
	return p, nil
}
