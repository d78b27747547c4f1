package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"sitegate/api"
	"sitegate/raftstore"
)

// backupMaker is the store, as far as backups are concerned.
type backupMaker interface {
	Backup(ctx context.Context, w io.Writer, begin func(raftstore.Backup)) (raftstore.Backup, error)
}

// giveBackup answers on the operator's socket with a backup. One that fails in the
// middle breaks the connection off: its reader notices that the end is missing.
func giveBackup(store backupMaker, log *slog.Logger) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := uuid.NewString()
		w.Header().Set("X-Request-Id", id)
		begun := false
		to := &patient{w: w, control: http.NewResponseController(w)}
		b, err := store.Backup(r.Context(), to, func(b raftstore.Backup) {
			begun = true
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set(pairsHeader, strconv.FormatUint(b.Pairs(), 10))
			w.WriteHeader(http.StatusOK)
			_ = to.control.Flush() // the reader begins to count; a broken connection shows at the next write
		})
		switch {
		case err == nil:
			log.Info("a backup was made for the operator", "id", id, "index", b.Index, "bytes", to.n, "current", b.Current)
		case begun:
			log.Warn("a backup for the operator could not be made", "id", id, "err", err)
			panic(http.ErrAbortHandler)
		default:
			log.Warn("a backup for the operator could not be made", "id", id, "err", err)
			noBackup(w, id, http.StatusServiceUnavailable, err, "Look at sitegate status.", "Then try again.")
		}
	}
}

// noBackup says why there is none.
func noBackup(w http.ResponseWriter, id string, status int, err error, next ...string) {
	w.Header().Set("Content-Type", api.ProblemType)
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(api.Problem{Type: api.ProblemBase + "no-backup", Code: "no-backup", Status: status,
		Title: "No backup can be made", Detail: err.Error(), RequestID: id, Next: next}) // who has gone reads no answer
}

// backUpNow has the node make a backup in its folder, which it does by itself now and then.
// scheduled may be nil: it has no folder.
func backUpNow(scheduled *backups, log *slog.Logger) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := uuid.NewString()
		w.Header().Set("X-Request-Id", id)
		if scheduled == nil {
			noBackup(w, id, http.StatusConflict, errors.New("this node has no folder for backups"), "Set backup.folder in the node's configuration and start it anew.", "Or take a backup into a file: sitegate backup FILE.")
			return
		}
		m, err := scheduled.now(r.Context())
		switch {
		case errors.Is(err, errUnderWay):
			noBackup(w, id, http.StatusConflict, err, "Look at sitegate status: it says when the last one was made.")
		case err != nil:
			log.Warn("a backup for the operator could not be made", "id", id, "err", err)
			noBackup(w, id, http.StatusServiceUnavailable, err, "Look at sitegate status.", "Then try again.")
		default:
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(api.MadeBackup{Folder: scheduled.cfg.Folder, File: m.file, At: m.at, Index: m.index, Bytes: m.size}) // who has gone reads no answer
		}
	}
}

// patient writes for a reader that may be slow, but not asleep: while a backup is
// read, the node cannot take over a leader's state.
type patient struct {
	w       io.Writer
	control *http.ResponseController
	n       int64
}

const patience = 30 * time.Second // for one write

// Write writes within patience.
func (p *patient) Write(b []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	n, err := p.w.Write(b)
	p.n += int64(n)
	return n, err
}
