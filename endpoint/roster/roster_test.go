package roster

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
	"sitegate/notice"
)

// node is the rules and the hub of a node.
type node struct {
	state *license.State
	hub   *notice.Hub
	at    license.Time
	ids   uint64
}

func newNode(t testing.TB, users int) *node {
	t.Helper()
	n := &node{state: license.NewState(), hub: notice.New(0, 0), at: 1}
	n.do(t, license.Found{Cluster: "0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e6f", Level: license.Level})
	changes := []license.Change{{Product: &license.Product{ID: "road", Name: "Road Designer", Capped: license.CappedYes}}, {Product: &license.Product{ID: "view", Name: "Viewer", Capped: license.CappedNo}}}
	for i := range users {
		id := license.UserID(fmt.Sprintf("u-%06d", i))
		changes = append(changes, license.Change{User: &license.User{ID: id, Name: fmt.Sprintf("Name %d", i), Email: fmt.Sprintf("user%d@example.org", i), Country: "DE"}},
			license.Change{License: &license.License{ID: license.LicenseID(fmt.Sprintf("l-%06d", i)), Product: "road", Assignee: id}},
			license.Change{License: &license.License{ID: license.LicenseID(fmt.Sprintf("v-%06d", i)), Product: "view", Assignee: id}})
	}
	from := ""
	for some := range slices.Chunk(changes, license.MaxChanges) {
		to := fmt.Sprint(len(from), len(some), n.state.Head().Seq)
		n.do(t, license.Mirror{From: from, Cursor: to, Changes: some, Last: true, Full: true})
		from = to
	}
	return n
}

func (n *node) view(f func(*license.State)) { f(n.state) }

func (n *node) do(t testing.TB, c license.Command) license.Outcome {
	t.Helper()
	n.at++
	out, events := license.Apply(n.state, license.Entry{At: n.at, Command: c})
	n.hub.Publish(n.state.Head().Epoch, events)
	if out.Denial != nil {
		t.Fatalf("%T: %+v", c, out.Denial)
	}
	return out
}

func (n *node) id() (id license.ID) {
	n.ids++
	binary.BigEndian.PutUint64(id[:], n.ids)
	binary.BigEndian.PutUint64(id[8:], n.ids*0x9e3779b97f4a7c15)
	return id
}

func (n *node) start(t testing.TB, user int, product license.ProductID) license.ID {
	t.Helper()
	id := n.id()
	n.do(t, license.Start{ID: id, User: license.UserID(fmt.Sprintf("u-%06d", user)), Product: product, Agreed: true,
		Machine: license.Machine{ID: fmt.Sprintf("m-%d", user), Name: fmt.Sprintf("WS-%d", user)}})
	return id
}

// naive is what is open, by looking at all of it.
func (n *node) naive(words string) (ids []license.ID) {
	type found struct {
		id    license.ID
		token uint64
	}
	var all []found
	n.state.EachActive(func(a *license.Active) bool {
		for _, x := range new(Roster).open(n.state, a.User, nil) {
			if strings.Contains(x.words, words) {
				all = append(all, found{x.ID, x.token})
			}
		}
		return true
	})
	slices.SortFunc(all, func(a, b found) int { return int(b.token) - int(a.token) })
	for _, x := range all {
		ids = append(ids, x.id)
	}
	return ids
}

func idsOf(f Found) (ids []license.ID) {
	for _, x := range f.Rows {
		ids = append(ids, x.ID)
	}
	return ids
}

