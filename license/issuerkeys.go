package license

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"slices"
	"strings"
)

// An issuer whose keys are all others at once is more likely somebody in its place than
// an issuer: keys come and go one by one. A node does not go by such a set until the site
// knows one of its keys: because another node goes by it, or because an administrator has
// accepted the set. The log has thumbprints only: each node has the keys from the issuer.

// The bounds of what is remembered of issuers' keys.
const (
	MaxIssuerKeys = 64 // of a set
	MaxKeyViews   = 64 // issuers times nodes
)

// KeyView is how one node sees the keys of an issuer of sign-ins: their thumbprints (RFC
// 7638, SHA-256), each once and in order.
type KeyView struct {
	Issuer string   `cbor:"360,keyasint"`
	Node   string   `cbor:"361,keyasint"`
	Taken  []Digest `cbor:"362,keyasint,omitempty"` // that the node goes by
	// Held are those that the issuer lists instead, none of which the site knows; none: it
	// lists what it should. Since is when the node first said so.
	Held  []Digest `cbor:"363,keyasint,omitempty"`
	Since Time     `cbor:"364,keyasint,omitempty"`
}

// AcceptedKeys are a set that an administrator has accepted, until a node goes by it.
type AcceptedKeys struct {
	Issuer string   `cbor:"360,keyasint"`
	Keys   []Digest `cbor:"362,keyasint"`
	At     Time     `cbor:"364,keyasint,omitempty"`
	By     string   `cbor:"365,keyasint,omitempty"`
}

// NoteKeys says how a node sees an issuer's keys now; without any, that it asks the issuer
// no more. Each node says it of itself.
type NoteKeys struct {
	Issuer string   `cbor:"360,keyasint"`
	Node   string   `cbor:"361,keyasint"`
	Taken  []Digest `cbor:"362,keyasint,omitempty"`
	Held   []Digest `cbor:"363,keyasint,omitempty"`
}

// AcceptKeys has all nodes take the set of keys that is held back. What they went by is known
// no more, unless one says that it goes by it still.
type AcceptKeys struct {
	Issuer string `cbor:"360,keyasint"`
	Set    Digest `cbor:"366,keyasint"` // SetDigest of what was shown to who accepts it
	By     string `cbor:"365,keyasint,omitempty"`
	Note   string `cbor:"367,keyasint,omitempty"`
}

// KeysHeld: an issuer lists keys that the site does not know, and none that it does.
type KeysHeld struct {
	Issuer string   `cbor:"360,keyasint"`
	Node   string   `cbor:"361,keyasint"` // that has seen it first
	Held   []Digest `cbor:"363,keyasint"`
	To     []UserID `cbor:"368,keyasint,omitempty"` // the administrators, as they were then
}

// KeysAccepted: an administrator has accepted them.
type KeysAccepted struct {
	Issuer string   `cbor:"360,keyasint"`
	Known  []Digest `cbor:"362,keyasint,omitempty"` // what the site went by
	Keys   []Digest `cbor:"363,keyasint"`
	By     string   `cbor:"365,keyasint,omitempty"`
	Note   string   `cbor:"367,keyasint,omitempty"`
}

// KeysResumed: no node holds back keys of the issuer any more.
type KeysResumed struct {
	Issuer string   `cbor:"360,keyasint"`
	To     []UserID `cbor:"368,keyasint,omitempty"` // the administrators, as they were then
}

func (KeysHeld) fact()     {}
func (KeysAccepted) fact() {}
func (KeysResumed) fact()  {}

// SetDigest names a set of keys by their thumbprints, which are in order.
func SetDigest(keys []Digest) Digest {
	h := sha256.New()
	for _, k := range keys {
		h.Write(k[:])
	}
	return Digest(h.Sum(nil))
}

// SortKeys puts thumbprints in order, each once.
func SortKeys(keys []Digest) []Digest {
	slices.SortFunc(keys, compareDigests)
	return slices.Compact(keys)
}

func compareDigests(a, b Digest) int { return bytes.Compare(a[:], b[:]) }

