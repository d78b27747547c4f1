package endpoint

import (
	"testing"
	"time"

	"sitegate/api"
)

// Maintenance is told to everybody, seen by who connects later, and taken back.
func TestMaintenanceIsAnnounced(t *testing.T) {
	r, it := operated(t, filled(t))
	d, _, me := r.join(t, "ada", map[string]string{"lang": "de"})
	if me.Maintenance != nil {
		t.Errorf("maintenance %+v is announced", me.Maintenance)
	}
	from := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
	in := api.MaintenanceRequest{From: from, Until: from.Add(2 * time.Hour), By: "ida", Note: "a new version"}
	for _, wrong := range []api.MaintenanceRequest{{From: in.From, Until: in.Until}, {From: in.Until, Until: in.From, By: "ida"}, {From: in.From, By: "ida"},
		{From: in.From, Until: in.Until.AddDate(0, 0, 8), By: "ida"}, {From: in.From.AddDate(1, 0, 0), Until: in.Until.AddDate(1, 0, 0), By: "ida"}} {
		it.want(t, 400, "", "POST", "/v1/maintenance", wrong)
	}
	r.want(t, 403, "ada", "POST", "/v1/maintenance", in) // not at the users' door
	it.want(t, 204, "", "POST", "/v1/maintenance", in)
	n := d.notice()
	want := "Wartung des Lizenz-Gateways von " + from.Format("2006-01-02 15:04")
	if n.Kind != api.KindMaintenance || !n.From.Equal(from) || !n.Until.Equal(in.Until) || n.By != "ida" || n.Text[:len(want)] != want {
		t.Errorf("told %+v; want %q", n, want)
	}
	_, _, me = r.join(t, "ben", nil)
	if m := me.Maintenance; m == nil || !m.From.Equal(from) || m.Note != "a new version" {
		t.Errorf("who comes later sees %+v", m)
	}
	it.want(t, 204, "", "POST", "/v1/maintenance", api.MaintenanceRequest{By: "ida"})
	if n := d.notice(); n.Kind != api.KindMaintenance || n.Reason != "over" || !n.Until.IsZero() {
		t.Errorf("told %+v; want it taken back", n)
	}
	if m := r.poll(t, "eve", "").State.Maintenance; m != nil {
		t.Errorf("maintenance %+v is announced still", m)
	}
}
