package license

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The bounds of what a site remembers of its nodes.
const (
	// MaxNodes is how many names of nodes there may be, those that were removed
	// among them: a certificate of theirs may be good for years.
	MaxNodes = 256
	// MaxTokens is how many join tokens may be open at once.
	MaxTokens = 16
	// MaxTokenLife is how long a join token may be good for.
	MaxTokenLife = 7 * 24 * time.Hour
	// keptTokens is how many are remembered in all, so that one which is shown again
	// is told what became of it.
	keptTokens = 64
)

// Digest is the SHA-256 of what is not to be kept itself.
type Digest [32]byte

// MarshalText writes it in hexadecimal.
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText reads what MarshalText writes.
func (d *Digest) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil {
		return fmt.Errorf("a digest is in hexadecimal: %w", err)
	}
	return d.UnmarshalBinary(b)
}

// MarshalBinary writes its bytes.
func (d Digest) MarshalBinary() ([]byte, error) { return d[:], nil }

// UnmarshalBinary reads its bytes.
func (d *Digest) UnmarshalBinary(b []byte) error {
	if len(b) != len(d) {
		return fmt.Errorf("a digest has %d bytes, not %d", len(d), len(b))
	}
	copy(d[:], b)
	return nil
}

// Node is what a site remembers of a machine that carries it: which data folder
// goes by the name. It outlives the node's removal, so that nobody else's folder
// and no old certificate goes by it again.
type Node struct {
	Name string `cbor:"1,keyasint"`
	// Instance is the data folder's own id. A folder that was emptied has another,
	// and has forgotten what it voted for.
	Instance string `cbor:"2,keyasint,omitempty"`
	// Generation counts the machines that were let in under this name: it is in
	// their certificates. Zero was there when the cluster was made.
	Generation uint64 `cbor:"3,keyasint,omitempty"`
	Since      Time   `cbor:"4,keyasint,omitempty"`
	Removed    Time   `cbor:"5,keyasint,omitempty"` // zero: it has not been
	By         string `cbor:"6,keyasint,omitempty"` // who removed it
	Note       string `cbor:"7,keyasint,omitempty"` // why
	// Key is the digest of the public key in its certificates; zero: it is not known.
	Key Digest `cbor:"320,keyasint,omitzero"`
}

// JoinToken lets one machine into the cluster, once. Only the digest of its
// secret is known.
type JoinToken struct {
	Secret Digest `cbor:"1,keyasint"`
	By     string `cbor:"2,keyasint,omitempty"`
	Since  Time   `cbor:"3,keyasint,omitempty"`
	Until  Time   `cbor:"4,keyasint,omitempty"`
	// Node, Instance and Key are of the machine that has used it up, and Used when.
	Node     string `cbor:"5,keyasint,omitempty"`
	Instance string `cbor:"6,keyasint,omitempty"`
	Key      Digest `cbor:"7,keyasint,omitzero"`
	Used     Time   `cbor:"8,keyasint,omitempty"`
}

// IssueToken makes a join token.
type IssueToken struct {
	Secret   Digest `cbor:"1,keyasint"`
	By       string `cbor:"2,keyasint,omitempty"` // who
	Until    Time   `cbor:"3,keyasint,omitempty"`
	NotAfter Time   `cbor:"4,keyasint,omitempty"`
}

// TokenIssued: a machine may join with this token.
type TokenIssued struct {
	Token JoinToken `cbor:"1,keyasint"`
}

// Join uses up a token for a machine: its name, its data folder, the digest of its
// public key. The same machine may repeat it, since the answer can be lost.
type Join struct {
	Secret   Digest `cbor:"1,keyasint"`
	Node     string `cbor:"2,keyasint"`
	Instance string `cbor:"3,keyasint,omitempty"`
	Key      Digest `cbor:"4,keyasint"`
}

// Joined: a machine may go by this name now, in this generation.
type Joined struct {
	Node  Node      `cbor:"1,keyasint"`
	Token JoinToken `cbor:"2,keyasint"` // that it has used up
}

// Enroll notes which data folder a node has that was there from the beginning, and the
// key of any that has none on record, or another one. Once somebody outside may have
// the CA's key it is only noted where none is known.
type Enroll struct {
	Node       string `cbor:"1,keyasint"`
	Instance   string `cbor:"2,keyasint,omitempty"`
	Generation uint64 `cbor:"3,keyasint,omitempty"`  // of its certificate
	Key        Digest `cbor:"320,keyasint,omitzero"` // see Node
}

