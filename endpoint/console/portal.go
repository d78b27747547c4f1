package console

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"sitegate/api"
)

// maxPortalForm bounds the form that brings files of the vendor's portal, or keeps them.
const maxPortalForm = api.MaxPortalBytes/3*4 + maxForm

const importPath = "mirror/import"

// followsFeed reports whether the cloud's feed is where the mirror is from: then nothing is
// imported.
func (v *visit) followsFeed() (bool, error) {
	s, err := v.status()
	return err == nil && s.Mirror.Cursor != "", err
}

// seeImport asks for what the vendor's portal exports.
func seeImport(v *visit) (*subject, error) {
	if follows, err := v.followsFeed(); err != nil {
		return nil, err
	} else if follows {
		return nil, &gone{"feed"}
	}
	return &subject{title: v.t("import.title"), does: []string{v.t("import.does.1"), v.t("import.does.2"), v.t("import.does.3")}, multi: true,
		fields: []field{{Name: "users", Kind: "file", Label: v.t("import.users"), Help: v.t("import.users.help")}, {Name: "licenses", Kind: "file", Label: v.t("import.licenses"), Help: v.t("import.licenses.help")}},
		note:   true, must: true, own: true, back: at("licenses"), done: "import", state: "import"}, nil
}

// doImport shows what the files would change, and changes that once it was confirmed. The
// form by which it is confirmed keeps the files, so that whichever node it comes to has them.
func doImport(v *visit, s *subject) (*page, error) {
	files, err := v.brought("users", "licenses")
	if err != nil {
		return nil, &failed{api.Problem{Status: 422, Title: v.t("import.title"), Detail: v.t("import.unread")}}
	}
	if len(files) == 0 {
		return nil, &failed{api.Problem{Status: 422, Title: v.t("import.title"), Detail: v.t("import.none")}}
	}
	in := api.PortalRequest{Files: files, DryRun: true, By: v.who.Name, Note: v.reason()}
	var stale *alert
	if saw := v.r.PostFormValue("diff"); saw != "" {
		in.DryRun, in.Saw = false, saw
	}
	var report api.PortalReport
	err = v.post(api.PathMirror+"/files", in, &report)
	var f *failed
	if errors.As(err, &f) && f.Code == api.CodeChanged {
		_, stale = v.alertOf(err)
		in.DryRun, in.Saw = true, ""
		err = v.post(api.PathMirror+"/files", in, &report)
	}
	switch {
	case err != nil:
		return nil, err
	case len(report.Faults) > 0:
		return v.faultyImport(s, report), nil
	case !report.DryRun:
		return nil, nil
	}
	return v.importPreview(files, report, stale)
}

// brought are the files of a form, or those that it keeps.
func (v *visit) brought(names ...string) (files []api.PortalFile, err error) {
	if kept := v.r.PostFormValue("kept"); kept != "" {
		return unpacked(kept)
	}
	for _, name := range names {
		f, head, err := v.r.FormFile(name)
		if errors.Is(err, http.ErrMissingFile) || errors.Is(err, http.ErrNotMultipart) {
			continue
		} else if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(f)
		f.Close()
		if err != nil {
			return nil, err
		}
		if len(data) > 0 {
			files = append(files, api.PortalFile{Name: clean(head.Filename), Data: data})
		}
	}
	return files, nil
}

// packed is files as a form keeps them.
func packed(files []api.PortalFile) (string, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		w, err := z.Create(f.Name)
		if err != nil {
			return "", err
		}
		if _, err := w.Write(f.Data); err != nil {
			return "", err
		}
	}
	if err := z.Close(); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b.Bytes()), nil
}

// unpacked are files that a form has kept. They are not trusted to be what it was given.
func unpacked(kept string) (files []api.PortalFile, err error) {
	b, err := base64.RawURLEncoding.DecodeString(kept)
	if err != nil {
		return nil, err
	}
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	for most := int64(api.MaxPortalBytes); len(files) < len(z.File); {
		x := z.File[len(files)]
		f, err := x.Open()
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(io.LimitReader(f, most+1))
		f.Close()
		if err != nil {
			return nil, err
		}
		if most -= int64(len(data)); most < 0 || len(files) == 2 {
			return nil, errors.New("these are more files than a form keeps")
		}
		files = append(files, api.PortalFile{Name: clean(x.Name), Data: data})
	}
	return files, nil
}

