package license

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// The part of the twin that is about the audit trail.

// noted writes a record: what was done, by whom, to whom, and why.
func (w *twin) noted(r Audited, by, user, machine, note string) {
	t := &w.head.Audit
	r.Number, r.At = t.Number+1, w.now()
	r.By, r.User, r.Machine = w.called(r.Number, "who", by, nil), w.called(r.Number, "user", user, nil), w.called(r.Number, "machine", machine, nil)
	r.Note = w.called(r.Number, "note", note, []string{r.By, r.User, r.Machine})
	parts := []string{fmt.Sprintf("%x", t.Hash[:]), fmt.Sprint(r.Number), fmt.Sprint(int64(r.At)), r.What, r.By, r.Via, r.User, r.Machine, r.About, r.Note,
		fmt.Sprint(r.Count), r.From, fmt.Sprint(r.Seq)}
	var all strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&all, "%d:%s,", len(p), p)
	}
	t.Hash = sha256.Sum256([]byte(all.String()))
	t.Number = r.Number
	if r.Number == 1 {
		t.Since = r.At
	}
}

// called is the pseudonym of somebody.
func (w *twin) called(number uint64, kind, text string, of []string) string {
	if text == "" {
		return ""
	}
	if kind != "note" {
		if v := twinFind(w.veils, func(v *Veil) bool { return v.Kind == kind && v.Text == text }); v != nil {
			v.Last = number
			return v.Name
		}
	}
	v := Veil{Kind: kind, Text: text, Last: number}
	v.Salt = sha256.Sum256(append([]byte("salt\n"), w.head.Audit.Secret[:]...))
	w.head.Audit.Secret = sha256.Sum256(append([]byte("next\n"), w.head.Audit.Secret[:]...))
	for _, name := range of {
		if name != "" {
			v.Of = append(v.Of, name)
		}
	}
	h := hmac.New(sha256.New, v.Salt[:])
	fmt.Fprintf(h, "%s\n%s", kind, text)
	v.Name = kind[:1] + "-" + strings.ToLower(base32.StdEncoding.EncodeToString(h.Sum(nil)[:10]))
	w.veils = append(w.veils, v)
	return v.Name
}

func twinMachineName(m Machine) string {
	if m.Name == "" {
		return m.ID
	}
	return m.Name
}

