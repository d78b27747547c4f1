package console

import (
	"cmp"
	"fmt"
	"strings"

	"sitegate/api"
)

// seeDoctor says what examining the way out does.
func seeDoctor(v *visit) (*subject, error) {
	s, err := v.status()
	if err != nil {
		return nil, err
	}
	return &subject{of: clean(s.Node), does: []string{v.t("doctor.does.goes"), v.t("doctor.does.secret"), v.t("doctor.does.time")}, back: at("connectivity"), state: s.Node}, nil
}

// doDoctor shows what was found, and what the firewall team is asked for.
func doDoctor(v *visit, _ *subject) (*page, error) {
	var r api.DoctorReport
	if err := v.post(api.PathDoctor, nil, &r); err != nil {
		return nil, err
	}
	p := &page{Title: v.t("doctor.title", clean(r.Node)), Still: true, Actions: []link{{Text: v.t("doctor.again"), Href: at("connectivity/doctor")}, {Text: v.t("back"), Href: at("connectivity")}}}
	t := &table{Caption: v.t("doctor.checks"), Columns: []string{v.t("doctor.step"), v.t("col.state"), v.t("doctor.found"), v.t("doctor.action")}}
	tones := map[string]string{api.CheckPass: "good", api.CheckWarn: "warn", api.CheckFail: "bad"}
	failed := 0
	for i, x := range r.Checks {
		if x.State == api.CheckFail {
			failed++
		}
		t.Rows = append(t.Rows, row{ID: fmt.Sprint("check-", i), Cells: []cell{{Text: clean(x.Step), Sub: clean(x.Of)}, {Tags: []tag{{x.State, tones[x.State]}}, Sub: clean(x.Code)}, {Text: sentence(x.Found)}, {Text: sentence(x.Action)}}})
	}
	if failed > 0 {
		p.Alert = &alert{Title: v.t("doctor.failed", failed), Detail: v.t("doctor.begin")}
	} else {
		p.Done = v.t("doctor.well")
	}
	f := &table{Caption: v.t("doctor.firewall"), Columns: []string{v.t("doctor.source"), v.t("doctor.destination"), v.t("doctor.protocol"), v.t("doctor.purpose")}}
	copied := []string{"source\tdestination\tprotocol\tpurpose"}
	for i, x := range r.Firewall {
		f.Rows = append(f.Rows, row{ID: fmt.Sprint("opening-", i), Cells: []cell{{Text: clean(x.Source)}, {Text: clean(x.Destination), Code: true}, {Text: clean(x.Protocol)}, {Text: clean(x.Purpose)}}})
		copied = append(copied, strings.Join([]string{clean(x.Source), clean(x.Destination), clean(x.Protocol), clean(x.Purpose)}, "\t"))
	}
	p.Sections = []section{{ID: "checks", Heading: v.t("doctor.checks"), Table: t}, {ID: "firewall", Heading: v.t("doctor.firewall"), Table: f, Empty: v.t("doctor.firewall.none")},
		{ID: "firewall-text", Heading: v.t("doctor.copy"), Note: v.t("doctor.copy.note"), Copy: strings.Join(copied, "\n")}}
	return p, nil
}

// nodeSettings are what this node goes by, and where that is set.
func (v *visit) nodeSettings() ([]section, error) {
	var l api.List[api.NodeSetting]
	if err := v.get(api.PathNodeSettings, nil, &l); err != nil {
		return nil, err
	}
	columns := []string{v.t("settings.name"), v.t("settings.value"), v.t("settings.from")}
	restart, reload := &table{Caption: v.t("settings.restart"), Columns: columns}, &table{Caption: v.t("settings.taken"), Columns: columns}
	for _, x := range l.Items {
		t := restart
		if x.Reload {
			t = reload
		}
		from := cell{Text: clean(x.From)}
		if x.From == "default" {
			from = cell{Tags: []tag{{v.t("settings.default"), ""}}}
		}
		value := cell{Text: sentence(x.Value), Code: true}
		if x.Value == "" {
			value = cell{Text: "–"}
		}
		t.Rows = append(t.Rows, row{ID: x.Key, Cells: []cell{{Text: clean(x.Key), Code: true}, value, from}})
	}
	return []section{{ID: "node-reload", Heading: v.t("settings.taken"), Note: v.t("settings.taken.note"), Table: reload, Empty: v.t("settings.taken.none")},
		{ID: "node", Heading: v.t("settings.restart"), Note: v.t("settings.restart.note"), Table: restart}}, nil
}

// seeReload says what reading the configuration anew does.
func seeReload(v *visit) (*subject, error) {
	s, err := v.status()
	if err != nil {
		return nil, err
	}
	return &subject{of: clean(s.Node), does: []string{v.t("reload.does.takes"), v.t("reload.does.open"), v.t("reload.does.wrong"), v.t("reload.does.node")}, back: at("settings"), state: s.Node}, nil
}

// doReload shows what the node goes by since.
func doReload(v *visit, _ *subject) (*page, error) {
	var r api.Reloaded
	if err := v.post(api.PathReload, nil, &r); err != nil {
		return nil, err
	}
	p := &page{Title: v.t("act.reload"), Done: v.t("done.reload"), Still: true, Actions: []link{{Text: v.t("back"), Href: at("settings")}}}
	way := []fact{{v.t("reload.proxies"), cell{Text: clean(cmp.Or(strings.Join(r.Proxies, ", "), "–")), Code: true}}}
	if r.PAC != "" {
		way = append(way, fact{v.t("reload.pac"), cell{Text: clean(r.PAC), Code: true}})
	}
	if r.Direct {
		way = append(way, fact{v.t("reload.direct"), cell{Text: v.t("reload.direct.yes")}})
	}
	p.Sections = []section{{ID: "way", Heading: v.t("reload.way"), Facts: way}}
	if r.Modes {
		p.Sections = append(p.Sections, section{ID: "modes", Heading: v.t("rollout.title"), Note: v.t("reload.modes")})
	}
	if len(r.Waits) > 0 {
		for i, key := range r.Waits {
			r.Waits[i] = clean(key)
		}
		p.Sections = append(p.Sections, section{ID: "waits", Heading: v.t("settings.restart"), Note: v.t("reload.waits"), Copy: strings.Join(r.Waits, "\n")})
	}
	return p, nil
}
