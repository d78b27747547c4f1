package console

import (
	"fmt"
	"net/http"
	"time"

	"sitegate/api"
)

// backupFacts are how the backups are that this node makes by itself.
func (v *visit) backupFacts(b *api.BackupStatus) []fact {
	last := cell{At: b.Last, Ago: true}
	switch {
	case b.Last.IsZero():
		last = cell{Tags: []tag{{v.t("backup.never"), "warn"}}}
	case b.Overdue:
		last.Tags = []tag{{v.t("backup.overdue"), "bad"}}
	}
	facts := []fact{{v.t("backup.folder"), cell{Text: clean(b.Folder), Code: true}}, {v.t("backup.last"), last},
		{v.t("backup.kept"), cell{Text: v.number(b.Kept), Sub: bytesOf(uint64(max(b.Bytes, 0)))}}, {v.t("backup.every"), cell{Text: (time.Duration(b.EveryMS) * time.Millisecond).String()}}}
	if b.Problem != "" {
		facts = append(facts, fact{v.t("backup.problem"), cell{Text: sentence(b.Problem)}})
	}
	return facts
}

// seeBackup says what making a backup in the node's folder does.
func seeBackup(v *visit) (*subject, error) {
	s, err := v.status()
	if err != nil {
		return nil, err
	}
	if s.Backup == nil {
		return nil, &gone{"backup"}
	}
	return &subject{of: clean(s.Node), facts: v.backupFacts(s.Backup), does: []string{v.t("backup.does.1"), v.t("backup.does.2")}, back: at("cluster"), done: "backup", state: s.Node}, nil
}

func doBackup(v *visit, _ *subject) (*page, error) {
	var made api.MadeBackup
	if err := v.post(api.PathBackup, nil, &made); err != nil {
		return nil, err
	}
	return &page{Title: v.t("act.backup"), Done: v.t("done.backup"), Still: true, Actions: []link{{Text: v.t("back"), Href: at("cluster")}}, Sections: []section{{ID: "made", Facts: []fact{
		{v.t("backup.folder"), cell{Text: clean(made.Folder), Code: true}}, {v.t("backup.file"), cell{Text: clean(made.File), Code: true}},
		{v.t("cluster.index"), cell{Text: fmt.Sprint(made.Index)}}, {v.t("backup.size"), cell{Text: bytesOf(uint64(max(made.Bytes, 0)))}}}}}}, nil
}

// seeBackupFile says what downloading a backup does.
func seeBackupFile(v *visit) (*subject, error) {
	s, err := v.status()
	if err != nil {
		return nil, err
	}
	return &subject{of: clean(s.Node), does: []string{v.t("backup-file.does.1"), v.t("backup-file.does.2"), v.t("backup-file.does.3")}, back: at("cluster"), state: s.Node}, nil
}

// giveBackup passes a backup on as the node makes it. One that cannot be made to its end
// breaks off.
func giveBackup(w http.ResponseWriter, v *visit) {
	ask, err := http.NewRequestWithContext(v.r.Context(), "GET", api.PathBackup, nil)
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	v.lend(ask)
	d := &download{ResponseWriter: w, name: "sitegate-" + time.Now().UTC().Format("20060102T150405Z") + ".backup"}
	v.c.cfg.API.ServeHTTP(d, ask)
	if d.refused != nil {
		v.trouble(w, "cluster", d.refused.failure("GET", api.PathBackup))
	}
}

// download is kept as a file once there is something of it. A refusal is none, and is kept
// to be shown.
type download struct {
	http.ResponseWriter
	name    string
	begun   bool
	refused *answer
}

// WriteHeader says that it is a file.
func (d *download) WriteHeader(status int) {
	switch {
	case d.begun:
		return
	case status == http.StatusOK:
		attached(d.ResponseWriter, "application/octet-stream", d.name)
		d.ResponseWriter.WriteHeader(status)
	default:
		d.refused = &answer{header: d.Header(), status: status}
	}
	d.begun = true
}

// Write begins with the status of a file where none was written.
func (d *download) Write(b []byte) (int, error) {
	d.WriteHeader(http.StatusOK)
	if d.refused != nil {
		return d.refused.Write(b)
	}
	return d.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController: a reader that stalls is given up.
func (d *download) Unwrap() http.ResponseWriter { return d.ResponseWriter }
