package phrase

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"sitegate/license"
)

// What IT reads of a refusal, and sends to the vendor where a license is lost with its user.

// Setting is what a setting of the rules is about, by its key in a configuration. An unknown
// one has no sentence.
func Setting(lang Lang, name string) string { return Advice(lang, "setting/"+name, Matter{}) }

// Remedy is what IT can do about a refusal. open is the kind of what is still in its way,
// session or checkout; empty: nothing is. cannotHold: the client may work offline all the same.
func Remedy(lang Lang, reason license.Reason, open string, cannotHold bool) string {
	key := "refusal/" + string(reason)
	switch {
	case cannotHold:
		key = "refusal/cannot-hold"
	case reason == license.MachineActive && open == "":
		key = "refusal/over"
	case reason == license.MachineActive:
		key = "refusal/" + open
	}
	if lang.book().advice[key] == "" {
		key = "refusal/other"
	}
	return Advice(lang, key, Matter{})
}

// WasTold is what IT reads of what a refused user was told, where that is not the denial
// itself; else it is empty.
func WasTold(lang Lang, observed, relayed bool) string {
	switch {
	case observed:
		return Advice(lang, "refusal/told/observed", Matter{})
	case relayed:
		return Advice(lang, "refusal/told/relayed", Matter{})
	}
	return ""
}

// ServiceRequest is one to the vendor: its category, in the vendor's word, and a text in
// English to be copied; Title and When, in the reader's language, say when it is this one.
type ServiceRequest struct{ Category, Title, When, Text string }

// Lost is a license that cannot be moved any more, as its assignee was removed from the
// account: ids and names as they are to be told; zero times are not known.
type Lost struct {
	Product, License, Assignee string
	Assigned, Ends             time.Time
}

// ServiceRequests are those by which the vendor gives a lost license to somebody else, or back
// to its user after a changed e-mail (R11).
func ServiceRequests(lang Lang, l Lost) []ServiceRequest {
	var all []ServiceRequest
	for _, r := range []struct{ key, category, to, please string }{
		{"request/assign", "Licensing assistance", "a user who was removed from the account",
			"Please re-assign this license to: "},
		{"request/address", "User administrator support", "a user who was removed from the account when their e-mail address changed",
			"Please give the license back to the same user.\nOld e-mail address: \nNew e-mail address: "},
	} {
		all = append(all, ServiceRequest{Category: r.category, Title: Advice(lang, r.key+"/title", Matter{}), When: Advice(lang, r.key+"/when", Matter{}),
			Text: fmt.Sprintf("Category: %s\nProduct: %s\nLicense: %s\nAssigned to %s (Not Found User): %s\nAssigned on: %s\nLicense ends: %s\n%s",
				r.category, line(l.Product), line(l.License), r.to, line(l.Assignee), day(l.Assigned), day(l.Ends), r.please)})
	}
	return all
}

// line is somebody's text as a part of one: in the request each line says something.
func line(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

func day(t time.Time) string {
	if t.IsZero() {
		return "not known"
	}
	return t.UTC().Format(time.DateOnly)
}
