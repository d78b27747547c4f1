package license_test

import (
	"fmt"

	"sitegate/license"
)

// The words of what carries the site: its nodes and the tokens they join with.

// nodes reads a command about nodes.
func (s *story) nodes(verb string, w *words) (license.Command, error) {
	by, note, folder := long(w.after("by")), long(w.after("because")), long(w.after("folder"))
	switch verb {
	case "token":
		notAfter, err := s.notAfter(w)
		if err != nil {
			return nil, err
		}
		d, err := duration(w.after("for"))
		return license.IssueToken{Secret: digest(w.next()), By: by, Until: s.now.Add(d), NotAfter: notAfter}, err
	case "join":
		key := digest(w.after("key"))
		token := digest(w.after("with"))
		return license.Join{Node: long(w.next()), Instance: folder, Secret: token, Key: key}, nil
	case "enroll":
		return license.Enroll{Node: long(w.next()), Instance: folder}, nil
	case "lockout":
		c := license.NoteLockout{Proxy: long(w.after("of"))}
		if !w.flag("over") {
			d, err := duration(w.after("for"))
			if err != nil {
				return nil, err
			}
			c.Until = s.now.Add(d)
		}
		c.Node = long(w.next())
		return c, nil
	case "remove-node":
		return license.RemoveNode{Node: long(w.next()), By: by, Note: note}, nil
	}
	return nil, fmt.Errorf("do not know the word %q", verb)
}

// digest makes a digest of a short name, so that a story can say t1.
func digest(name string) license.Digest {
	var d license.Digest
	copy(d[:], name)
	return d
}

func digestName(d license.Digest) string {
	n := 0
	for n < len(d) && d[n] != 0 {
		n++
	}
	return string(d[:n])
}

func sayNode(n license.Node) string {
	line := fmt.Sprintf("%s, folder %s, generation %d", n.Name, n.Instance, n.Generation)
	if n.Removed != 0 {
		line += fmt.Sprintf(", removed by %s %q %s", n.By, n.Note, sayTime(n.Removed))
	}
	return line
}

func sayToken(t license.JoinToken) string {
	line := fmt.Sprintf("%s by %s until %s", digestName(t.Secret), t.By, sayTime(t.Until))
	if t.Used != 0 {
		line += fmt.Sprintf(", used by %s %s", t.Node, sayTime(t.Used))
	}
	return line
}

func sayNodes(s *license.State) []string {
	var answer []string
	for _, n := range license.Nodes(s) {
		answer = append(answer, "node "+sayNode(n))
	}
	for _, t := range license.Tokens(s) {
		answer = append(answer, "token "+sayToken(t))
	}
	for _, l := range s.Head().Lockouts {
		answer = append(answer, fmt.Sprintf("lockout of %s by %s, since %s", l.Node, l.Proxy, sayTime(l.Since)))
	}
	return answer
}

// sayNodeFact is "" for facts about something else.
func sayNodeFact(f license.Fact) string {
	switch f := f.(type) {
	case license.TokenIssued:
		return "token " + sayToken(f.Token)
	case license.Joined:
		return "joined " + sayNode(f.Node) + ", with " + digestName(f.Token.Secret)
	case license.Enrolled:
		return "enrolled " + sayNode(f.Node)
	case license.NodeRemoved:
		return "removed " + sayNode(f.Node)
	case license.SecretStopped:
		return fmt.Sprintf("%s sends its secret to %s no more before %s, told %v", f.Lockout.Node, f.Lockout.Proxy, sayTime(f.Lockout.Until), f.To)
	case license.SecretResumed:
		return fmt.Sprintf("%s is taken by %s again, since %s, told %v", f.Lockout.Node, f.Lockout.Proxy, sayTime(f.Lockout.Since), f.To)
	}
	return ""
}
