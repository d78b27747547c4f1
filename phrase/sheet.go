package phrase

import "strings"

// NoFormula keeps a spreadsheet from taking a text for a formula: one that begins like that,
// or as if it had been kept from it, begins with an apostrophe.
func NoFormula(s string) string {
	if s != "" && strings.ContainsRune("=+-@'\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
