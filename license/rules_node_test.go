package license_test

import (
	"cmp"
	"fmt"
	"strings"

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
		key := digest(w.after("key"))
		return license.Enroll{Node: long(w.next()), Instance: folder, Key: key}, nil
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
	case "alert":
		c := license.NoteAlert{Subject: long(w.after("of")), Detail: strings.ReplaceAll(w.after("saying"), "+", " "), Over: w.flag("over")}
		c.Kind = long(w.next())
		return c, nil
	case "sent-report":
		c := license.NoteReport{Way: by, Through: clockTime("2026-" + w.after("through"))}
		c.Name = w.next()
		return c, nil
	case "told":
		c := license.AlertTold{Subject: long(w.after("of")), Way: by, Over: w.flag("over"), Done: w.flag("done")}
		c.Kind = w.next()
		for _, a := range s.state.Head().Alerts {
			if a.Kind == c.Kind && a.Subject == c.Subject {
				c.Since = a.Since
			}
		}
		return c, nil
	case "issuer-keys": // "issuer-keys gw1 of ISSUER taken k1,k2 held k7"
		c := license.NoteKeys{Issuer: long(w.after("of")), Taken: keys(w.after("taken")), Held: keys(w.after("held"))}
		c.Node = long(w.next())
		return c, nil
	case "accept-keys":
		c := license.AcceptKeys{Issuer: long(w.after("of")), By: by, Note: note}
		c.Set = license.SetDigest(keys(w.next()))
		return c, nil
	case "rekey": // "rekey r2 before r1 for 30d by ida because WHY"
		d, err := duration(w.after("for"))
		c := license.Rekey{Before: []byte(w.after("before")), Voucher: []byte("voucher"), By: by, Note: note, Until: s.now.Add(d)}
		if given := w.after("instead-of"); given != "" {
			c.Instead = license.RootDigest([]byte(given))
		}
		c.Root = []byte(long(w.next()))
		return c, err
	case "end-rekey": // "end-rekey r2 without gw2,gw3"
		var left []string
		if names := w.after("without"); names != "" {
			left = strings.Split(names, ",")
		}
		return license.EndRekey{Root: license.RootDigest([]byte(w.next())), Left: left}, nil
	case "remove-node":
		signer := w.flag("signer")
		return license.RemoveNode{Node: long(w.next()), By: by, Note: note, Signer: signer}, nil
	}
	return nil, fmt.Errorf("do not know the word %q", verb)
}

// digest makes a digest of a short name, so that a story can say t1.
func digest(name string) license.Digest {
	var d license.Digest
	copy(d[:], name)
	return d
}

// keys reads "k1,k2", in the order that they have.
func keys(names string) []license.Digest {
	var list []license.Digest
	for name := range strings.SplitSeq(names, ",") {
		if name != "" {
			list = append(list, digest(name))
		}
	}
	return list
}

func sayKeys(list []license.Digest) string {
	names := make([]string, len(list))
	for i, d := range list {
		names[i] = digestName(d)
	}
	return cmp.Or(strings.Join(names, ","), "none")
}

func digestName(d license.Digest) string {
	n := 0
	for n < len(d) && d[n] != 0 {
		n++
	}
	return string(d[:n])
}

// sayRoot is the name that a story has given to a CA.
func sayRoot(d license.Digest) string {
	for _, name := range []string{"r1", "r2", "r3", "r4"} {
		if license.RootDigest([]byte(name)) == d {
			return name
		}
	}
	return "of no name"
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
	if r := s.Head().Rekeying; len(r.Root) > 0 {
		line := fmt.Sprintf("CA %s since %s", r.Root, sayTime(r.Since))
		if r.Going() {
			line += fmt.Sprintf(", before it %s until %s", r.Before, sayTime(r.Until))
		} else {
			line += fmt.Sprintf(" alone since %s, without %v", sayTime(r.Over), r.Left)
		}
		answer = append(answer, line)
	}
	if out := s.Head().CAOut; out != 0 {
		answer = append(answer, "only keys on record count since "+sayTime(out))
	}
	for _, l := range s.Head().Lockouts {
		answer = append(answer, fmt.Sprintf("lockout of %s by %s, since %s", l.Node, l.Proxy, sayTime(l.Since)))
	}
	for _, v := range s.Head().KeyViews {
		line := fmt.Sprintf("%s goes by %s of %s", v.Node, sayKeys(v.Taken), v.Issuer)
		if len(v.Held) > 0 {
			line += fmt.Sprintf(", holds back %s since %s", sayKeys(v.Held), sayTime(v.Since))
		}
		answer = append(answer, line)
	}
	for _, a := range s.Head().KeysAccepted {
		answer = append(answer, fmt.Sprintf("accepted %s of %s by %s", sayKeys(a.Keys), a.Issuer, a.By))
	}
	return answer
}

func sayAlert(a license.Alert) string {
	line := fmt.Sprintf("%s of %q since %s", a.Kind, a.Subject, sayTime(a.Since))
	if a.Detail != "" {
		line += ": " + a.Detail
	}
	if a.Over != 0 {
		line += ", over " + sayTime(a.Over)
	}
	return line
}

func sayAlerts(s *license.State) []string {
	var answer []string
	for _, a := range s.Head().Alerts {
		answer = append(answer, fmt.Sprintf("alert %s, told by %v, over by %v", sayAlert(a), a.Told, a.Ended))
	}
	return answer
}

func sayReports(s *license.State) []string {
	var answer []string
	for _, m := range s.Head().Reports {
		answer = append(answer, fmt.Sprintf("report %s, sent by %s through %s", m.Name, m.Way, sayTime(m.Through)))
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
	case license.RekeyBegan:
		return fmt.Sprintf("CA %s trusted too, the one before until %s, by %s %q", sayRoot(f.Root), sayTime(f.Until), f.By, f.Note)
	case license.RekeyEnded:
		return fmt.Sprintf("CA %s trusted alone, without %v", sayRoot(f.Root), f.Left)
	case license.KeysHeld:
		return fmt.Sprintf("%s holds back %s of %s, told %v", f.Node, sayKeys(f.Held), f.Issuer, f.To)
	case license.KeysAccepted:
		return fmt.Sprintf("keys %s of %s accepted by %s %q, instead of %s", sayKeys(f.Keys), f.Issuer, f.By, f.Note, sayKeys(f.Known))
	case license.KeysResumed:
		return fmt.Sprintf("nobody holds back keys of %s, told %v", f.Issuer, f.To)
	case license.SecretStopped:
		return fmt.Sprintf("%s sends its secret to %s no more before %s, told %v", f.Lockout.Node, f.Lockout.Proxy, sayTime(f.Lockout.Until), f.To)
	case license.AlertRaised:
		return "alert " + sayAlert(f.Alert)
	case license.AlertEnded:
		return "over: " + sayAlert(f.Alert)
	case license.SecretResumed:
		return fmt.Sprintf("%s is taken by %s again, since %s, told %v", f.Lockout.Node, f.Lockout.Proxy, sayTime(f.Lockout.Since), f.To)
	}
	return ""
}
