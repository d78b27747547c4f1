package api

// Ready answers /healthz and /readyz. Missing says what a node that is not ready
// lacks.
type Ready struct {
	Ready   bool     `json:"ready"`
	Missing []string `json:"missing,omitempty"`
}

// What a node can lack.
const (
	MissingState  = "state"  // it has no site yet
	MissingLeader = "leader" // it knows no leader
	MissingMirror = "mirror" // the licenses have not been read once
	MissingStay   = "stay"   // it is going, and sends its clients elsewhere
)
