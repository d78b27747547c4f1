package license

import (
	"errors"
	"slices"
	"strconv"
	"testing"
)

// trailOf are the records that the commands make.
func trailOf(t *testing.T, commands ...Command) (*State, []Audited) {
	t.Helper()
	s := NewState()
	Apply(s, Entry{1, Found{Cluster: "here", Level: Level, Seed: Digest{1, 2, 3}}})
	var trail []Audited
	for i, c := range commands {
		if out, _ := Apply(s, Entry{Time(10 + i), c}); out.Denial != nil {
			t.Fatalf("%T: got %s, want it done", c, out.Denial.Reason)
		}
		s.TakeChanged(func(_ Key, r any) {
			if x, is := r.(*Audited); is {
				trail = append(trail, *x)
			}
		})
	}
	return s, trail
}

func acts(n int) []Command {
	var all []Command
	for range n {
		all = append(all, NoteAct{What: "reload", By: "ida", Note: "why not", User: "ann", Machine: Machine{Name: "WS-1"}})
	}
	return all
}

// TestTamperedTrailIsFound: whatever is done to records, the chain says at which of them.
func TestTamperedTrailIsFound(t *testing.T) {
	s, trail := trailOf(t, acts(9)...)
	rehashed := func(from int, rs []Audited) []Audited {
		for i := from; i < len(rs); i++ {
			before := Digest{}
			if i > 0 {
				before = rs[i-1].Hash
			}
			rs[i].Hash = rs[i].Sum(before)
		}
		return rs
	}
	for name, c := range map[string]struct {
		forge func(rs []Audited) []Audited
		at    uint64 // zero: it holds
	}{
		"as it was written":  {func(rs []Audited) []Audited { return rs }, 0},
		"changed by":         {func(rs []Audited) []Audited { rs[4].By = "w-other"; return rs }, 5},
		"changed time":       {func(rs []Audited) []Audited { rs[4].At++; return rs }, 5},
		"changed count":      {func(rs []Audited) []Audited { rs[0].Count = 7; return rs }, 1},
		"changed last":       {func(rs []Audited) []Audited { rs[8].Note = ""; return rs }, 9},
		"changed hash":       {func(rs []Audited) []Audited { rs[4].Hash[3]++; return rs }, 5},
		"moved text":         {func(rs []Audited) []Audited { rs[4].User, rs[4].Machine = rs[4].Machine, rs[4].User; return rs }, 5},
		"dropped":            {func(rs []Audited) []Audited { return slices.Delete(rs, 3, 4) }, 4},
		"dropped first":      {func(rs []Audited) []Audited { return rs[1:] }, 1},
		"dropped last":       {func(rs []Audited) []Audited { return rs[:8] }, 9},
		"dropped all":        {func([]Audited) []Audited { return nil }, 1},
		"reordered":          {func(rs []Audited) []Audited { rs[3], rs[4] = rs[4], rs[3]; return rs }, 4},
		"inserted twice":     {func(rs []Audited) []Audited { return slices.Insert(rs, 6, rs[5]) }, 6},
		"appended":           {func(rs []Audited) []Audited { return rehashed(9, append(rs, Audited{Number: 10, What: "reload"})) }, 10},
		"inserted":           {func(rs []Audited) []Audited { return slices.Insert(rs, 6, Audited{Number: 7, What: "reload"}) }, 7},
		"changed and hashed": {func(rs []Audited) []Audited { rs[4].By = ""; rs[4].Hash = rs[4].Sum(rs[3].Hash); return rs }, 6},
		"written anew":       {func(rs []Audited) []Audited { rs[4].By = ""; return rehashed(4, rs) }, 9},
	} {
		t.Run(name, func(t *testing.T) {
			var chain AuditChain
			var err error
			for _, r := range c.forge(slices.Clone(trail)) {
				if err = chain.Next(&r); err != nil {
					break
				}
			}
			if err == nil {
				err = chain.Ends(s.head.Audit.Number, s.head.Audit.Hash)
			}
			var broken *AuditBroken
			if c.at == 0 && err != nil || c.at > 0 && (!errors.As(err, &broken) || broken.Number != c.at) {
				t.Errorf("got %v, want record %d to be named", err, c.at)
			}
		})
	}
}

// TestErasedNameCannotBeTested: with the state of after the erasure, no salt can be made
// again that would tell whether a guessed name was the one.
func TestErasedNameCannotBeTested(t *testing.T) {
	s, trail := trailOf(t, append(acts(2), EraseNames{Kind: VeilUser, Text: "ann", By: "dora"})...)
	name := trail[0].User
	if _, known := s.Unveil(name); known || s.PseudonymOf(VeilUser, "ann") != "" || name == "" {
		t.Fatalf("%q is still known", name)
	}
	for _, r := range trail[:2] {
		if _, known := s.Unveil(r.Note); known {
			t.Errorf("the reason in record %d, which may tell of whom, is still there", r.Number)
		}
	}
	salts := []Digest{s.head.Audit.Secret, {}}
	for _, v := range Veils(s) {
		salts = append(salts, v.Salt)
	}
	for range 100 {
		n := len(salts)
		salts = append(salts, salted("salt", salts[n-1]), salted("next", salts[0]))
		salts[0] = salts[n+1]
	}
	for _, salt := range salts {
		if v := (Veil{Kind: VeilUser, Text: "ann", Salt: salt}); v.Pseudonym() == name {
			t.Fatal("a salt that the state still gives makes the erased pseudonym again")
		}
	}
	if v, known := s.Unveil(trail[0].By); !known || v.Text != "ida" || v.Pseudonym() != trail[0].By {
		t.Errorf("got %+v, %v; want ida, and that the salt proves it", v, known)
	}
}

// TestVeilsAreBounded: names without end do not fill the memory.
func TestVeilsAreBounded(t *testing.T) {
	s, _ := trailOf(t)
	for i := range MaxVeils {
		s.setVeil(Veil{Name: "u-" + strconv.Itoa(i), Kind: VeilUser, Text: strconv.Itoa(i)})
	}
	Apply(s, Entry{99, NoteAct{What: "reload", By: "one more"}})
	var got string
	s.TakeChanged(func(_ Key, r any) {
		if x, is := r.(*Audited); is {
			got = x.By
		}
	})
	if got != "w-?" {
		t.Errorf("with %d names: got %q, want a record with \"w-?\"", len(s.veils), got)
	}
}

func TestOnlyOldExportsMayGo(t *testing.T) {
	trail := AuditTrail{Number: 9, Exported: []AuditMark{{Through: 3, At: 100}, {Through: 5, At: 200}, {Through: 8, At: 300}}}
	for before, want := range map[Time]uint64{50: 0, 100: 0, 101: 3, 250: 5, 1000: 8} {
		if got := trail.AuditTrim(before); got != want {
			t.Errorf("what is older than %d: got %d, want %d", before, got, want)
		}
	}
}
