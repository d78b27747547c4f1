package api

import (
	"net/url"
	"strings"
)

// InQuery stands in a path for an id that the query has.
const InQuery = "-"

// Of is the path of what goes by an id below another path, or of what can be done about it:
// Of(PathUsers, "u-1", "/block"). An id that no segment of a path can be, as one with a slash
// in it, which proxies take for two, is put into the query.
func Of(path, id, act string) string {
	if id == InQuery || id == "." || id == ".." || strings.Contains(id, "/") {
		return path + "/" + InQuery + act + "?" + url.Values{"id": {id}}.Encode()
	}
	return path + "/" + url.PathEscape(id) + act
}
