package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/emulator"
	"sitegate/upstream/cloudapi"
)

// NewSiteWithoutFeed starts a site whose cloud offers no feed, so that its mirror is filled
// from files, and returns once that was found out.
func NewSiteWithoutFeed(t testing.TB, nodes, users int) *Site {
	t.Helper()
	s := NewCloud(t, users)
	s.NotOffered(cloudapi.PathChanges)
	s.write(t, nodes)
	for i := range s.Nodes {
		s.Start(t, i)
	}
	Eventually(t, patience, "the site finds no feed", func() error {
		for _, n := range s.Nodes {
			if st, err := s.Status(n); err != nil || !st.Link.Up || s.Cloud.Requests(cloudapi.PathChanges) == 0 {
				return fmt.Errorf("%s: %+v, %v, asked %d times", n.Name, st.Link, err, s.Cloud.Requests(cloudapi.PathChanges))
			}
		}
		return nil
	})
	return s
}

// NotOffered has the cloud say that it does not offer what begins with a path.
func (s *Site) NotOffered(path string) {
	s.Cloud.SetFault(emulator.Fault{Prefix: path, Status: http.StatusNotFound, Body: `{"reason":"` + cloudapi.ReasonNotOffered + `"}`, Type: "application/json"})
}

// Portal writes what the cloud's portal would export: its users, and its licenses of
// named users.
func (s *Site) Portal(t testing.TB) (users, licenses string) {
	t.Helper()
	var u, l strings.Builder
	u.WriteString("User ID;Email;Full name;Country\r\n")
	for _, x := range s.Cloud.Users() {
		fmt.Fprintf(&u, "%s;%s;%s;%s\r\n", x.ID, x.Email, x.Name, x.Country)
	}
	l.WriteString("Virtuoso ID,Product ID,Application,Start date,End date,Email,Capped\n")
	products, mail := map[string]cloudapi.Product{}, map[string]string{}
	for _, p := range s.Cloud.Products() {
		products[p.ID] = p
	}
	for _, x := range s.Cloud.Users() {
		mail[x.ID] = strings.ToUpper(x.Email)
	}
	for _, x := range s.Cloud.Licenses() {
		p := products[x.ProductID]
		if x.Kind != cloudapi.LicenseVirtuoso {
			continue
		}
		capped := string(p.Capped)
		if p.Capped == cloudapi.CappedUnknown {
			capped = ""
		}
		fmt.Fprintf(&l, "%s,%s,%q,%s,%s,%s,%s\n", x.ID, x.ProductID, p.Name, x.StartsAt.UTC().Format(time.DateOnly), x.EndsAt.UTC().Format(time.DateOnly), mail[x.AssignedTo], capped)
	}
	users, licenses = filepath.Join(t.TempDir(), "users.csv"), filepath.Join(t.TempDir(), "licenses.csv")
	for file, text := range map[string]string{users: u.String(), licenses: l.String()} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return users, licenses
}
