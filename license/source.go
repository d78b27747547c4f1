package license

// Source is where a record of the mirror is from. What a better source says replaces
// what a worse one has said, and never the other way round: the feed before files.
type Source uint8

// The sources. The zero value is the best.
const (
	FromFeed Source = iota // the cloud's change feed
	FromFile               // a CSV export of the vendor's portal, imported by an operator
)

// String is the word that the API has for it.
func (f Source) String() string {
	if f == FromFile {
		return "file"
	}
	return "feed"
}
