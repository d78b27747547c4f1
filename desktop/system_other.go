//go:build !windows

package desktop

// examine has nothing to add: the vendor's client runs on Windows alone.
func (s *System) examine() {}
