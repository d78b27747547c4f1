package license_test

import (
	"fmt"
	"strconv"
	"strings"

	"sitegate/license"
)

// The words of the audit trail.

// auditing reads a command about it.
func (s *story) auditing(verb string, w *words) (license.Command, error) {
	by, note := long(w.after("by")), long(w.after("because"))
	switch verb {
	case "noted":
		c := license.NoteAct{By: by, Note: note, Via: w.after("via"), User: license.UserID(w.after("of")), From: w.after("from"), About: w.after("about")}
		if m := w.after("on"); m != "" {
			c.Machine = readMachine(m)
		}
		if times := w.after("times"); times != "" {
			n, err := strconv.ParseUint(times, 10, 64)
			if err != nil {
				return nil, err
			}
			c.Count = n
		}
		c.What = long(w.next())
		return c, nil
	case "erase":
		return license.EraseNames{Kind: w.next(), Text: long(w.next()), By: by, Note: note}, nil
	case "export-audit":
		c := license.ExportAudit{By: by}
		if w.flag("written") {
			c.Through, c.Hash = s.mark.Through, s.mark.Hash
		}
		if w.flag("forged") {
			c.Hash = digest("forged")
		}
		return c, nil
	case "trim-audit":
		n, err := strconv.ParseUint(w.after("through"), 10, 64)
		return license.TrimAudit{Through: n}, err
	}
	return nil, fmt.Errorf("do not know the word %q", verb)
}

// takeAudit keeps the records that the last command has made, as a store does.
func (s *story) takeAudit() {
	s.state.TakeChanged(func(k license.Key, r any) {
		if x, is := r.(*license.Audited); is {
			s.trail = append(s.trail, *x)
		}
	})
}

// sayAudit shows the records that have not been shown yet, and whether the whole trail
// holds.
func (s *story) sayAudit() []string {
	t := s.state.Head().Audit
	var lines []string
	for _, r := range s.trail {
		if r.Number > s.seen {
			lines = append(lines, s.sayAudited(&r))
			s.seen = r.Number
		}
	}
	chain := license.AuditChain{Number: t.After, Hash: t.Anchor}
	var err error
	for i := range s.trail {
		if s.trail[i].Number > t.After && err == nil {
			err = chain.Next(&s.trail[i])
		}
	}
	if err == nil {
		err = chain.Ends(t.Number, t.Hash)
	}
	if err != nil {
		return append(lines, err.Error())
	}
	return append(lines, fmt.Sprintf("it holds from %d to %d", t.After+1, t.Number))
}

func (s *story) sayAudited(r *license.Audited) string {
	line := fmt.Sprintf("%d %s", r.Number, r.What)
	say := func(word, text string) {
		if text != "" {
			line += " " + word + text
		}
	}
	name := func(pseudonym string) string {
		v, known := s.state.Unveil(pseudonym)
		switch {
		case pseudonym == "":
			return ""
		case !known:
			return pseudonym[:1] + "-erased"
		case v.Pseudonym() != pseudonym:
			return "WRONG " + v.Text
		}
		return v.Text
	}
	say("by ", name(r.By))
	say("via ", r.Via)
	say("of ", name(r.User))
	say("on ", name(r.Machine))
	if !strings.Contains(r.About, "-") || len(r.About) != 18 { // no pseudonym
		say("about ", r.About)
	} else {
		say("about ", name(r.About))
	}
	if n := name(r.Note); n != "" {
		line += fmt.Sprintf(" %q", n)
	}
	say("from ", r.From)
	if r.Count > 0 {
		line += fmt.Sprintf(" times %d", r.Count)
	}
	return line
}
