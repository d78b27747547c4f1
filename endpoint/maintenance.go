package endpoint

import (
	"time"

	"sitegate/api"
	"sitegate/license"
)

// maintain is POST /v1/maintenance on the operator's socket.
func (e *Endpoint) maintain(c *call, in api.MaintenanceRequest) (reply, error) {
	if err := c.said(&in.By, in.Note); err != nil {
		return reply{}, err
	}
	m := license.Maintenance{By: in.By, Note: in.Note}
	if !in.From.IsZero() || !in.Until.IsZero() {
		m.From, m.Until = license.TimeOf(in.From), license.TimeOf(in.Until)
		if now := e.gw.Now(); m.Until <= m.From || m.Until <= now || m.Until.Sub(m.From) > license.MaxMaintenance || m.From > now.Add(license.MaxNotice) {
			return reply{}, malformed("from is before until, which is to come; they are at most a week apart, and from at most 90 days away")
		}
	}
	_, err := decided(e.gw.Maintain(c.ctx, license.Maintain{Maintenance: m}))
	act := "announce"
	if m.Until == 0 {
		act = "take back"
	}
	return e.acted(c, err, act, "maintenance", in.From.UTC().Format(time.RFC3339), in.By)
}
