package portal

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/api"
)

func read(t *testing.T, name, text string) *File {
	t.Helper()
	f, err := Read(name, []byte(text), UTF8)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// What is pointed at is there before what points at it, and goes after it.
func TestChangesComeInAnOrderInWhichTheyCanBeMade(t *testing.T) {
	ends := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	now := []api.MirrorRecord{
		{Kind: "user", ID: "u0", Country: "FR", Source: "file"}, {Kind: "user", ID: "u1", Email: "ada@firm.example", Country: "FR", Source: "file", AsOf: ends},
		{Kind: "product", ID: "old", Capped: "yes"}, {Kind: "license", ID: "L0", Product: "old", Type: "virtuoso", Ends: ends},
		{Kind: "license", ID: "L1", Product: "road", Type: "virtuoso", Assignee: "u0", Ends: ends.In(time.FixedZone("CET", 3600))}}
	users := read(t, "users.csv", "User ID,Email,Country\nu1,ada@firm.example,FR\nu2,ben@firm.example,FR\n")
	licenses := read(t, "licenses.csv", "License ID,Product ID,End date,Email\nL1,road,2026-12-31,Ben@firm.example\nL2,road,2026-12-31,Not found user\n")
	for _, files := range [][]*File{{users, licenses}, {licenses, users}} {
		d, err := Compare(now, files...)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range d.Changes {
			what := "+"
			switch {
			case c.Now == nil:
				what = "-"
			case c.Was != nil:
				what = "~"
			}
			if r := c.Record(); r.Gone != (c.Now == nil) {
				t.Errorf("%+v is sent as %+v", c, r)
			}
			got = append(got, what+c.Kind()+" "+c.Record().ID+" "+c.Record().Assignee)
		}
		if want := "+product road |+user u2 |~license L1 u2|+license L2 |-license L0 |-user u0 |-product old "; strings.Join(got, "|") != want || d.Nobody != 1 {
			t.Errorf("got\n%s, %d of nobody\nwant\n%s", strings.Join(got, "|"), d.Nobody, want)
		}
	}
	if len(users.Records) != 2 || licenses.Records[1].Assignee != "Ben@firm.example" {
		t.Errorf("the files were changed: %+v %+v", users, licenses)
	}
}

// A site tells what it knows in no order, and some of it twice: what is gone is the same.
func TestWhatIsGoneIsSealedAlikeInAnyOrder(t *testing.T) {
	now := []api.MirrorRecord{{Kind: "user", ID: "u1", Country: "FR"}, {Kind: "license", ID: "L2", Product: "road"}, {Kind: "product", ID: "road", Capped: "yes"}, {Kind: "user", ID: "u3", Country: "FR"},
		{Kind: "license", ID: "L1", Product: "flow"}, {Kind: "user", ID: "u2", Country: "FR"}, {Kind: "product", ID: "flow", Capped: "yes"}, {Kind: "user", ID: "u3", Country: "FR"}}
	users, licenses := read(t, "users.csv", "User ID,Country\nu0,FR\n"), read(t, "licenses.csv", "License ID,Product ID,End date\nL0,rail,2099-12-31\n")
	var seal string
	for range 2 {
		d, err := Compare(now, users, licenses)
		if err != nil {
			t.Fatal(err)
		}
		var gone []string
		for _, c := range d.Changes {
			if c.Now == nil {
				gone = append(gone, c.Was.ID)
			}
		}
		if got := strings.Join(gone, " "); got != "L1 L2 u1 u2 u3 flow road" {
			t.Errorf("gone are %s, want L1 L2 u1 u2 u3 flow road", got)
		}
		if seal == "" {
			seal = d.Seal()
		} else if d.Seal() != seal {
			t.Error("in another order it is sealed as something else")
		}
		slices.Reverse(now)
	}
}

// An id goes before an address, whoever of the two users the site tells first.
func TestAnIDThatIsSomebodysAddressIsMeantAsTheID(t *testing.T) {
	now := []api.MirrorRecord{{Kind: "user", ID: "ada@firm.example"}, {Kind: "user", ID: "u2", Email: "ada@firm.example"}}
	licenses := read(t, "l.csv", "License ID,Product ID,End date,Email\nL1,road,2026-12-31,ada@firm.example\n")
	for range 2 {
		d, err := Compare(now, licenses)
		if err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(d.Changes, func(c Change) bool { return c.Kind() == "license" }); d.Changes[i].Now.Assignee != "ada@firm.example" {
			t.Errorf("L1 goes to %s, want the user of that id", d.Changes[i].Now.Assignee)
		}
		slices.Reverse(now)
	}
}

func TestLicensesOfUsersWhoAreNotKnownAreTold(t *testing.T) {
	now := []api.MirrorRecord{{Kind: "user", ID: "u1", Email: "ada@firm.example"}, {Kind: "user", ID: "u2", Email: "ADA@firm.example"}}
	licenses := read(t, "l.csv", "License ID,Product ID,End date,Email\nL1,road,2026-12-31,ada@firm.example\nL2,road,2026-12-31,cleo\nL3,road,2026-12-31,u2\n")
	_, err := Compare(now, licenses)
	want := "l.csv, line 2: Several users have this e-mail address: write the id of the one that is meant.\nl.csv, line 3: “cleo” is no user by id or e-mail address: bring the file of users, too."
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if _, err := Compare(now, licenses, licenses); err == nil || !strings.Contains(err.Error(), "Both files are of the same") {
		t.Errorf("two files of licenses: %v", err)
	}
}