// KnownKeys are those of an issuer that a node goes by, or that were accepted, in order.
func KnownKeys(s *State, issuer string) []Digest {
	var known []Digest
	for i := range s.head.KeyViews {
		if v := &s.head.KeyViews[i]; v.Issuer == issuer {
			known = append(known, v.Taken...)
		}
	}
	for _, a := range s.head.KeysAccepted {
		if a.Issuer == issuer {
			known = append(known, a.Keys...)
		}
	}
	return SortKeys(known)
}

// KeyViewsOf are those of one node, in the order of issuers. They are nobody's to change.
func KeyViewsOf(s *State, node string) []KeyView {
	var list []KeyView
	for _, v := range s.head.KeyViews {
		if strings.EqualFold(v.Node, node) {
			list = append(list, v)
		}
	}
	return list
}

// holders counts the nodes that hold back keys of an issuer, and those that hold back this
// very set.
func (s *State) holders(issuer string, set []Digest) (any, same int) {
	for i := range s.head.KeyViews {
		v := &s.head.KeyViews[i]
		if v.Issuer != issuer || len(v.Held) == 0 {
			continue
		}
		any++
		if slices.Equal(v.Held, set) {
			same++
		}
	}
	return any, same
}

// validKeys reports whether thumbprints are in order, each once, and not too many.
func validKeys(keys []Digest) bool {
	return len(keys) <= MaxIssuerKeys && slices.IsSortedFunc(keys, compareDigests) && len(slices.Compact(slices.Clone(keys))) == len(keys)
}

func compareViews(a, b KeyView) int {
	return cmp.Or(cmp.Compare(a.Issuer, b.Issuer), cmp.Compare(strings.ToLower(a.Node), strings.ToLower(b.Node)))
}

func (c NoteKeys) decide(s *State, _ Time) *Denial {
	if !validNode(c.Node, c.Issuer) || !validKeys(c.Taken) || !validKeys(c.Held) {
		return deny(BadCommand)
	}
	if n := s.Node(c.Node); n != nil && n.Removed != 0 {
		return &Denial{Reason: NodeGone, Node: n.Name, Since: n.Removed, Who: n.By, Note: n.Note}
	}
	if s.knowsMembers() && s.Node(c.Node) == nil {
		return deny(BadCommand)
	}
	_, there := slices.BinarySearchFunc(s.head.KeyViews, KeyView{Issuer: c.Issuer, Node: c.Node}, compareViews)
	if !there && len(s.head.KeyViews) >= MaxKeyViews {
		return deny(BadCommand)
	}
	return nil
}

func (c NoteKeys) do(s *State, at Time) Outcome {
	v := KeyView{Issuer: c.Issuer, Node: c.Node, Taken: c.Taken, Held: c.Held}
	i, there := slices.BinarySearchFunc(s.head.KeyViews, v, compareViews)
	gone := len(c.Taken)+len(c.Held) == 0
	if gone && !there {
		return Outcome{Repeat: true}
	}
	var was KeyView
	list := slices.Clone(s.head.KeyViews) // readers may still have the old one
	if there {
		was = list[i]
	}
	if there && slices.Equal(was.Taken, c.Taken) && slices.Equal(was.Held, c.Held) {
		return Outcome{Repeat: true}
	}
	_, before := s.holders(c.Issuer, c.Held)
	if len(c.Held) > 0 {
		v.Since = at
		if slices.Equal(was.Held, c.Held) {
			v.Since = was.Since
		}
	}
	switch {
	case gone:
		list = slices.Delete(list, i, i+1)
	case there:
		v.Node = was.Node
		list[i] = v
	default:
		list = slices.Insert(list, i, v)
	}
	s.setKeyViews(list)
	left, _ := s.holders(c.Issuer, nil)
	s.takenUp(v, left == 0)
	switch {
	case len(v.Held) > 0 && before == 0:
		s.emit(KeysHeld{Issuer: v.Issuer, Node: v.Node, Held: v.Held, To: s.told(administrators)})
	case len(was.Held) > 0 && left == 0:
		s.emit(KeysResumed{Issuer: v.Issuer, To: s.told(administrators)})
	}
	return Outcome{}
}

