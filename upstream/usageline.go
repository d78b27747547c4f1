package upstream

import (
	"encoding/json"

	"sitegate/license"
)

// UsageLine is a usage record as it stands in a file that somebody carries to the vendor: the JSON of the site API, and the end of the line. It
// is the same each time.
func UsageLine(u license.Usage) ([]byte, error) {
	b, err := json.Marshal(fromUsage(u))
	return append(b, '\n'), err
}
