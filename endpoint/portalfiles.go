package endpoint

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"sitegate/api"
	"sitegate/license"
	"sitegate/portal"
)

const (
	portalPart  = 500 // records in one entry of the log
	importAgain = 5 * time.Second
	portalShown = 200 // changes that are told one by one
	// maxPortal bounds the body: base64 has four bytes for three.
	maxPortal = api.MaxPortalBytes/3*4 + maxBody
)

// importFiles is POST /v1/mirror/files: it tells what files of the vendor's portal would
// change, and makes exactly those changes for whoever has seen them.
//
// They come in by parts. Where one is lost the rest is not tried: what is in by then is
// not a change any more, so that the same files, looked at again, go on.
func (e *Endpoint) importFiles(c *call) (reply, error) {
	if !e.importing.TryLock() { // they take memory, as soon as they are read, and do not mix
		io.CopyN(io.Discard, c.r.Body, maxWaste) // so that the answer is seen, as of a body that is too large
		return reply{}, TooMany("other files are being looked at on this node", importAgain)
	}
	defer e.importing.Unlock()
	var in api.PortalRequest
	if err := c.read(&in); err != nil {
		return reply{}, err
	}
	if err := portalAsked(c, &in); err != nil {
		return reply{}, err
	}
	if err := e.gw.CatchUp(c.ctx); err != nil { // they are compared with what the site knows
		return reply{}, err
	}
	if err := e.wouldImport(license.Import{By: in.By, Note: in.Note, Last: true}); err != nil {
		return reply{}, err // where the mirror follows a feed there is nothing to look at
	}
	files, d, err := e.comparePortal(c, in)
	if faults, bad := errors.AsType[portal.Faults](err); bad {
		c.w.reason = "bad-rows"
		return reply{status: http.StatusUnprocessableEntity, body: portalFaults(c, in, faults)}, nil
	}
	if err != nil {
		return reply{}, err
	}
	parts, err := e.portalParts(in, d)
	if err != nil {
		return reply{}, err
	}
	report := portalReport(in, files, d)
	if in.DryRun {
		return reply{status: http.StatusOK, body: report}, nil
	}
	if in.Saw != report.Saw {
		return reply{}, &trouble{code: api.CodeChanged}
	}
	for _, part := range parts {
		if _, err := decided(e.gw.Import(c.ctx, part)); err != nil {
			return reply{}, err
		}
	}
	e.log.InfoContext(c.ctx, "administrator acted", "id", c.id, "act", "import", "kind", "mirror", "by", in.By, "changes", len(d.Changes))
	return reply{status: http.StatusOK, body: report}, nil
}

// portalAsked looks whether a request is whole.
func portalAsked(c *call, in *api.PortalRequest) error {
	if err := c.said(&in.By, in.Note); err != nil {
		return err
	}
	if n := len(in.Files); n < 1 || n > 2 {
		return malformed(fmt.Sprintf("files has %d of them; it takes one of users, one of licenses, or one of each", n))
	}
	size := 0
	for _, f := range in.Files {
		if f.Name == "" || !plain(f.Name) {
			return malformed("the name of a file is missing, longer than 256 bytes or has control characters")
		}
		size += len(f.Data)
	}
	switch {
	case size > api.MaxPortalBytes:
		return &trouble{code: api.CodeTooLarge, detail: fmt.Sprintf("the files have more than %d MB together: sitegate mirror import takes larger ones", api.MaxPortalBytes>>20)}
	case in.Encoding != portal.Guess && in.Encoding != portal.UTF8 && in.Encoding != portal.Windows1252:
		return malformed("encoding is neither utf-8 nor windows-1252")
	case in.DryRun == (in.Saw != ""):
		return malformed("either dry_run is true, or saw is that of a report that was looked at")
	}
	return nil
}

// wouldImport reports why the rules would not take an import.
func (e *Endpoint) wouldImport(command license.Import) error {
	var d *license.Denial
	now := e.gw.Now()
	e.gw.View(func(s *license.State) { d = license.Check(s, now, command) })
	if d != nil {
		return denied{*d}
	}
	return nil
}

func (e *Endpoint) comparePortal(c *call, in api.PortalRequest) (files []*portal.File, d *portal.Diff, err error) {
	var faults portal.Faults
	for _, f := range in.Files {
		read, err := portal.Read(f.Name, f.Data, in.Encoding)
		if some, bad := errors.AsType[portal.Faults](err); bad {
			faults = append(faults, some...)
		} else if err != nil {
			return nil, nil, err
		}
		files = append(files, read)
	}
	if len(faults) > 0 {
		return nil, nil, faults
	}
	var now []api.MirrorRecord
	if err := e.eachMirrored(c.ctx, func(some []api.MirrorRecord) error {
		now = append(now, some...)
		return nil
	}); err != nil {
		return nil, nil, err
	}
	d, err = portal.Compare(now, files...)
	return files, d, err
}

// portalParts are the commands that make the changes; all of them are looked at before the
// first is made. The last says that it is.
func (e *Endpoint) portalParts(in api.PortalRequest, d *portal.Diff) ([]license.Import, error) {
	parts := []license.Import{}
	for some := range slices.Chunk(d.Changes, portalPart) {
		part := license.Import{By: in.By, Note: in.Note}
		for _, x := range some {
			r := x.Record()
			change, ok := imported(r)
			if !ok {
				return nil, malformed("a record is not as the site can have it: " + printable(r.Kind+" "+r.ID))
			}
			part.Changes = append(part.Changes, change)
		}
		if err := e.wouldImport(part); err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		parts = []license.Import{{By: in.By, Note: in.Note}} // it is as fresh as the files
	}
	parts[len(parts)-1].Last = true
	return parts, nil
}

func portalReport(in api.PortalRequest, files []*portal.File, d *portal.Diff) api.PortalReport {
	out := api.PortalReport{DryRun: in.DryRun, Saw: d.Seal(), Changes: len(d.Changes), NotFound: d.Nobody, Items: []api.PortalChange{},
		Counts: []api.PortalCount{{Kind: "user"}, {Kind: "product"}, {Kind: "license"}}}
	for _, f := range files {
		out.Uncapped += f.Uncapped
	}
	for i, x := range d.Changes {
		if i < portalShown {
			out.Items = append(out.Items, api.PortalChange{Was: x.Was, Now: x.Now})
		}
		n := &out.Counts[slices.IndexFunc(out.Counts, func(n api.PortalCount) bool { return n.Kind == x.Kind() })]
		switch {
		case x.Was == nil:
			n.New++
		case x.Now == nil:
			n.Gone++
		default:
			n.Changed++
		}
	}
	return out
}

func portalFaults(c *call, in api.PortalRequest, faults portal.Faults) api.PortalReport {
	out := api.PortalReport{DryRun: in.DryRun, Counts: []api.PortalCount{}, Items: []api.PortalChange{}}
	for _, f := range faults {
		out.Faults = append(out.Faults, api.PortalFault{File: f.File, Line: f.Line, Column: f.Column, Reason: f.Reason, Text: f.Text(c.lang)})
	}
	return out
}
