package api

import "time"

// MaintenanceRequest is the body of POST /v1/maintenance: when people are to expect
// work on the gateway. Without From and Until what was announced is taken back.
type MaintenanceRequest struct {
	From  time.Time `json:"from,omitzero"`
	Until time.Time `json:"until,omitzero"`
	By    string    `json:"by,omitempty"`
	Note  string    `json:"note,omitempty"` // people are shown it
}

// Maintenance is work on the gateway that is announced.
type Maintenance struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	By    string    `json:"by"`
	Note  string    `json:"note,omitempty"`
}
