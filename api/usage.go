package api

import "time"

// Peak is the most machines that used a product in one ten-minute interval of a day.
// Days and intervals are in GMT; a machine counts once, whoever works on it.
type Peak struct {
	Day      time.Time `json:"day"`
	Product  string    `json:"product"`
	Name     string    `json:"name,omitempty"` // of the product
	Machines int       `json:"machines"`
	At       time.Time `json:"at"`     // when the first interval with so many begins
	Pooled   int       `json:"pooled"` // of what counts against the account's pool: all but Practitioner use
	PooledAt time.Time `json:"pooled_at,omitzero"`
}
