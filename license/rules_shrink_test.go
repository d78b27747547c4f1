package license_test

import (
	"fmt"
	"strings"

	"sitegate/license"
)

// The words of a mirror that shrinks. The crowd are users of whom nothing is known
// but that each has a license.

// crowd reads "crowd 1-40 of micro", and "drop", "drop-licenses" or "take" instead of
// crowd, as the changes that these are; none: it is none of these.
func crowd(w *words) ([]license.Change, error) {
	verb := w.rest[0]
	switch verb {
	case "crowd", "drop-crowd", "drop-crowd-licenses", "take-crowd":
	default:
		return nil, nil
	}
	w.next()
	product := license.ProductID(w.after("of"))
	var first, last int
	if _, err := fmt.Sscanf(w.next(), "%d-%d", &first, &last); err != nil {
		return nil, fmt.Errorf("which of the crowd? %w", err)
	}
	var changes []license.Change
	for i := first; i <= last; i++ {
		id := fmt.Sprintf("crowd-%d", i)
		user, lic := license.UserID(id), license.LicenseID(id)
		switch verb {
		case "crowd":
			changes = append(changes, license.Change{User: &license.User{ID: user}},
				license.Change{License: &license.License{ID: lic, Product: product, Assignee: user}})
		case "drop-crowd":
			changes = append(changes, license.Change{DeleteUser: user})
		case "drop-crowd-licenses":
			changes = append(changes, license.Change{DeleteLicense: lic})
		case "take-crowd":
			changes = append(changes, license.Change{License: &license.License{ID: lic, Product: product}})
		}
	}
	return changes, nil
}

// ofTheCrowd are facts that are only counted: there are many of them.
func ofTheCrowd(f license.Fact) string {
	var id license.LicenseID
	what := ""
	switch f := f.(type) {
	case license.Assigned:
		id, what = f.License, "assigned"
	case license.Unassigned:
		id, what = f.License, "unassigned"
	case license.UserMissing:
		id, what = f.License, "missing"
	case license.LicenseChanged:
		id, what = f.License, "licenses changed"
	}
	if strings.HasPrefix(string(id), "crowd-") {
		return what
	}
	return ""
}

// losing reads "losing USERS,LICENSES,ASSIGNMENTS".
func losing(w *words) (n license.Sizes, err error) {
	if text := w.after("losing"); text != "" {
		_, err = fmt.Sscanf(text, "%d,%d,%d", &n.Users, &n.Licenses, &n.Assignments)
	}
	return n, err
}

func saySizes(n, of license.Sizes) string {
	return fmt.Sprintf("%d of %d users, %d of %d licenses, %d of %d assignments", n.Users, of.Users, n.Licenses, of.Licenses,
		n.Assignments, of.Assignments)
}

// sayHeld is what the state remembers of a mirror that is held back.
func (s *story) sayHeld() []string {
	h := s.state.Head().Held
	if h.Since == 0 {
		return []string{"the mirror follows the cloud"}
	}
	line := fmt.Sprintf("held since %s: %s", sayTime(h.Since), saySizes(h.Losing, h.Of))
	if h.Accepted != 0 {
		line += fmt.Sprintf(", accepted by %s %q until %s", h.By, h.Note, sayTime(h.Until))
	}
	return []string{line}
}

func sayShrink(f license.Fact) string {
	switch f := f.(type) {
	case license.MirrorHeld:
		return fmt.Sprintf("mirror held back: %s, told %v", saySizes(f.Losing, f.Of), f.To)
	case license.ShrinkAccepted:
		return fmt.Sprintf("shrink accepted by %s %q until %s: %s", f.By, f.Note, sayTime(f.Until), saySizes(f.Losing, f.Of))
	case license.MirrorResumed:
		if f.Accepted {
			return fmt.Sprintf("mirror goes on, as %s has accepted, told %v", f.By, f.To)
		}
		return fmt.Sprintf("mirror goes on without, told %v", f.To)
	}
	return fmt.Sprintf("%T", f)
}
