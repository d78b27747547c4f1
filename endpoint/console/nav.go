package console

import (
	"fmt"
	"time"

	"sitegate/api"
)

// pageOf is a page of the console: where it is, and what makes it.
type pageOf struct {
	path string // below Base, as http.ServeMux takes it
	key  string // of the navigation, and of its texts
	make func(*visit) (*page, error)
}

// pages are all pages. Those that the navigation leads to are in its order.
func (c *Console) pages() []pageOf {
	return []pageOf{
		{"{$}", "now", now},
		{"products", "now", products},
		{"refusals", "refusals", refusals},
		{"checkouts", "checkouts", checkouts},
		{"users", "users", users},
		{"users/{id}", "users", oneUser},
		{"machine", "machines", oneMachine},
		{"machines", "machines", machines},
		{"licenses", "licenses", licenses},
		{"licenses/{id}", "licenses", oneLicense},
		{"capped", "capped", capped},
		{"usage", "usage", usage},
		{"usage/pooled", "usage", pooled},
		{"usage/refused", "usage", allRefused},
		{"usage/audit", "usage", usageAudit},
		{"report", "report", reported},
		{"rollout", "rollout", rollout},
		{"rollout/counts", "rollout", observedCounts},
		{"cluster", "cluster", cluster},
		{"connectivity", "connectivity", connectivity},
		{"settings", "settings", settings},
		{"audit", "audit", audit},
		{"audit/verify", "audit", verified},
	}
}

// navigation is the way through the pages.
func (v *visit) navigation(here string) []group {
	var out []group
	for _, g := range []struct {
		key   string
		pages []string
	}{
		{"watch", []string{"now", "refusals", "checkouts", "capped"}},
		{"account", []string{"licenses", "users", "machines", "usage", "report"}},
		{"gateway", []string{"cluster", "connectivity", "rollout", "settings", "audit"}},
	} {
		group := group{Text: v.t("group." + g.key)}
		for _, key := range g.pages {
			path := key
			if key == "now" {
				path = ""
			}
			group.Links = append(group.Links, navLink{v.t(key + ".title"), at(path), key == here})
		}
		out = append(out, group)
	}
	return out
}

// chips are how the link and the cluster are, at the top of every page.
func (v *visit) chips(s *api.Status) []chip {
	linkTone := map[string]string{api.LinkUp: "good", api.LinkSlow: "warn", api.LinkDown: "warn", api.LinkStale: "bad"}
	out := []chip{{v.t("chip.link"), v.t("link." + s.Link.State), linkTone[s.Link.State], at("connectivity")}}
	voters, reached := 0, 0
	for _, m := range s.Cluster.Members {
		if !m.Voter {
			continue
		}
		voters++
		if m.Name == s.Node || !m.Reached.IsZero() && time.Since(m.Reached) < reachedWithin {
			reached++
		}
	}
	c := chip{v.t("chip.cluster"), v.t("chip.nodes", reached, voters), "good", at("cluster")}
	switch {
	case s.Cluster.Diverged:
		c.Text, c.Tone = v.t("chip.diverged"), "bad"
	case s.Cluster.Leader == "":
		c.Text, c.Tone = v.t("chip.no-leader"), "bad"
	case reached < voters:
		c.Tone = "warn"
	}
	out = append(out, c)
	if !s.Mirror.Filled {
		out = append(out, chip{v.t("chip.mirror"), v.t("chip.mirror.empty"), "bad", at("connectivity")})
	} else if s.Mirror.Held != nil {
		out = append(out, chip{v.t("chip.mirror"), v.t("chip.mirror.held"), "warn", at("licenses")})
	}
	if s.Counts.Provisional > 0 {
		out = append(out, chip{v.t("chip.provisional"), fmt.Sprint(s.Counts.Provisional), "warn", at("")})
	}
	if s.Disk != nil && s.Disk.State != api.DiskOK {
		out = append(out, chip{v.t("chip.disk"), v.t("disk." + s.Disk.State), map[string]string{api.DiskWarn: "warn", api.DiskLow: "bad"}[s.Disk.State], at("cluster")})
	}
	if s.Usage.Backlog != api.BacklogOK && s.Usage.Backlog != "" {
		out = append(out, chip{v.t("chip.backlog"), v.t("backlog." + s.Usage.Backlog), "warn", at("usage")})
	}
	if s.Restored != nil {
		out = append(out, chip{v.t("chip.restored"), v.t("chip.restored.waits"), "warn", at("cluster")})
	}
	return out
}

// reachedWithin is how lately a node must have been heard of.
const reachedWithin = 15 * time.Second
