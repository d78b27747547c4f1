package desktop

import (
	"slices"
	"strconv"
	"strings"
)

// namesMachines is the first client that shows which machine is in the way (R7).
const namesMachines = "23.0.1.25"

// Message is what the user gets to see of the license: for a refusal the vendor's own
// sentence, if this client is new enough to show it.
func (a *Application) Message() string {
	p := a.Policy()
	switch a.Status() {
	case AccessDenied:
		q, _ := p.qualifier(a.want, "MachineLimitExceeded")
		if strings.EqualFold(q.Value, "true") && q.Prompt != "" && !older(a.c.cfg.Version, namesMachines) {
			return q.Prompt
		}
		return "Access Denied"
	case DisabledByPolicy:
		if q, _ := p.qualifier(a.want, "AllowOfflineUsage"); q.Prompt != "" {
			return q.Prompt
		}
		return "Sign in Required"
	case NotEntitled:
		return "No Entitlement"
	case Expired:
		return "License Expired"
	case Offline:
		return "Offline"
	}
	q, _ := p.qualifier(a.want, "UsageType")
	return "License Type: " + q.Value
}

// older compares versions of four parts.
func older(version, than string) bool {
	parts := func(v string) (list []int) {
		for part := range strings.SplitSeq(v, ".") {
			n, _ := strconv.Atoi(part)
			list = append(list, n)
		}
		return list
	}
	return slices.Compare(parts(version), parts(than)) < 0
}
