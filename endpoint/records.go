package endpoint

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"

	"sitegate/api"
	"sitegate/license"
)

// recordsAtOnce is how many records are looked at together: the log waits for no more.
const recordsAtOnce = 1000

// eachMirrored calls with all records of the mirror, some at a time, until it is told of an
// error or ctx is over.
func (e *Endpoint) eachMirrored(ctx context.Context, with func([]api.MirrorRecord) error) error {
	var keys []license.Key
	e.gw.View(func(s *license.State) { keys = s.Mirrored() })
	some := make([]api.MirrorRecord, 0, recordsAtOnce)
	for part := range slices.Chunk(keys, recordsAtOnce) {
		if err := ctx.Err(); err != nil {
			return err
		}
		some = some[:0]
		e.gw.View(func(s *license.State) {
			for _, k := range part {
				if r, known := mirrorRecord(s, k); known {
					some = append(some, r)
				}
			}
		})
		if err := with(some); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// mirrorRecords is GET /v1/mirror/records on the operator's socket. There may be
// millions of them: they are written as they are found. What is cut short is no JSON.
func (e *Endpoint) mirrorRecords(c *call) (reply, error) {
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(http.StatusOK)
	before := `{"items":[`
	err := e.eachMirrored(c.ctx, func(records []api.MirrorRecord) error {
		var page []byte
		for _, r := range records {
			one, err := json.Marshal(r)
			if err != nil {
				return err
			}
			page = append(append(page, before...), one...)
			before = ","
		}
		_, err := c.w.Write(page)
		return err
	})
	if err == nil {
		io.WriteString(c.w, strings.TrimSuffix(before, ",")+"]}\n") // who does not read on has gone
	}
	return reply{done: true}, nil
}

// mirrorRecord is a record as the API has it; not known: it is gone by now.
func mirrorRecord(s *license.State, k license.Key) (_ api.MirrorRecord, known bool) {
	r := api.MirrorRecord{Kind: recordKind(k.Kind), ID: k.ID}
	source := license.FromFeed
	switch k.Kind {
	case license.KeyUser:
		u := s.User(license.UserID(k.ID))
		if u == nil {
			return r, false
		}
		r.Name, r.Email, r.Country, r.Blocked, source = u.Name, u.Email, u.Country, u.Blocked, u.Source
	case license.KeyProduct:
		p := s.Product(license.ProductID(k.ID))
		if p == nil {
			return r, false
		}
		r.Name, r.Capped, source = p.Name, p.Capped.String(), p.Source
	case license.KeyLicense:
		l := s.License(license.LicenseID(k.ID))
		if l == nil {
			return r, false
		}
		r.Product, r.Assignee, r.Type, source = string(l.Product), string(l.Assignee), kindWord(l.Kind), l.Source
		r.Starts, r.Ends, r.AssignedAt = l.Starts.Std(), l.Ends.Std(), l.AssignedAt.Std()
	default:
		return r, false
	}
	r.Source, r.AsOf = source.String(), s.AsOf(source).Std()
	return r, true
}

func kindWord(k license.Kind) string {
	switch k {
	case license.Commercial:
		return "commercial"
	case license.Trial:
		return "trial"
	}
	return "virtuoso"
}

// mirrorSource is where what the mirror was filled with is from.
func mirrorSource(h license.Head) license.Source {
	if h.Cursor == "" && h.Imported != 0 {
		return license.FromFile
	}
	return license.FromFeed
}

// importMirror is POST /v1/mirror/import on the operator's socket.
func (e *Endpoint) importMirror(c *call, in api.ImportRequest) (reply, error) {
	if err := c.said(&in.By, in.Note); err != nil {
		return reply{}, err
	}
	if len(in.Records) > license.MaxChanges {
		return reply{}, malformed("records has more than 1000 of them: send them in parts")
	}
	command := license.Import{By: in.By, Note: in.Note, Last: in.Last}
	for _, r := range in.Records {
		change, ok := imported(r)
		if !ok {
			return reply{}, malformed("a record is of no known kind or type, or is not as a file may have it: " + printable(r.Kind+" "+r.ID))
		}
		command.Changes = append(command.Changes, change)
	}
	_, err := decided(e.gw.Import(c.ctx, command))
	return e.acted(c, err, "import", "mirror", "", in.By)
}

// imported is what a record of a file changes.
func imported(r api.MirrorRecord) (c license.Change, ok bool) {
	switch {
	case r.ID == "" || !plain(r.ID):
		return c, false
	case r.Kind == "user" && r.Gone:
		return license.Change{DeleteUser: license.UserID(r.ID)}, true
	case r.Kind == "product" && r.Gone:
		return license.Change{DeleteProduct: license.ProductID(r.ID)}, true
	case r.Kind == "license" && r.Gone:
		return license.Change{DeleteLicense: license.LicenseID(r.ID)}, true
	case r.Kind == "user":
		return license.Change{User: &license.User{ID: license.UserID(r.ID), Email: r.Email, Name: r.Name, Country: r.Country, Blocked: r.Blocked}}, true
	case r.Kind == "product" && (r.Capped == "yes" || r.Capped == "unknown"):
		p := license.Product{ID: license.ProductID(r.ID), Name: r.Name}
		if r.Capped == "yes" {
			p.Capped = license.CappedYes
		}
		return license.Change{Product: &p}, true
	case r.Kind == "license" && r.Type == "virtuoso" && r.Product != "" && !r.Ends.IsZero() && r.Ends.After(r.Starts):
		return license.Change{License: &license.License{ID: license.LicenseID(r.ID), Product: license.ProductID(r.Product), Assignee: license.UserID(r.Assignee),
			Starts: license.TimeOf(r.Starts), Ends: license.TimeOf(r.Ends), AssignedAt: license.TimeOf(r.AssignedAt)}}, true
	}
	return c, false
}