// takenUp forgets what was accepted once a node goes by it: the others know it from there.
// It is over, too, when the issuer lists what it did before, and nothing is held back.
func (s *State) takenUp(v KeyView, over bool) {
	s.setKeysAccepted(slices.DeleteFunc(slices.Clone(s.head.KeysAccepted), func(a AcceptedKeys) bool {
		return a.Issuer == v.Issuer && (over || slices.ContainsFunc(a.Keys, func(k Digest) bool { return slices.Contains(v.Taken, k) }))
	}))
}

func (s *State) setKeyViews(list []KeyView) {
	if len(list) == 0 {
		list = nil
	}
	s.head.KeyViews = list
}

func (s *State) setKeysAccepted(list []AcceptedKeys) {
	if len(list) == 0 {
		list = nil
	}
	s.head.KeysAccepted = list
}

// forgetKeyViews is for a node that is gone: it is as if it asked no issuer any more.
func (s *State) forgetKeyViews(node string) {
	gone := KeyViewsOf(s, node)
	s.setKeyViews(slices.DeleteFunc(slices.Clone(s.head.KeyViews), func(v KeyView) bool { return strings.EqualFold(v.Node, node) }))
	for _, was := range gone {
		left, _ := s.holders(was.Issuer, nil)
		s.takenUp(KeyView{Issuer: was.Issuer}, left == 0)
		if len(was.Held) > 0 && left == 0 {
			s.emit(KeysResumed{Issuer: was.Issuer, To: s.told(administrators)})
		}
	}
}

// unsayTaken forgets which keys of an issuer nodes go by. Those that are there say it again;
// what one that is down has said last would keep keys known that may be why there are others.
func (s *State) unsayTaken(issuer string) {
	var list []KeyView
	for _, v := range s.head.KeyViews {
		if v.Issuer == issuer {
			v.Taken = nil
		}
		if len(v.Taken)+len(v.Held) > 0 {
			list = append(list, v)
		}
	}
	s.setKeyViews(list)
}

// heldSet is the set that a digest names, of those that nodes hold back; nil: none is.
func (s *State) heldSet(issuer string, set Digest) []Digest {
	for i := range s.head.KeyViews {
		if v := &s.head.KeyViews[i]; v.Issuer == issuer && len(v.Held) > 0 && SetDigest(v.Held) == set {
			return v.Held
		}
	}
	return nil
}

func (c AcceptKeys) decide(s *State, _ Time) *Denial {
	switch {
	case c.By == "" || !validName(c.By) || !validName(c.Note) || !validNode(c.Issuer):
		return deny(BadCommand)
	case s.heldSet(c.Issuer, c.Set) == nil:
		return deny(KeysNotHeld)
	}
	return nil
}

func (c AcceptKeys) do(s *State, at Time) Outcome {
	a := AcceptedKeys{Issuer: c.Issuer, Keys: s.heldSet(c.Issuer, c.Set), At: at, By: c.By}
	list := slices.Clone(s.head.KeysAccepted)
	i, there := slices.BinarySearchFunc(list, a, func(a, b AcceptedKeys) int { return cmp.Compare(a.Issuer, b.Issuer) })
	if there && slices.Equal(list[i].Keys, a.Keys) {
		return Outcome{Repeat: true}
	}
	known := KnownKeys(s, c.Issuer)
	if there {
		list[i] = a
	} else {
		list = slices.Insert(list, i, a)
	}
	s.setKeysAccepted(list)
	s.unsayTaken(c.Issuer)
	s.emit(KeysAccepted{Issuer: c.Issuer, Known: known, Keys: a.Keys, By: c.By, Note: c.Note})
	// Whoever has signed in by the old keys does so anew: somebody else may have had them.
	s.endCredentials(c.By, func(x Credential) bool { return x.Kind == SignedIn })
	return Outcome{}
}
