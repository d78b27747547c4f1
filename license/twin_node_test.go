package license

import (
	"bytes"
	"slices"
	"strings"
)

// The part of the twin that is about the machines that carry the site.

func (w *twin) node(name string) *Node {
	return twinFind(w.nodes, func(n *Node) bool { return strings.EqualFold(n.Name, name) })
}

func (w *twin) token(secret Digest) *JoinToken {
	return twinFind(w.tokens, func(t *JoinToken) bool { return t.Secret == secret })
}

const twinWeek = 7 * twinDay

func (w *twin) issueToken(c IssueToken) Outcome {
	if c.Secret == (Digest{}) || c.By == "" || !twinName(c.By) || c.Until <= w.now() || c.Until-w.now() > twinWeek {
		return refuse("bad-command")
	}
	if c.NotAfter != 0 && c.NotAfter < w.now() {
		return refuse("too-late")
	}
	good := func(t JoinToken) bool { return t.Used == 0 && w.now() < t.Until }
	if t := w.token(c.Secret); t != nil {
		if good(*t) {
			return Outcome{Repeat: true}
		}
		return refuse("id-in-use")
	}
	var over []JoinToken
	for _, t := range w.tokens {
		if !good(t) {
			over = append(over, t)
		}
	}
	if len(w.tokens)-len(over) >= 16 {
		return refuse("too-many-tokens")
	}
	slices.SortFunc(over, func(a, b JoinToken) int {
		if a.Since != b.Since {
			return int(a.Since - b.Since)
		}
		return bytes.Compare(a.Secret[:], b.Secret[:])
	})
	for ; len(w.tokens) >= 64; over = over[1:] {
		w.tokens = slices.DeleteFunc(w.tokens, func(t JoinToken) bool { return t.Secret == over[0].Secret })
	}
	t := JoinToken{Secret: c.Secret, By: c.By, Since: w.now(), Until: c.Until}
	w.tokens = append(w.tokens, t)
	w.tell(TokenIssued{Token: t})
	return Outcome{}
}

func (w *twin) join(c Join) Outcome {
	if c.Secret == (Digest{}) || c.Key == (Digest{}) || c.Node == "" || c.Instance == "" || !twinName(c.Node, c.Instance) {
		return refuse("bad-command")
	}
	t, n := w.token(c.Secret), w.node(c.Node)
	if t == nil {
		return refuse("unknown-token")
	}
	here := n != nil && n.Removed == 0
	if t.Used != 0 {
		if here && n.Instance == c.Instance && t.Node == c.Node && t.Instance == c.Instance && t.Key == c.Key {
			copied := *n
			return Outcome{Repeat: true, Node: &copied}
		}
		return Outcome{Denial: &Denial{Reason: "token-used", Node: t.Node, Since: t.Used}}
	}
	if t.Until <= w.now() {
		return Outcome{Denial: &Denial{Reason: "token-expired", Until: t.Until}}
	}
	if here {
		return Outcome{Denial: &Denial{Reason: "node-known", Node: n.Name, Since: n.Since}}
	}
	if n == nil {
		if len(w.nodes) == 256 {
			return refuse("too-many-nodes")
		}
		w.nodes = append(w.nodes, Node{})
		n = &w.nodes[len(w.nodes)-1]
	}
	*n = Node{Name: c.Node, Instance: c.Instance, Generation: n.Generation + 1, Since: w.now(), Key: c.Key}
	t.Node, t.Instance, t.Key, t.Used = c.Node, c.Instance, c.Key, w.now()
	w.tell(Joined{Node: *n, Token: *t})
	copied := *n
	return Outcome{Node: &copied}
}

func (w *twin) enroll(c Enroll) Outcome {
	if c.Node == "" || c.Instance == "" || !twinName(c.Node, c.Instance) {
		return refuse("bad-command")
	}
	n := w.node(c.Node)
	switch {
	case n == nil && len(w.nodes) == 256:
		return refuse("too-many-nodes")
	case n == nil:
		w.nodes = append(w.nodes, Node{Name: c.Node, Instance: c.Instance, Generation: c.Generation, Since: w.now(), Key: c.Key})
		w.tell(Enrolled{Node: w.nodes[len(w.nodes)-1]})
		return Outcome{}
	case n.Removed != 0:
		return Outcome{Denial: &Denial{Reason: "node-removed", Node: n.Name, Since: n.Removed, Who: n.By, Note: n.Note}}
	case n.Name == c.Node && n.Instance == c.Instance:
		if c.Key == (Digest{}) || n.Key == c.Key {
			return Outcome{Repeat: true}
		}
		if n.Key == (Digest{}) || w.head.CAOut == 0 {
			n.Key = c.Key
			w.tell(Enrolled{Node: *n})
			return Outcome{}
		}
	}
	return Outcome{Denial: &Denial{Reason: "node-known", Node: n.Name, Since: n.Since}}
}

func (w *twin) removeNode(c RemoveNode) Outcome {
	n := w.node(c.Node)
	switch {
	case c.Node == "" || c.By == "" || !twinName(c.Node, c.By, c.Note):
		return refuse("bad-command")
	case n == nil && len(w.nodes) == 256:
		return refuse("too-many-nodes")
	case n == nil:
		w.nodes = append(w.nodes, Node{Name: c.Node, Since: w.now()})
		n = &w.nodes[len(w.nodes)-1]
	case n.Removed != 0:
		return Outcome{Repeat: true}
	}
	n.Removed, n.By, n.Note = w.now(), c.By, c.Note
	w.noTokens()
	if w.head.CAOut == 0 && c.Signer {
		w.head.CAOut = w.now()
	}
	if c.Signer && w.head.Rekeying.Before != nil {
		w.head.Rekeying.Out = true
	}
	w.nodeGone(n.Name)
	w.tell(NodeRemoved{Node: *n})
	copied := *n
	return Outcome{Node: &copied}
}
