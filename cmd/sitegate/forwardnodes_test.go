package main

import (
	"slices"
	"strings"
	"testing"

	"sitegate/api"
	"sitegate/configs"
)

// membersAt are members gw1, gw2, … whose APIs are at these base URLs; a dash before one: it is drained.
func membersAt(bases ...string) (list []api.ClusterMember) {
	for i, base := range bases {
		m := api.ClusterMember{Name: "gw" + string(rune('1'+i)), URL: base, Self: i == 0, Known: true}
		if base != "" && base[0] == '-' {
			m.URL, m.Drained = base[1:], true
		}
		list = append(list, m)
	}
	return list
}

func TestThePACFilesNodes(t *testing.T) {
	const gw1, gw2, gw3, gw4 = "https://gw1.site.example:8443", "https://gw2.site.example:8443", "https://gw3.site.example:8443", "https://gw4.site.example:8443"
	three := []string{gw1, gw2, gw3}
	p := func(names ...string) (list []string) {
		for _, n := range names {
			list = append(list, n+".site.example:3128")
		}
		return list
	}
	for name, x := range map[string]struct {
		nodes, named []string
		listen       string
		members      []api.ClusterMember
		want         []string
	}{
		"as they are listed":                        {nodes: three, members: membersAt(gw1, gw2, gw3), want: p("gw1", "gw2", "gw3")},
		"before any has said where it is":           {nodes: three, members: membersAt("", "", ""), want: p("gw1", "gw2", "gw3")},
		"one has joined":                            {nodes: three, members: membersAt(gw1, gw2, gw3, gw4), want: p("gw1", "gw2", "gw3", "gw4")},
		"none are listed":                           {members: membersAt(gw1, gw2, gw3, "nonsense"), want: p("gw1", "gw2", "gw3")},
		"one is drained":                            {nodes: three, members: membersAt(gw1, "-"+gw2, gw3), want: p("gw1", "gw3")},
		"one that joined is drained":                {nodes: three, members: membersAt(gw1, gw2, gw3, "-"+gw4), want: p("gw1", "gw2", "gw3")},
		"all are drained":                           {nodes: three, members: membersAt("-"+gw1, "-"+gw2, "-"+gw3), want: p("gw1", "gw2", "gw3")},
		"one is removed":                            {nodes: three, members: membersAt(gw1, gw2), want: p("gw1", "gw2")},
		"one may be removed":                        {nodes: three, members: membersAt(gw1, ""), want: p("gw1", "gw2", "gw3")},
		"one has another name":                      {nodes: three, members: membersAt(gw1, gw2, "https://10.1.2.3:8443"), want: append(p("gw1", "gw2", "gw3"), "10.1.2.3:3128")},
		"they are named, one is drained":            {nodes: three, named: p("gw1", "gw2", "gw3"), members: membersAt(gw1, "-"+gw2, gw3), want: p("gw1", "gw3")},
		"they are named, one is removed":            {nodes: three, named: p("gw1", "gw2", "gw3"), members: membersAt(gw1, gw2), want: p("gw1", "gw2")},
		"they are named, not all, api.nodes not":    {named: p("gw1"), members: membersAt(gw1, gw2, gw3), want: p("gw1")},
		"they are named, and one has joined":        {nodes: three, named: []string{"p1.site.example:8080"}, members: membersAt(gw1, gw2, gw3, gw4), want: append([]string{"p1.site.example:8080"}, p("gw4")...)},
		"two on a host, one is drained":             {nodes: []string{gw1, "https://gw1.site.example:8444"}, members: membersAt("-"+gw1, "https://gw1.site.example:8444"), want: p("gw1")},
		"a port that is only known later":           {nodes: three, listen: "127.0.0.1:0", members: membersAt(gw1, gw2, gw3), want: nil},
		"the same, and they are named, one drained": {nodes: three, named: p("gw1", "gw2"), listen: "127.0.0.1:0", members: membersAt("-"+gw1, gw2, gw3, gw4), want: p("gw2")},
	} {
		c := configs.Default()
		c.Node, c.API.Nodes = "gw1", x.nodes
		c.Cluster = &configs.Cluster{Peers: []configs.Peer{{Name: "gw1"}, {Name: "gw2"}, {Name: "gw3"}}}
		c.Connect = &configs.Connect{Listen: "0.0.0.0:3128", Nodes: x.named}
		if x.listen != "" {
			c.Connect.Listen = x.listen
		}
		if got := proxyNodes(c, x.members); !slices.Equal(got, x.want) {
			t.Errorf("%s: got %q, want %q", name, got, x.want)
		}
	}
}

func TestThePACFilesOwnNames(t *testing.T) {
	c := configs.Default()
	c.API.URL, c.API.Nodes = "https://gw1.site.example:8443", []string{"https://gw1.site.example:8443", "https://gw2.site.example"}
	c.Relay = &configs.Relay{URL: "https://licenses.site.example"}
	got := ownNames(c, membersAt("", "https://gw3.site.example:8443", "https://gw2.site.example", "nonsense"))
	if want := []string{"gw1.site.example:8443", "gw2.site.example:443", "gw3.site.example:8443", "licenses.site.example:443"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A branch's gateway may leave by head office's, and both be called node1.
func TestNodesOfOneNameAreNotOneHop(t *testing.T) {
	if a, b := hopName("node1"), hopName("node1"); a == b || !strings.HasPrefix(a, "sitegate-node1-") {
		t.Errorf("two nodes are %s and %s on the way", a, b)
	}
}
