package siteca

import "time"

// IssueAs issues a node certificate that names another cluster, as a CA whose key
// has leaked would.
func IssueAs(ca *CA, cluster, node string, now time.Time) (cert, key []byte, err error) {
	other := *ca
	other.cluster = cluster
	return other.Issue(node, nil, true, now)
}
