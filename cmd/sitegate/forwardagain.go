package main

import (
	"context"
	"reflect"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/endpoint"
	"sitegate/upstream/egress"
)

// forwarding is the forward proxy of a node, and what it takes to have it go by a configuration
// that was read anew.
type forwarding struct {
	running configs.Config // what the node has begun with
	peer    string
	out     *egress.Dialer
	members func() []api.ClusterMember
	tunnel  *endpoint.Tunnel

	pac  *configs.PAC // in use, and
	site func(context.Context) (string, error)
}

// again has the forward proxy go by the section connect of a configuration, from when it is
// taken; a section that has come or gone waits for a restart, as listen does, and as what the
// other sections say.
func (f *forwarding) again(c configs.Config) (take func(), err error) {
	if c.Connect == nil {
		return func() {}, nil
	}
	next, cn := f.running, *c.Connect
	cn.Listen = f.running.Connect.Listen
	next.Connect = &cn
	t := forwardProxy(next, f.peer, f.out, f.members)
	if f.site != nil && reflect.DeepEqual(cn.PAC, f.pac) {
		t.PAC.Site = f.site // with what it knows of the file
	}
	taken, err := f.tunnel.Again(t)
	if err != nil {
		return nil, err
	}
	return func() {
		taken()
		f.pac, f.site = cn.PAC, t.PAC.Site
	}, nil
}