// wasDone writes down what an administrator has caused, and what was granted without the cloud.
func (w *twin) wasDone(seq uint64, f Fact) {
	r := Audited{Seq: seq}
	say := func(what, by, note string) { r.What = what; w.noted(r, by, "", "", note) }
	about := func(what, by string, user UserID, m Machine, note string) {
		r.What = what
		w.noted(r, by, string(user), twinMachineName(m), note)
	}
	node := func(n Node) string {
		if n.Generation == 0 {
			return n.Name
		}
		return fmt.Sprintf("%s generation %d", n.Name, n.Generation)
	}
	switch f := f.(type) {
	case Released:
		if n := f.Session.Notice; n.Reason == "released" {
			r.About = string(f.Session.Product)
			about("session-released", n.By, f.Session.User, f.Session.Machine, n.Note)
		}
	case GrantedAlone:
		r.About = string(f.Product)
		say("granted-alone", "", "")
	case UserReleased:
		r.Count = uint64(f.Sessions)
		about("user-released", f.By, f.User, Machine{}, f.Note)
	case Blocked:
		about("blocked", f.Bar.By, f.Bar.User, f.Bar.Machine, f.Bar.Note)
	case Unblocked:
		about("unblocked", f.By, f.Bar.User, f.Bar.Machine, f.Note)
	case CredentialGiven:
		w.credential(&r, f.Credential, "given", f.Credential.By)
	case CredentialEnded:
		w.credential(&r, f.Credential, "ended", f.By)
	case AccountSet:
		r.About = f.Role.String()
		what := "account-set"
		if f.Own {
			what = "password-changed"
		}
		about(what, f.By, UserID(f.Name), Machine{}, "")
	case AccountRemoved:
		about("account-removed", f.By, UserID(f.Name), Machine{}, "")
	case KeyForgotten:
		about("machine-key-forgotten", f.By, f.User, f.Machine, f.Note)
	case CheckedOut:
		if x := f.Checkout; x.By != "" {
			r.About = string(x.License)
			about("checked-out-for-user", x.By, x.User, x.Machine, x.Note)
		}
	case WrittenOff:
		x := f.Checkout
		r.About = string(x.License)
		about("checkout-written-off", x.WrittenOff.By, x.User, x.Machine, x.WrittenOff.Note)
	case Moved:
		if f.By != "" {
			r.About = string(f.License)
			about("license-moved", f.By, f.To, Machine{}, f.Note)
		}
	case Imported:
		r.Count = uint64(f.Changes)
		say("mirror-imported", f.By, f.Note)
	case ShrinkAccepted:
		say("shrink-accepted", f.By, f.Note)
	case KeysAccepted:
		r.About, r.Count = f.Issuer, uint64(len(f.Keys))
		say("issuer-keys-accepted", f.By, f.Note)
	case MaintenanceTold:
		if f.Over {
			say("maintenance-taken-back", f.Maintenance.By, f.Maintenance.Note)
		} else {
			say("maintenance-announced", f.Maintenance.By, f.Maintenance.Note)
		}
	case BypassTold:
		r.About = "until " + fmt.Sprint(f.Bypass.Until)
		if !f.Over {
			say("bypass-begun", f.Bypass.By, f.Bypass.Note)
		} else if f.By != "" {
			say("bypass-ended", f.By, f.Note)
		}
	case Configured:
		say("settings-changed", "", "")
	case TimeAccepted:
		r.About = fmt.Sprint(f.From, f.To)
		say("time-accepted", f.By, f.Note)
	case UsageExported:
		r.About, r.Count = fmt.Sprint(f.Export.Number), f.Export.Records
		say("usage-exported", f.Export.By, "")
	case UsageReceived:
		r.About = fmt.Sprint(f.Number)
		say("usage-receipt-taken", f.By, "")
	case UsageSettled:
		if f.By != "" {
			r.Count = uint64(len(f.Records))
			say("usage-sent-again", f.By, "")
		}
	case TokenIssued:
		r.About = fmt.Sprintf("until %v", f.Token.Until)
		say("join-token-issued", f.Token.By, "")
	case Joined:
		r.About = node(f.Node)
		say("node-joined", f.Token.By, "")
	case Enrolled:
		r.About = node(f.Node)
		say("node-enrolled", "", "")
	case NodeRemoved:
		r.About = node(f.Node)
		say("node-removed", f.Node.By, f.Node.Note)
	case RekeyBegan:
		r.About = fmt.Sprintf("SHA256:%x", f.Root[:8])
		say("site-ca-replaced", f.By, f.Note)
	case RekeyEnded:
		r.About, r.Count = fmt.Sprintf("SHA256:%x", f.Root[:8]), uint64(len(f.Left))
		say("site-ca-before-dropped", "", "")
	case LevelRaised:
		r.About = fmt.Sprint(f.Level)
		say("level-raised", "", "")
	case Resumed:
		r.About = fmt.Sprintf("epoch %d", f.Epoch)
		if f.Recovered {
			say("recovered", "", "")
		} else {
			say("restored", "", "")
		}
	case RestoreAccepted:
		say("restore-accepted", f.By, f.Note)
	}
}

func (w *twin) credential(r *Audited, x Credential, done, by string) {
	if x.Kind == APIToken {
		r.What, r.About = "api-token-"+done, fmt.Sprintf("%s, %v", x.Name, x.Role)
		for i, scope := range []string{"read", "sessions", "checkouts", "licenses", "machines", "usage", "audit", "cluster", "access"} {
			if x.Scopes&(1<<i) > 0 {
				r.About += " " + scope
			}
		}
		w.noted(*r, by, "", "", "")
		return
	}
	r.What, r.About = "sign-in-"+done, x.Role.String()
	w.noted(*r, by, x.Name, "", "")
}

func (w *twin) noteAct(c NoteAct) Outcome {
	if c.What == "" || len(c.What) > 64 || strings.Trim(c.What, "abcdefghijklmnopqrstuvwxyz-") != "" || c.Machine != (Machine{}) && !twinMachine(c.Machine) ||
		!twinName(c.By, c.Via, string(c.User), c.About, c.Note, c.From) {
		return refuse(BadCommand)
	}
	w.noted(Audited{What: c.What, Via: c.Via, About: c.About, Count: c.Count, From: c.From}, c.By, string(c.User), twinMachineName(c.Machine), c.Note)
	return Outcome{}
}

func (w *twin) eraseNames(c EraseNames) Outcome {
	if !slices.Contains([]string{"who", "user", "machine"}, c.Kind) || c.Text == "" || c.By == "" || !twinName(c.Text, c.By, c.Note) {
		return refuse(BadCommand)
	}
	v := twinFind(w.veils, func(v *Veil) bool { return v.Kind == c.Kind && v.Text == c.Text })
	if v == nil {
		return Outcome{Repeat: true}
	}
	name := v.Name
	w.veils = slices.DeleteFunc(w.veils, func(v Veil) bool { return v.Name == name || slices.Contains(v.Of, name) })
	w.noted(Audited{What: "name-erased", About: name}, c.By, "", "", c.Note)
	return Outcome{}
}