// However users start and stop, and whether or not somebody looks, the roster is what is
// open.
func TestTheRosterIsWhatIsOpen(t *testing.T) {
	n := newNode(t, 40)
	r := New(n.view, n.hub, nil)
	defer r.Close()
	random := rand.New(rand.NewPCG(1, 2))
	running := map[license.ID]int{}
	for step := range 3000 {
		if random.IntN(2) == 0 || len(running) == 0 {
			user := random.IntN(40)
			if a := n.state.Active(license.UserID(fmt.Sprintf("u-%06d", user))); a == nil || len(a.Sessions) < 5 {
				running[n.start(t, user, []license.ProductID{"road", "view"}[random.IntN(2)])] = user
			}
		} else {
			ids := make([]license.ID, 0, len(running))
			for id := range running {
				ids = append(ids, id)
			}
			slices.SortFunc(ids, func(a, b license.ID) int { return slices.Compare(a[:], b[:]) })
			id := ids[random.IntN(len(ids))]
			user := running[id]
			delete(running, id)
			n.do(t, license.Stop{ID: id, User: license.UserID(fmt.Sprintf("u-%06d", user)), Machine: license.Machine{ID: fmt.Sprintf("m-%d", user)}})
		}
		if random.IntN(7) != 0 {
			continue
		}
		for _, words := range []string{"", "ws-1", "designer"} {
			f := r.Find(Query{Words: words, Most: 1000})
			if got, want := idsOf(f), n.naive(words); !slices.Equal(got, want) || f.Total != len(want) || f.All != len(running) || f.Next != 0 {
				t.Fatalf("step %d: %q finds %d (%d of %d), want %d of %d", step, words, len(got), f.Total, f.All, len(want), len(running))
			}
		}
		var sessions, held int
		for _, u := range r.Uses() {
			sessions += u.Sessions
			held += u.Licenses
		}
		want := map[license.LicenseID]bool{}
		n.state.EachActive(func(a *license.Active) bool {
			for i := range a.Sessions {
				want[a.Sessions[i].License] = true
			}
			return true
		})
		if sessions != len(running) || held != len(want) {
			t.Fatalf("step %d: %d sessions of %d licenses are in use; want %d of %d", step, sessions, held, len(running), len(want))
		}
	}
}

// Page follows page without a row twice or left out, and a jump of the state is noticed.
func TestPagesFollowOneAnother(t *testing.T) {
	n := newNode(t, 100)
	r := New(n.view, n.hub, nil)
	defer r.Close()
	for user := range 100 {
		n.start(t, user, "road")
	}
	for _, words := range []string{"", "name"} {
		var got []license.ID
		for before := uint64(0); ; {
			f := r.Find(Query{Words: words, Before: before, Most: 7})
			got = append(got, idsOf(f)...)
			if f.Total != 100 {
				t.Fatalf("%d are found; want 100", f.Total)
			}
			if before = f.Next; before == 0 {
				break
			}
		}
		if want := n.naive(words); !slices.Equal(got, want) {
			t.Errorf("the pages have %d rows; want %d", len(got), len(want))
		}
	}
	h := n.state.Head()
	n.hub.Reset(h.Epoch+1, h.Seq+100)
	if f := r.Find(Query{Most: 1}); f.All != 100 {
		t.Errorf("after a jump there are %d; want 100", f.All)
	}
}

// What nobody asks for is forgotten, and made again.
func TestAnUnaskedRosterIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 3)
		n.start(t, 1, "road")
		r, m := New(n.view, n.hub, nil), NewUsers(n.view, n.hub, nil)
		r.Find(Query{Most: 1})
		m.Users("", "", 1)
		time.Sleep(Keep + time.Second) // of the bubble's time
		synctest.Wait()
		if r.rows != nil || m.users != nil {
			t.Error("they are kept")
		}
		if f := r.Find(Query{Most: 1}); f.All != 1 {
			t.Errorf("there are %d; want 1", f.All)
		}
		if _, _, total := m.Users("", "", 1); total != 3 {
			t.Errorf("there are %d users; want 3", total)
		}
		r.Close()
		m.Close()
	})
}

// Looking at a page of 100,000 open rows, and searching them, while users come and go.
func BenchmarkRoster(b *testing.B) {
	const users = 100_000
	n := newNode(b, users)
	for user := range users {
		n.start(b, user, "road")
	}
	r := New(n.view, n.hub, nil)
	defer r.Close()
	begun := time.Now()
	r.Find(Query{Most: 50})
	b.Logf("made of %d rows in %v", users, time.Since(begun).Round(time.Millisecond))
	for _, q := range []struct {
		name  string
		query Query
	}{{"first page", Query{Most: 50}}, {"middle page", Query{Most: 50, Before: 250_000}}, {"search", Query{Words: "user9999@", Most: 50}}, {"search two words", Query{Words: "road 4711", Most: 50}}, {"search nothing", Query{Words: "nobody", Most: 50}}} {
		b.Run(q.name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				for range 10 {
					n.start(b, i%users, "view")
					i++
				}
				b.StartTimer()
				r.Find(q.query)
			}
		})
	}
}

// What is found of a row is in lower case, in whatever alphabet.
func TestWordsAreLower(t *testing.T) {
	for _, text := range []string{"", "WS-101 Ada", "Jürgen ÄRGER", "ΣΊΣΥΦΟΣ", "\xff\xfeX"} {
		if got, want := lower([]byte(text)), strings.ToLower(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