// Enrolled: from now on this data folder alone goes by the name.
type Enrolled struct {
	Node Node `cbor:"1,keyasint"`
}

// RemoveNode takes a node out for good: its data folder and its certificates are
// refused from then on, and join tokens that are open are void. Where it held the key of
// the site's CA it could make itself other certificates: from then on no key counts that is
// not on record.
type RemoveNode struct {
	Node string `cbor:"1,keyasint"`
	By   string `cbor:"2,keyasint,omitempty"` // who
	Note string `cbor:"3,keyasint,omitempty"` // why
	// Signer: it held the key of the site's CA, as nodes that vote do.
	Signer bool `cbor:"320,keyasint,omitempty"`
}

// NodeRemoved: this data folder, and every certificate of this generation, is
// refused.
type NodeRemoved struct {
	Node Node `cbor:"1,keyasint"`
}

// Node is what is remembered of a name, whatever the case of its letters, or nil.
func (s *State) Node(name string) *Node { return s.nodes[strings.ToLower(name)] }

// Nodes lists what is remembered of nodes, in order of their names.
func Nodes(s *State) []Node {
	nodes := make([]Node, 0, len(s.nodes))
	for _, key := range slices.Sorted(maps.Keys(s.nodes)) {
		nodes = append(nodes, *s.nodes[key])
	}
	return nodes
}

// knowsMembers reports whether all members are on record: those that were there from the
// beginning are put there together. A lone one is not, though it may be letting others in.
func (s *State) knowsMembers() bool {
	for _, n := range s.nodes {
		if n.Removed == 0 && n.Generation == 0 && n.Instance != "" {
			return true
		}
	}
	return false
}

// Tokens lists the join tokens that are remembered, oldest first.
func Tokens(s *State) []JoinToken {
	return slices.SortedFunc(maps.Values(s.tokens), func(a, b JoinToken) int {
		return cmp.Or(cmp.Compare(a.Since, b.Since), slices.Compare(a.Secret[:], b.Secret[:]))
	})
}

// open reports whether the token still lets somebody in.
func (t *JoinToken) open(at Time) bool { return t.Used == 0 && at < t.Until }

func (s *State) setNode(n Node) {
	key := strings.ToLower(n.Name)
	s.nodes[key] = &n
	s.touch(Key{KeyNode, key})
}

func (s *State) setToken(t JoinToken) {
	s.tokens[t.Secret] = t
	s.touch(Key{KeyToken, string(t.Secret[:])})
}

// roomForToken makes place for one more: the oldest of those that are over goes.
func (s *State) roomForToken(at Time) {
	for _, t := range Tokens(s) {
		if len(s.tokens) < keptTokens {
			return
		}
		if !t.open(at) {
			delete(s.tokens, t.Secret)
			s.touch(Key{KeyToken, string(t.Secret[:])})
		}
	}
}

// voidTokens ends the join tokens that are open.
func (s *State) voidTokens(at Time) {
	for _, t := range Tokens(s) {
		if t.open(at) {
			t.Until = at
			s.setToken(t)
		}
	}
}

func (c IssueToken) decide(s *State, at Time) *Denial {
	switch {
	case c.Secret == Digest{} || c.By == "" || !validName(c.By) || c.Until <= at || c.Until > at.Add(MaxTokenLife):
		return deny(BadCommand)
	case c.NotAfter != 0 && at > c.NotAfter:
		return deny(TooLate)
	}
	if t, there := s.tokens[c.Secret]; there {
		if t.open(at) {
			return nil
		}
		return deny(IDInUse)
	}
	open := 0
	for _, t := range s.tokens {
		if t.open(at) {
			open++
		}
	}
	if open >= MaxTokens {
		return deny(TooManyTokens)
	}
	return nil
}

func (c IssueToken) do(s *State, at Time) Outcome {
	if _, there := s.tokens[c.Secret]; there {
		return Outcome{Repeat: true}
	}
	s.roomForToken(at)
	t := JoinToken{Secret: c.Secret, By: c.By, Since: at, Until: c.Until}
	s.setToken(t)
	s.emit(TokenIssued{Token: t})
	return Outcome{}
}

func validNode(names ...string) bool {
	for _, n := range names {
		if n == "" || !validName(n) {
			return false
		}
	}
	return true
}