// faultyImport is what is wrong with the files, and the form once more.
func (v *visit) faultyImport(s *subject, report api.PortalReport) *page {
	p := v.formOf(actOf{key: "import"}, s, &alert{Title: v.t("import.refused"), Detail: v.t("import.refused.detail")})
	p.Form.Action = at(importPath)
	t := &table{Caption: v.t("import.faults"), Columns: []string{v.t("import.file"), v.t("bulk.row"), v.t("import.column"), v.t("col.what")}}
	for i, x := range report.Faults {
		line := cell{Number: true}
		if x.Line > 0 {
			line.Text = fmt.Sprint(x.Line)
		}
		t.Rows = append(t.Rows, row{ID: fmt.Sprint("f", i), Cells: []cell{{Text: clean(x.File)}, line, {Text: clean(x.Column)}, {Text: sentence(x.Text)}}})
	}
	p.Sections = []section{{ID: "faults", Heading: v.t("import.faults"), Table: t}}
	return p
}

// importPreview is what files would change, to be confirmed.
func (v *visit) importPreview(files []api.PortalFile, report api.PortalReport, stale *alert) (*page, error) {
	kept, err := packed(files)
	if err != nil {
		return nil, err
	}
	p := &page{Title: v.t("import.title"), Lead: v.t("import.preview", v.number(report.Changes)), Alert: stale,
		Form: &form{Action: at(importPath), Submit: v.t("import.make", v.number(report.Changes)), Cancel: at("licenses"), Facts: []fact{{v.t("form.reason"), cell{Text: clean(v.reason())}}},
			Hidden: map[string]string{"diff": report.Saw, "kept": kept, "reason": v.reason(), "saw": seal("import")}}}
	counts := &table{Caption: v.t("import.counts"), Columns: []string{v.t("col.kind"), v.t("import.new"), v.t("import.changed"), v.t("import.gone")}}
	for _, n := range report.Counts {
		counts.Rows = append(counts.Rows, row{ID: "n-" + n.Kind, Cells: []cell{{Text: v.t("import." + n.Kind + "s.short")}, {Text: v.number(n.New), Number: true}, {Text: v.number(n.Changed), Number: true}, {Text: v.number(n.Gone), Number: true}}})
		p.Form.Danger = p.Form.Danger || n.Gone > 0
	}
	if report.NotFound > 0 {
		p.Form.Does = append(p.Form.Does, v.t("import.not-found", v.number(report.NotFound)))
	}
	if report.Uncapped > 0 {
		p.Form.Does = append(p.Form.Does, v.t("import.uncapped", v.number(report.Uncapped)))
	}
	p.Sections = []section{{ID: "counts", Heading: v.t("import.counts"), Table: counts}, {ID: "changes", Heading: v.t("import.changes"), Table: v.importChanges(report.Items), Empty: v.t("import.nothing")}}
	if more := report.Changes - len(report.Items); more > 0 {
		p.Sections[1].Note = v.t("import.more", v.number(len(report.Items)), v.number(more))
	}
	return p, nil
}

func (v *visit) importChanges(items []api.PortalChange) *table {
	t := &table{Caption: v.t("import.changes"), Columns: []string{v.t("col.id"), v.t("col.what"), v.t("import.was"), v.t("import.now")}}
	for _, x := range items {
		what, is := tag{v.t("import.changed"), "info"}, x.Now
		switch {
		case x.Now == nil:
			what, is = tag{v.t("import.gone"), "bad"}, x.Was
		case x.Was == nil:
			what = tag{v.t("import.new"), "good"}
		}
		t.Rows = append(t.Rows, row{ID: is.Kind + " " + is.ID, Cells: []cell{{Text: clean(is.ID), Sub: v.t("import." + is.Kind), Code: true}, {Tags: []tag{what}}, v.recordCell(x.Was), v.recordCell(x.Now)}})
	}
	return t
}

// recordCell is what a record says.
func (v *visit) recordCell(r *api.MirrorRecord) (c cell) {
	if r == nil {
		return c
	}
	said := []string{r.Name, r.Email, r.Country}
	if r.Kind == "license" {
		if said = []string{r.Product, r.Assignee}; r.Assignee == "" {
			said[1] = v.t("license.unassigned.short")
		}
		term := "… " + day(r.Ends)
		if !r.Starts.IsZero() {
			term = day(r.Starts) + " " + term
		}
		if said = append(said, term); !r.AssignedAt.IsZero() {
			said = append(said, v.t("import.assigned", day(r.AssignedAt)))
		}
	}
	var parts []string
	for _, x := range said {
		if x = clean(x); x != "" {
			parts = append(parts, x)
		}
	}
	c.Text = strings.Join(parts, " · ")
	switch {
	case r.Blocked:
		c.Tags = []tag{{v.t("tag.blocked"), "warn"}}
	case r.Capped == "yes":
		c.Tags = []tag{{v.t("tag.capped"), "info"}}
	case r.Capped == "unknown":
		c.Tags = []tag{{v.t("tag.capped-unknown"), "warn"}}
	}
	return c
}
