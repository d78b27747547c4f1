package endpoint

import (
	"testing"

	"sitegate/api"
)

func TestStatusTellsTheDisk(t *testing.T) {
	_, it := operated(t, filled(t))
	var s api.Status
	it.want(t, 200, "", "GET", "/v1/status", nil).into(t, &s)
	if s.Disk == nil || *s.Disk != (api.DiskStatus{State: api.DiskWarn, Free: 6 << 30, Total: 100 << 30}) {
		t.Errorf("got %+v, want what the node says of its disk", s.Disk)
	}
}

func TestStatusTellsThePortalsPage(t *testing.T) {
	const page = "https://portal.example.com/licenses"
	r := newRig(t, filled(t), func(c *Config) { c.Portal = page })
	var s api.Status
	if r.look(t, 200, "/v1/status", &s); s.Cloud.Portal != page {
		t.Errorf("got %+v, want the portal's page", s.Cloud)
	}
}