func (w *twin) exportAudit(c ExportAudit) Outcome {
	t := &w.head.Audit
	same := func(m AuditMark) bool { return m.Through == c.Through && bytes.Equal(m.Hash[:], c.Hash[:]) }
	if c.By == "" || !twinName(c.By) {
		return refuse(BadCommand)
	}
	if c.Through == 0 {
		if t.Number == t.After {
			return refuse(TooLate)
		}
		m := AuditMark{Through: t.Number, Hash: t.Hash, At: w.now()}
		t.Exporting = append(slices.Clone(t.Exporting), m)
		if len(t.Exporting) > 8 {
			t.Exporting = t.Exporting[1:]
		}
		return Outcome{Mark: &m}
	}
	i := slices.IndexFunc(t.Exporting, same)
	if slices.ContainsFunc(t.Exported, same) {
		return Outcome{Repeat: true}
	}
	if i < 0 {
		return refuse(TooLate)
	}
	m := t.Exporting[i]
	t.Exporting = marksAfter(t.Exporting, m.Through)
	newest := true
	for _, x := range t.Exported {
		newest = newest && x.Through < m.Through
	}
	if newest {
		t.Exported = append(slices.Clone(t.Exported), m)
		if len(t.Exported) > 64 {
			t.Exported = t.Exported[1:]
		}
	}
	w.noted(Audited{What: "audit-exported", About: fmt.Sprintf("%d to %d", t.After+1, m.Through)}, c.By, "", "", "")
	return Outcome{Mark: &m}
}

func marksAfter(marks []AuditMark, through uint64) (after []AuditMark) {
	for _, m := range marks {
		if m.Through > through {
			after = append(after, m)
		}
	}
	return after
}

func (w *twin) trimAudit(c TrimAudit) Outcome {
	t := &w.head.Audit
	if c.Through <= t.After {
		return Outcome{Repeat: true}
	}
	for _, m := range t.Exported {
		if m.Through != c.Through {
			continue
		}
		first := t.After + 1
		t.After, t.Anchor, t.Since = m.Through, m.Hash, m.At
		t.Exported, t.Exporting = marksAfter(t.Exported, m.Through), marksAfter(t.Exporting, m.Through)
		w.veils = slices.DeleteFunc(w.veils, func(v Veil) bool { return v.Last <= m.Through })
		w.noted(Audited{What: "audit-trimmed", About: fmt.Sprintf("%d to %d", first, m.Through)}, "", "", "", "")
		return Outcome{}
	}
	return refuse(BadCommand)
}

// otherVeils says whether the state knows others by their pseudonyms than the twin.
func (w *twin) otherVeils(s *State) bool {
	for _, v := range w.veils {
		if got, known := s.Unveil(v.Name); !known || !reflect.DeepEqual(got, v) || v.Kind != "note" && s.PseudonymOf(v.Kind, v.Text) != v.Name {
			return true
		}
	}
	return len(s.veils) != len(w.veils)
}

// auditing is what concerns the audit trail.
func (s *script) auditing(state *State) Command {
	t := state.head.Audit
	by := oneOf(s, "root", "ida", "ida", "")
	switch s.pick(8) {
	case 0, 1, 2:
		return NoteAct{What: oneOf(s, "reload", "sign-in-denied", "Bad", ""), By: by, Via: oneOf(s, "", "socket"), User: oneOf[UserID](s, "", "ann", "bob"),
			Machine: oneOf(s, Machine{}, s.machine()), About: oneOf(s, "", "gw1", "\xff"), Note: oneOf(s, "", "because"), Count: uint64(s.pick(3)), From: oneOf(s, "", "10.0.0.0/24")}
	case 3:
		return EraseNames{Kind: oneOf(s, "who", "user", "user", "machine", "note"), Text: oneOf(s, "root", "ida", "ann", "bob", "eve", ""), By: by, Note: oneOf(s, "", "asked")}
	case 4, 5:
		c := ExportAudit{By: by, Through: oneOf(s, 0, t.Number), Hash: t.Hash}
		if n := len(t.Exporting); n > 0 && s.pick(3) > 0 {
			m := t.Exporting[s.pick(n)]
			c.Through, c.Hash = m.Through, m.Hash
		}
		return c
	}
	c := TrimAudit{Through: uint64(s.pick(20))}
	if n := len(t.Exported); n > 0 && s.pick(4) > 0 {
		c.Through = t.Exported[s.pick(n)].Through
	}
	return c
}
