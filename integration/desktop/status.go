package desktop

import "fmt"

// Status is what the client makes of a product's license, and what its user sees.
type Status int

// The statuses, by the client's own numbers (LicenseStatus.h).
const (
	Error            Status = -1
	Ok               Status = 101
	Offline          Status = 102 // works on by a policy that is kept, for some days
	Expired          Status = 105
	AccessDenied     Status = 106 // the policy says no
	DisabledByPolicy Status = 108 // no use without sign-in, or a policy that is not valid
	Trial            Status = 109
	NotEntitled      Status = 110 // there is no policy
)

// Runs reports whether the product runs.
func (s Status) Runs() bool { return s == Ok || s == Offline || s == Trial }

func (s Status) String() string {
	name, known := map[Status]string{Error: "Error", Ok: "Ok", Offline: "Offline", Expired: "Expired", AccessDenied: "AccessDenied",
		DisabledByPolicy: "DisabledByPolicy", Trial: "Trial", NotEntitled: "NotEntitled"}[s]
	if !known {
		return fmt.Sprintf("Status(%d)", int(s))
	}
	return name
}
