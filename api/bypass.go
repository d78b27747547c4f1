package api

import "time"

// PathBypass begins a bypass (POST), or ends the one that lasts (POST …/over).
const PathBypass = "/v1/bypass"

// Bypass is that nothing of what is relayed to the vendor's cloud is withheld, for fifteen
// minutes: as if all of it were only observed. The cloud still decides.
type Bypass struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	By    string    `json:"by,omitempty"`
	Note  string    `json:"note,omitempty"` // why
}
