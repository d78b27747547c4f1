package doctor

import (
	"strings"
	"time"

	"sitegate/api"
)

// replaced is about the site's CA, which was replaced: it takes nodes and clients along.
func replaced(r api.Replacement) Check {
	until := r.Until.UTC().Format(time.DateOnly)
	c := Check{Step: "node", Of: "site CA", State: Warn, Found: "It was replaced. Clients that trust the old one only are served until " + until + ".",
		Action: "Bring them the new one, /ca.pem of any node, by then; its fingerprint is " + r.Fingerprint + "."}
	switch {
	case len(r.Left) > 0:
		c.State, c.Found = Fail, "It was replaced, and these nodes have no certificate by the new one: "+strings.Join(r.Left, ", ")+"."
		c.Action = "Remove them (sitegate cluster remove), and have them join again by a token."
	case r.Over.IsZero() && len(r.Waiting) > 0:
		c.Found = "It is being replaced, and these nodes have no certificate by the new one yet: " + strings.Join(r.Waiting, ", ") + "."
		c.Action = "See to it that they run before " + until + "; later they have to join anew."
	}
	return c
}
