package cloudapi

import (
	"bytes"
	"encoding/csv"
	"strings"
)

// usageFileRead is how much of a file of usage is read for what it is of.
const usageFileRead = 1 << 20

// UsedBy is whose use of what a file of usage is of, and on which machine.
type UsedBy struct {
	IMSID     string
	Host      string
	ProductID ProductID
	Source    string // one of the Source… constants
}

// ReadUsageFile returns whose use a file of the vendor's clients is of, each once and most at
// most, from its first rows. What is no such file has none.
func ReadUsageFile(body []byte, most int) (list []UsedBy) {
	const columns, product, user, machine, source = 21, 2, 5, 6, 15
	if len(body) > usageFileRead {
		body = body[:usageFileRead]
	}
	r := csv.NewReader(bytes.NewReader(body))
	r.FieldsPerRecord, r.ReuseRecord = columns, true
	seen := map[UsedBy]bool{}
	for len(list) < most {
		row, err := r.Read()
		if err != nil {
			break // its end, or the end of what can be read
		}
		u := UsedBy{strings.Clone(row[user]), strings.Clone(row[machine]), ProductID(strings.Clone(digits(row[product]))), strings.Clone(row[source])}
		if row[product] == "ProductId" || seen[u] {
			continue
		}
		seen[u] = true
		list = append(list, u)
	}
	return list
}
