package license

import (
	"crypto/sha256"
	"slices"
	"strings"
)

// noteKeys keeps what nodes say of issuers' keys in a list that is put in order anew each
// time.
func (w *twin) noteKeys(c NoteKeys) Outcome {
	if c.Node == "" || c.Issuer == "" || !twinName(c.Node, c.Issuer) || !twinKeys(c.Taken) || !twinKeys(c.Held) {
		return refuse("bad-command")
	}
	if n := w.node(c.Node); n != nil && n.Removed != 0 {
		return Outcome{Denial: &Denial{Reason: "node-removed", Node: n.Name, Since: n.Removed, Who: n.By, Note: n.Note}}
	}
	if w.node(c.Node) == nil && slices.ContainsFunc(w.nodes, func(n Node) bool { return n.Instance != "" && n.Generation == 0 && n.Removed == 0 }) {
		return refuse("bad-command")
	}
	var was *KeyView
	var others []KeyView
	seen, held := false, 0 // the same set by anybody, any set by others
	for _, v := range w.head.KeyViews {
		if v.Issuer == c.Issuer && len(c.Held) > 0 && slices.Equal(v.Held, c.Held) {
			seen = true
		}
		if v.Issuer == c.Issuer && strings.EqualFold(v.Node, c.Node) {
			was = &v
			continue
		}
		others = append(others, v)
		if v.Issuer == c.Issuer && len(v.Held) > 0 {
			held++
		}
	}
	now := KeyView{Issuer: c.Issuer, Node: c.Node, Taken: c.Taken, Held: c.Held}
	empty := len(c.Taken) == 0 && len(c.Held) == 0
	switch {
	case was == nil && len(others) == 64:
		return refuse("bad-command")
	case was == nil && empty, was != nil && slices.Equal(was.Taken, c.Taken) && slices.Equal(was.Held, c.Held):
		return Outcome{Repeat: true}
	case was != nil:
		now.Node = was.Node
	}
	if len(c.Held) > 0 {
		if now.Since = w.now(); was != nil && slices.Equal(was.Held, c.Held) {
			now.Since = was.Since
		}
	}
	if !empty {
		others = append(others, now)
		slices.SortFunc(others, func(a, b KeyView) int {
			return strings.Compare(a.Issuer+"\x00"+strings.ToLower(a.Node), b.Issuer+"\x00"+strings.ToLower(b.Node))
		})
	}
	w.head.KeyViews = others
	for i, a := range w.head.KeysAccepted {
		over := held == 0 && len(c.Held) == 0
		if a.Issuer == c.Issuer && (over || slices.ContainsFunc(c.Taken, func(k Digest) bool { return slices.Contains(a.Keys, k) })) {
			if w.head.KeysAccepted = slices.Concat(w.head.KeysAccepted[:i], w.head.KeysAccepted[i+1:]); len(w.head.KeysAccepted) == 0 {
				w.head.KeysAccepted = nil
			}
			break
		}
	}
	if len(c.Held) > 0 && !seen {
		w.tell(KeysHeld{Issuer: c.Issuer, Node: now.Node, Held: c.Held, To: w.with(twinLookAfter)})
	} else if len(c.Held) == 0 && was != nil && len(was.Held) > 0 && held == 0 {
		w.tell(KeysResumed{Issuer: c.Issuer, To: w.with(twinLookAfter)})
	}
	return Outcome{}
}

func twinKeys(keys []Digest) bool {
	for i := range keys {
		if i > 0 && slices.Compare(keys[i-1][:], keys[i][:]) >= 0 {
			return false
		}
	}
	return len(keys) <= 64
}

func (w *twin) acceptKeys(c AcceptKeys) Outcome {
	if c.By == "" || c.Issuer == "" || !twinName(c.By, c.Note, c.Issuer) {
		return refuse("bad-command")
	}
	var keys, known []Digest
	for _, v := range w.head.KeyViews {
		if v.Issuer != c.Issuer {
			continue
		}
		known = append(known, v.Taken...)
		var all []byte
		for _, k := range v.Held {
			all = append(all, k[:]...)
		}
		if len(v.Held) > 0 && sha256.Sum256(all) == c.Set {
			keys = v.Held
		}
	}
	if keys == nil {
		return refuse("keys-not-held")
	}
	var rest []AcceptedKeys
	for _, a := range w.head.KeysAccepted {
		if a.Issuer != c.Issuer {
			rest = append(rest, a)
			continue
		}
		if slices.Equal(a.Keys, keys) {
			return Outcome{Repeat: true}
		}
		known = append(known, a.Keys...)
	}
	rest = append(rest, AcceptedKeys{Issuer: c.Issuer, Keys: keys, At: w.now(), By: c.By})
	slices.SortFunc(rest, func(a, b AcceptedKeys) int { return strings.Compare(a.Issuer, b.Issuer) })
	w.head.KeysAccepted = rest
	var views []KeyView
	for _, v := range w.head.KeyViews {
		switch {
		case v.Issuer != c.Issuer:
			views = append(views, v)
		case len(v.Held) > 0:
			views = append(views, KeyView{Issuer: v.Issuer, Node: v.Node, Held: v.Held, Since: v.Since})
		}
	}
	w.head.KeyViews = views
	var once []Digest
	for _, k := range known {
		if !slices.Contains(once, k) {
			once = append(once, k)
		}
	}
	slices.SortFunc(once, func(a, b Digest) int { return slices.Compare(a[:], b[:]) })
	w.tell(KeysAccepted{Issuer: c.Issuer, Known: once, Keys: keys, By: c.By, Note: c.Note})
	w.takeBack(c.By, func(x Credential) bool { return x.Kind == SignedIn })
	return Outcome{}
}
