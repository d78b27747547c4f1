package portal

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"sitegate/api"
)

// Change is one record that files would change. Was is nil where it is new, Now where it
// is gone.
type Change struct{ Was, Now *api.MirrorRecord }

// Kind is the record's: user, product or license.
func (c Change) Kind() string { return cmp.Or(c.Now, c.Was).Kind }

// Record is the change as it is sent to a site.
func (c Change) Record() api.MirrorRecord {
	if c.Now == nil {
		return api.MirrorRecord{Kind: c.Was.Kind, ID: c.Was.ID, Gone: true}
	}
	return *c.Now
}

// Diff is what files would change.
type Diff struct {
	// Changes are in the order in which they can be made: what is pointed at is there
	// before what points at it, and goes after it.
	Changes []Change
	// Nobody is how many licenses are assigned, as the files say, to users who are not
	// found any more: the site has them assigned to nobody.
	Nobody int
}

// Seal stands for what would be changed, from what to what: it is the same as long as that is.
func (d *Diff) Seal() string {
	h := sha256.New()
	to := json.NewEncoder(h)
	for _, c := range d.Changes {
		if c.Was != nil {
			was := bare(*c.Was)
			c.Was = &was
		}
		_ = to.Encode(c) // our own types, to a hash
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// bare is a record without where it is from.
func bare(r api.MirrorRecord) api.MirrorRecord {
	r.Source, r.AsOf = "", time.Time{}
	return r
}

type key struct{ kind, id string }

// Compare compares what a site knows, in any order and perhaps some of it twice, with what
// files say: one of users, one of licenses, or one of each. The error is of type Faults.
func Compare(now []api.MirrorRecord, files ...*File) (*Diff, error) {
	d := &Diff{}
	files = slices.Clone(files)
	if len(files) == 2 && files[0].Licenses { // users first
		slices.Reverse(files)
	}
	old := make(map[key]*api.MirrorRecord, len(now))
	for i := range now {
		old[key{now[i].Kind, now[i].ID}] = &now[i]
	}
	said := map[key]bool{}
	whole := map[string]bool{} // kinds that the files are whole lists of
	users := directory{map[string]bool{}, map[string]string{}}
	var faults Faults
	if len(files) == 2 && files[0].Licenses == files[1].Licenses {
		return nil, Faults{newFault(files[1].Name, 0, "", "files-same", "", "")}
	}
	if files[0].Licenses { // no file of users: those there are
		for _, r := range now {
			if r.Kind == "user" {
				users.add(r)
			}
		}
	}
	for _, f := range files {
		for i := range f.Records {
			r := f.Records[i]
			switch r.Kind {
			case "user":
				users.add(r)
			case "license":
				if reason := d.assign(&r, users); reason != "" {
					faults.add(newFault(f.Name, f.lines[i], "", reason, r.Assignee, ""))
				}
			}
			d.compare(old[key{r.Kind, r.ID}], r)
			said[key{r.Kind, r.ID}] = true
		}
		if whole["user"] = whole["user"] || !f.Licenses; f.Licenses {
			whole["license"], whole["product"] = true, true
		}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	slices.SortStableFunc(d.Changes, func(a, b Change) int { return cmp.Compare(rank(a), rank(b)) })
	var gone []Change
	for k, was := range old {
		if whole[k.kind] && !said[k] {
			gone = append(gone, Change{Was: was})
		}
	}
	slices.SortFunc(gone, func(a, b Change) int {
		return cmp.Or(cmp.Compare(rank(b), rank(a)), strings.Compare(a.Was.ID, b.Was.ID))
	})
	d.Changes = append(d.Changes, gone...)
	return d, nil
}

// directory are users by id, and by e-mail in lower case; "" for several. Who is meant does
// not depend on the order in which they are added.
type directory struct {
	ids    map[string]bool
	emails map[string]string
}

func (d directory) add(u api.MirrorRecord) {
	id, email := u.ID, strings.ToLower(u.Email)
	if d.ids[id] = true; email == "" {
		return
	}
	if other, twice := d.emails[email]; twice && other != id {
		id = ""
	}
	d.emails[email] = id
}

// assign finds the user whom a license of a file is assigned to, or says why not.
func (d *Diff) assign(r *api.MirrorRecord, users directory) (reason string) {
	lower := strings.ToLower(r.Assignee)
	switch user, known := users.emails[lower]; {
	case r.Assignee == "" || users.ids[r.Assignee]:
	case strings.EqualFold(r.Assignee, "Not Found User"):
		r.Assignee = ""
		d.Nobody++
	case !known && users.ids[lower]:
		r.Assignee = lower
	case !known:
		return "row-nobody"
	case user == "":
		return "row-ambiguous"
	default:
		r.Assignee = user
	}
	return ""
}

// rank has what is pointed at come before what points at it.
func rank(c Change) int { return slices.Index([]string{"product", "user", "license"}, c.Kind()) }

func (d *Diff) compare(was *api.MirrorRecord, r api.MirrorRecord) {
	if was != nil && same(bare(*was), r) {
		return
	}
	d.Changes = append(d.Changes, Change{was, &r})
}

// same compares records, of which times may be in several zones.
func same(a, b api.MirrorRecord) bool {
	times := a.AssignedAt.Equal(b.AssignedAt) && a.Starts.Equal(b.Starts) && a.Ends.Equal(b.Ends)
	a.AssignedAt, a.Starts, a.Ends = b.AssignedAt, b.Starts, b.Ends
	return times && a == b
}
