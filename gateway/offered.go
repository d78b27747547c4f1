package gateway

import "errors"

// isNotOffered reports whether a cloud has answered that it has no such thing for a
// site. Every capability of a cloud is optional; such an error has a method NotOffered.
func isNotOffered(err error) bool {
	var n interface{ NotOffered() bool }
	return errors.As(err, &n) && n.NotOffered()
}