func (c Join) decide(s *State, at Time) *Denial {
	if c.Secret == (Digest{}) || c.Key == (Digest{}) || !validNode(c.Node, c.Instance) {
		return deny(BadCommand)
	}
	t, there := s.tokens[c.Secret]
	known := s.Node(c.Node)
	switch {
	case !there:
		return deny(UnknownToken)
	case t.Used != 0 && c.again(t) && known != nil && known.Removed == 0 && known.Instance == c.Instance:
		return nil
	case t.Used != 0:
		return &Denial{Reason: TokenUsed, Node: t.Node, Since: t.Used}
	case at >= t.Until:
		return &Denial{Reason: TokenExpired, Until: t.Until}
	case known != nil && known.Removed == 0:
		return &Denial{Reason: NodeKnown, Node: known.Name, Since: known.Since}
	case known == nil && len(s.nodes) >= MaxNodes:
		return deny(TooManyNodes)
	}
	return nil
}

// again: it was this very machine that used the token up.
func (c Join) again(t JoinToken) bool {
	return t.Node == c.Node && t.Instance == c.Instance && t.Key == c.Key
}

func (c Join) do(s *State, at Time) Outcome {
	t := s.tokens[c.Secret]
	if t.Used != 0 {
		n := *s.Node(c.Node)
		return Outcome{Repeat: true, Node: &n}
	}
	n := Node{Name: c.Node, Instance: c.Instance, Generation: 1, Since: at, Key: c.Key}
	if old := s.Node(c.Node); old != nil {
		n.Generation = old.Generation + 1
	}
	t.Node, t.Instance, t.Key, t.Used = c.Node, c.Instance, c.Key, at
	s.setToken(t)
	s.setNode(n)
	s.emit(Joined{Node: n, Token: t})
	return Outcome{Node: &n}
}

func (c Enroll) decide(s *State, _ Time) *Denial {
	if !validNode(c.Node, c.Instance) {
		return deny(BadCommand)
	}
	known := s.Node(c.Node)
	switch {
	case known == nil && len(s.nodes) >= MaxNodes:
		return deny(TooManyNodes)
	case known == nil:
		return nil
	case known.Removed != 0:
		return &Denial{Reason: NodeGone, Node: known.Name, Since: known.Removed, Who: known.By, Note: known.Note}
	case known.Name != c.Node || known.Instance != c.Instance:
		return &Denial{Reason: NodeKnown, Node: known.Name, Since: known.Since}
	case s.head.CAOut != 0 && c.otherKey(known) && known.Key != Digest{}:
		return &Denial{Reason: NodeKnown, Node: known.Name, Since: known.Since}
	}
	return nil
}

// otherKey: it says a key that is not the one on record.
func (c Enroll) otherKey(known *Node) bool { return c.Key != Digest{} && c.Key != known.Key }

func (c Enroll) do(s *State, at Time) Outcome {
	n := Node{Name: c.Node, Instance: c.Instance, Generation: c.Generation, Since: at, Key: c.Key}
	if known := s.Node(c.Node); known != nil {
		if !c.otherKey(known) {
			return Outcome{Repeat: true}
		}
		n = *known
		n.Key = c.Key
	}
	s.setNode(n)
	s.emit(Enrolled{Node: n})
	return Outcome{}
}

func (c RemoveNode) decide(s *State, _ Time) *Denial {
	switch {
	case !validNode(c.Node, c.By) || !validName(c.Note):
		return deny(BadCommand)
	case s.Node(c.Node) == nil && len(s.nodes) >= MaxNodes:
		return deny(TooManyNodes)
	}
	return nil
}

// do remembers even a name that was never heard of: its certificate may be out.
func (c RemoveNode) do(s *State, at Time) Outcome {
	n := Node{Name: c.Node, Since: at}
	if known := s.Node(c.Node); known != nil {
		if known.Removed != 0 {
			return Outcome{Repeat: true}
		}
		n = *known
	}
	n.Removed, n.By, n.Note = at, c.By, c.Note
	s.setNode(n)
	s.voidTokens(at)
	if c.Signer && s.head.CAOut == 0 {
		s.head.CAOut = at
	}
	if c.Signer && s.head.Rekeying.Going() {
		s.head.Rekeying.Out = true
	}
	s.forgetLockouts(n.Name)
	s.forgetKeyViews(n.Name)
	s.emit(NodeRemoved{Node: n})
	return Outcome{Node: &n}
}
