package endpoint

import (
	"testing"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// Who is read of is named by the state that is being read. Were another asked for, a
// change that waits in between would wait for the first and the second for the change:
// the node would stand still for good. The log of this test has one lock for both, so
// that it would at once.
func TestNamesAreOfTheStateThatIsRead(t *testing.T) {
	node := filled(t)
	asked := 0
	r := newRig(t, node, func(c *Config) {
		c.Pseudonym = func(s *license.State, kind, name string) string {
			country := func(s *license.State) {
				asked++
				_ = s.User(license.UserID(name))
			}
			if s == nil {
				node.View(country)
			} else {
				country(s)
			}
			return kind[:1] + "-x"
		}
	})
	r.begin(t, "ada", "road", ws101)
	r.want(t, 409, "ada", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws202})
	id := r.begin(t, "ben", "road", ws202)
	r.want(t, 204, "ben", "DELETE", "/v1/sessions/"+id, api.MachineRequest{Machine: ws202})
	for _, path := range []string{"/v1/site/open", "/v1/site/open?capped=yes", "/v1/site/open?id=" + id, "/v1/site/users", "/v1/site/users/ada", "/v1/site/licenses",
		"/v1/site/licenses/l-1", "/v1/site/refusals", "/v1/site/history?by=ida&reason=ticket+7&user=ada", "/v1/site/products", "/v1/site/settings", "/v1/usage/refused", "/v1/usage/audit"} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.look(t, 200, path, nil)
		}()
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatalf("GET %s waits for itself", path)
		}
	}
	if asked == 0 {
		t.Error("nobody was named")
	}
}

// Who has no pseudonym, as in a country whose people are not hidden, keeps name and e-mail
// beside those who have one.
func TestOnlyWhoIsHiddenIsShownByAnotherName(t *testing.T) {
	r := newRig(t, filled(t), func(c *Config) {
		c.Pseudonym = func(_ *license.State, kind, name string) string {
			if kind == "user" && name != "ada" {
				return name
			}
			return kind + "-x"
		}
	})
	for id, want := range map[string]api.SiteUser{"ada": {Name: "user-x"}, "ben": {Name: "ben@example.org", Email: "ben@example.org"}} {
		var got api.SiteUser
		r.look(t, 200, "/v1/site/users/"+id, &got)
		if got.Name != want.Name || got.Email != want.Email {
			t.Errorf("%s is shown as %q, %q; want %q, %q", id, got.Name, got.Email, want.Name, want.Email)
		}
	}
}
