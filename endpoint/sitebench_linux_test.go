package endpoint

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"syscall"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/endpoint/console"
	"sitegate/license"
)

// crowded is a node with that many users, each active on a machine.
func crowded(t testing.TB, users int) *oneNode {
	t.Helper()
	n := newNode(t)
	changes := []license.Change{{Product: &license.Product{ID: "road", Name: "Road Designer", Capped: license.CappedYes}}}
	for i := range users {
		id := license.UserID(fmt.Sprintf("u-%06d", i))
		changes = append(changes, license.Change{User: &license.User{ID: id, Name: fmt.Sprintf("Name %d", i), Email: fmt.Sprintf("user%d@example.org", i), Country: "DE"}},
			license.Change{License: &license.License{ID: license.LicenseID(fmt.Sprintf("l-%06d", i)), Product: "road", Assignee: id}})
	}
	from := ""
	for some := range slices.Chunk(changes, license.MaxChanges) {
		to := fmt.Sprint("c", n.state.Head().Seq)
		n.do(t, license.Mirror{From: from, Cursor: to, Changes: some, Last: true, Full: true})
		from = to
	}
	for i := range users {
		n.do(t, license.Start{ID: crowdedID(i), User: license.UserID(fmt.Sprintf("u-%06d", i)), Product: "road", Agreed: true,
			Machine: license.Machine{ID: fmt.Sprintf("m-%d", i), Name: fmt.Sprintf("WS-%d", i)}})
	}
	n.stored()
	return n
}

// stored has the node's state as it is once a store has taken what has changed.
func (n *oneNode) stored() { n.state.TakeChanged(func(license.Key, any) {}) }

func crowdedID(i int) (id license.ID) {
	copy(id[:], fmt.Appendf(nil, "session%09d", i))
	return id
}

// A page view of the console with 100,000 active rows, while ten users come and go between
// two views: all of it on the server, to the last byte.
func BenchmarkConsole(b *testing.B) {
	const users = 100_000
	r := newRig(b, crowded(b, users))
	pages, err := console.New(console.Config{API: r.e.Within(), Logger: slog.New(slog.DiscardHandler), Who: func(q *http.Request) (console.Administrator, *api.Problem) {
		a := AdministratorOf(q.Context())
		return console.Administrator{Name: "ida", Role: a.Role.String()}, RefusalOf(q.Context())
	}})
	if err != nil {
		b.Fatal(err)
	}
	r.e.Administer("GET "+console.Base, license.Viewer, license.ReadScope, pages)
	handler := r.e.Operator()
	look := func(b *testing.B, path string) int {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", console.Base+path, nil))
		if w.Code != 200 {
			b.Fatalf("%d: %.300s", w.Code, w.Body)
		}
		return w.Body.Len()
	}
	begun, spent := time.Now(), cpu(b)
	look(b, "")
	b.Logf("the first view, which makes the lists, took %v and %v of CPU", time.Since(begun).Round(time.Millisecond), (cpu(b) - spent).Round(time.Millisecond))
	for _, path := range []string{"", "?q=user9999@", "?q=name+47", "licenses", "licenses?state=never-used", "users?q=name+47", "capped", "refusals"} {
		b.Run(path, func(b *testing.B) {
			var spent []time.Duration
			size := 0
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				for range 10 {
					user := license.UserID(fmt.Sprintf("u-%06d", i%users))
					x := r.node.state.Active(user).Sessions[0]
					r.node.do(b, license.Stop{ID: x.ID, User: user, Machine: x.Machine})
					id, _ := parseID(newUUID(b))
					r.node.do(b, license.Start{ID: id, User: user, Product: "road", Agreed: true, Machine: x.Machine})
					i++
				}
				r.node.stored()
				b.StartTimer()
				before := cpu(b)
				size = look(b, path)
				spent = append(spent, cpu(b)-before)
			}
			slices.Sort(spent)
			b.ReportMetric(float64(spent[len(spent)/2])/1e6, "cpu-ms-median")
			b.ReportMetric(float64(spent[len(spent)-1])/1e6, "cpu-ms-most")
			b.ReportMetric(float64(size), "B/page")
		})
	}
}

// cpu is how much this process has computed.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
