package endpoint

import (
	"context"
	"errors"
	"strings"
	"testing"

	"sitegate/api"
)

// The way out is examined by one at a time who may act, which the audit trail has.
func TestTheWayOutIsExaminedByOne(t *testing.T) {
	begun, over := make(chan struct{}), make(chan error)
	r := newAdminRig(t, filled(t), func(c *Config) {
		c.Doctor = func(context.Context) (api.DoctorReport, error) {
			begun <- struct{}{}
			return api.DoctorReport{Node: "n1", Checks: []api.DoctorCheck{{Step: "tcp", State: api.CheckPass, Found: "well"}}}, <-over
		}
		c.Settings = func() []api.NodeSetting { return []api.NodeSetting{{Key: "node", Value: "n1", From: "default"}} }
	})
	operator := r.asAdmin(t, "otto", "desk")
	first := make(chan answer)
	go func() { first <- r.call(t, "", "POST", api.PathDoctor, nil, operator) }()
	<-begun
	if a := r.want(t, 429, "", "POST", api.PathDoctor, nil, operator); a.Header.Get("Retry-After") == "" {
		t.Error("nobody is told when to come back")
	}
	over <- nil
	var report api.DoctorReport
	a := <-first
	if a.into(t, &report); a.StatusCode != 200 || report.Node != "n1" || len(report.Checks) != 1 {
		t.Errorf("found was %d %+v", a.StatusCode, report)
	}
	go func() { <-begun; over <- errors.New("it could not") }()
	r.want(t, 500, "", "POST", api.PathDoctor, nil, operator)
	r.want(t, 403, "", "POST", api.PathDoctor, nil, r.asAdmin(t, "vera", "looks"))
	if log := r.want(t, 200, "", "GET", api.PathSiteAudit, nil, operator); !strings.Contains(string(log.raw), "way-out-examined") {
		t.Errorf("the audit trail has %s", log.raw)
	}
	var l api.List[api.NodeSetting]
	r.want(t, 200, "", "GET", api.PathNodeSettings, nil, operator).into(t, &l)
	if len(l.Items) != 1 || l.Items[0].Value != "n1" {
		t.Errorf("the settings are %+v", l.Items)
	}
	r.want(t, 403, "", "GET", api.PathNodeSettings, nil, r.asAdmin(t, "vera", "looks"))
}
