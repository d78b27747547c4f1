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

	"sitegate/api"
	"sitegate/endpoint"
	"sitegate/raftstore"
)

// backupMaker is the store, as far as backups are concerned.
type backupMaker interface {
	Backup(ctx context.Context, w io.Writer, begin func(raftstore.Backup)) (raftstore.Backup, error)
}

// giveBackup answers on the operator's socket with a backup. One that fails in the
// middle breaks the connection off: its reader notices that the end is missing.
func giveBackup(store backupMaker, refuse refusing, log *slog.Logger) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := w.Header().Get("X-Request-Id")
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
			refuse(w, endpoint.NotDone(api.CodeNoBackup, err))
		}
	}
}

// backUpNow has the node make a backup in its folder, which it does by itself now and then.
// scheduled may be nil: it has no folder.
func backUpNow(scheduled *backups, refuse refusing, log *slog.Logger) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if scheduled == nil {
			refuse(w, endpoint.NotDone(api.CodeNoBackup+"/folder", errors.New("backup.folder is not set")))
			return
		}
		m, err := scheduled.now(r.Context())
		switch {
		case errors.Is(err, errUnderWay):
			refuse(w, endpoint.NotDone(api.CodeNoBackup+"/under-way", err))
		case err != nil:
			log.Warn("a backup for the operator could not be made", "id", w.Header().Get("X-Request-Id"), "err", err)
			refuse(w, endpoint.NotDone(api.CodeNoBackup, err))
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
