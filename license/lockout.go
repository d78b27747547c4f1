package license

import (
	"cmp"
	"slices"
	"strings"
)

// MaxLockouts is how many lockouts a site remembers: more than all nodes together have
// proxies.
const MaxLockouts = 256

// Lockout: a proxy has rejected the secret of a node, which does not send it for a
// while, so that the account behind it is not locked in the site's directory.
type Lockout struct {
	Node  string `cbor:"170,keyasint"`
	Proxy string `cbor:"171,keyasint"`           // as the node's configuration calls it
	Until Time   `cbor:"172,keyasint,omitempty"` // not sent before this, as it was when it began
	Since Time   `cbor:"173,keyasint,omitempty"`
}

// NoteLockout says that a node has stopped sending its secret to a proxy, and until
// when; with Until zero, that the proxy takes one again, or is not used any more. Each
// node says it of itself.
type NoteLockout struct {
	Node  string `cbor:"170,keyasint"`
	Proxy string `cbor:"171,keyasint"`
	Until Time   `cbor:"172,keyasint,omitempty"`
}

// SecretStopped: the administrators are told that a lockout has begun.
type SecretStopped struct {
	Lockout Lockout  `cbor:"170,keyasint"`
	To      []UserID `cbor:"171,keyasint,omitempty"` // the administrators, as they were then
}

// SecretResumed: it is over.
type SecretResumed struct {
	Lockout Lockout  `cbor:"170,keyasint"`
	To      []UserID `cbor:"171,keyasint,omitempty"` // the administrators, as they were then
}

func (SecretStopped) fact() {}
func (SecretResumed) fact() {}

// LockoutsOf are those of one node, in the order of their proxies. They are nobody's to
// change.
func LockoutsOf(s *State, node string) []Lockout {
	var list []Lockout
	for _, l := range s.head.Lockouts {
		if strings.EqualFold(l.Node, node) {
			list = append(list, l)
		}
	}
	return list
}

func (c NoteLockout) decide(s *State, _ Time) *Denial {
	if !validNode(c.Node, c.Proxy) || c.Until != 0 && len(s.head.Lockouts) >= MaxLockouts {
		return deny(BadCommand)
	}
	if n := s.Node(c.Node); n != nil && n.Removed != 0 {
		return &Denial{Reason: NodeGone, Node: n.Name, Since: n.Removed, Who: n.By, Note: n.Note}
	}
	return nil
}

func (c NoteLockout) do(s *State, at Time) Outcome {
	l := Lockout{Node: c.Node, Proxy: c.Proxy, Until: c.Until, Since: at}
	i, there := slices.BinarySearchFunc(s.head.Lockouts, l, func(a, b Lockout) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a.Node), strings.ToLower(b.Node)), cmp.Compare(a.Proxy, b.Proxy))
	})
	if there == (c.Until != 0) {
		return Outcome{Repeat: true}
	}
	list := slices.Clone(s.head.Lockouts) // readers may still have the old one
	if there {
		l = list[i]
		s.setLockouts(slices.Delete(list, i, i+1))
		s.emit(SecretResumed{Lockout: l, To: s.told(administrators)})
		return Outcome{}
	}
	s.setLockouts(slices.Insert(list, i, l))
	s.emit(SecretStopped{Lockout: l, To: s.told(administrators)})
	return Outcome{}
}

func (s *State) setLockouts(list []Lockout) {
	if len(list) == 0 {
		list = nil
	}
	s.head.Lockouts = list
}

// forgetLockouts is for a node that is gone: nobody else would lift them.
func (s *State) forgetLockouts(node string) {
	s.setLockouts(slices.DeleteFunc(slices.Clone(s.head.Lockouts), func(l Lockout) bool { return strings.EqualFold(l.Node, node) }))
}
