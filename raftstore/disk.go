package raftstore

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"sitegate/license"
)

// disk is the state as Badger keeps it: always the state at exactly one index of
// the log, its position. The database lives in a numbered folder; the file
// CURRENT names the one that counts, so that a snapshot from the leader takes its
// place in one step.
type disk struct {
	dir   string
	codec *codec
	log   *slog.Logger
	dbs   databases

	mu   sync.RWMutex // held for reading by who uses db, for writing by a swap
	db   *badger.DB
	name string // of the database's folder

	room   func() error // fails where the disk is full; nil: it is not watched
	keep   retention
	digest digest

	writing sync.Mutex // held by who writes to the database, or takes another one
	notes   notebook

	merging sync.Mutex    // held by who merges the database's tables, or closes it for good; before mu
	cut     atomic.Uint64 // events that were deleted since the tables were merged; at a start some may have been
	many    chan struct{} // of one: these are many

	viewers atomic.Int64 // who reads everything now
	leaveMu sync.Mutex
	leave   bool   // tables are merged: a database that is replaced meanwhile is left
	left    []left // to who merges

	forgotten atomic.Uint64 // events up to this one are shown to nobody, deleted or not

	posMu sync.Mutex
	pos   position
	seq   uint64    // of the last event at pos
	waits backlog   // at pos
	at    watermark // pos.Index
}

// left is what goes when another database has taken its place.
type left struct {
	db     *badger.DB // to be closed, where there is one
	folder string     // to be removed, where there is one
}

// loaded is a state as it was read from disk.
type loaded struct {
	state *license.State
	pos   position
	notes notebook
}

const currentFile = "CURRENT"

// firstFolder is the first database's folder, without its checksum.
const firstFolder = "000001"

// databases opens and closes databases, each in a folder of its own.
type databases interface {
	open(dir string, log *slog.Logger) (*badger.DB, error)
	close(db *badger.DB) error
}

// badgers are databases on the machine's own disk.
type badgers struct{}

func (badgers) open(dir string, log *slog.Logger) (*badger.DB, error) { return openBadger(dir, log) }

func (badgers) close(db *badger.DB) error { return db.Close() }

// openDisk opens the current database, or makes the first, and reads it.
func openDisk(dir string, dbs databases, c *codec, log *slog.Logger) (*disk, loaded, error) {
	if err := makeDir(dir); err != nil {
		return nil, loaded{}, err
	}
	d := &disk{dir: dir, dbs: dbs, codec: c, log: log, many: make(chan struct{}, 1)}
	d.cut.Store(1)
	name, err := d.current()
	if err != nil {
		return nil, loaded{}, err
	}
	if name == "" {
		name = folderName(firstFolder)
		if err := makeDir(filepath.Join(dir, name)); err != nil {
			return nil, loaded{}, err
		}
		if err := d.setCurrent(name); err != nil {
			return nil, loaded{}, err
		}
	}
	if there, err := os.Stat(filepath.Join(dir, name)); err != nil || !there.IsDir() { // before anything is swept away for it
		return nil, loaded{}, fmt.Errorf("%s names a state that is not there, %q: it is damaged, or the folder was not copied as a whole; restore the data folder from a backup, or empty it to join anew", filepath.Join(dir, currentFile), name)
	}
	if err := d.sweep(name); err != nil {
		return nil, loaded{}, err
	}
	db, err := dbs.open(filepath.Join(dir, name), log)
	if err != nil {
		return nil, loaded{}, err
	}
	l, err := readState(db, c)
	if err == nil {
		err = cutJournal(db, l.state.Head().Seq)
	}
	if err == nil {
		d.waits, err = beginBacklog(db, l.pos, l.state.Head())
	}
	if err != nil {
		return nil, loaded{}, errors.Join(err, dbs.close(db))
	}
	d.db, d.name, d.notes = db, name, l.notes
	d.forgotten.Store(l.state.Head().Forgotten.Sums.Through)
	if planted(bugAppliedTwice) {
		l.pos.Index -= min(l.pos.Index, 20)
	}
	d.digest.begin(l.state.Head().Seq, l.pos.Digest)
	d.moved(l.pos, l.state.Head().Seq)
	return d, l, nil
}

// openBadger opens a database with the settings of a small appliance: little
// memory, no value log, every transaction on disk before it returns (without
// that, what is left after a power loss is not a prefix of what was written). The
// memtables are large all the same: they take memory only as they fill, and each one
// that is full has the lowest level written anew.
//
// All tables are read once before anything is done with them: an iteration ends at a
// damaged block without an error, and a compaction would leave out what follows it.
func openBadger(dir string, log *slog.Logger) (*badger.DB, error) {
	return openDatabase(badgerOptions(dir, log))
}

func badgerOptions(dir string, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithMemTableSize(64 << 20).
		WithNumMemtables(2).
		WithNumCompactors(2).
		WithNumLevelZeroTables(2).
		WithNumLevelZeroTablesStall(6).
		WithValueLogFileSize(16 << 20).
		WithCompression(options.Snappy).
		WithBlockCacheSize(4 << 20).
		WithIndexCacheSize(0).
		WithDetectConflicts(false).
		WithMetricsEnabled(false).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithLogger(badgerLog{log})
}

func openDatabase(o badger.Options) (db *badger.DB, err error) {
	defer func() {
		if r := recover(); r != nil { // it trusts the lengths in its files
			err = fmt.Errorf("opening the state in %s: %w (%.200v)", o.Dir, errStateDamaged, r)
		}
	}()
	if err := checkFiles(o); err != nil {
		return nil, fmt.Errorf("opening the state in %s: %w", o.Dir, err)
	}
	if db, err = badger.Open(o); err != nil {
		return nil, fmt.Errorf("opening the state in %s: %w; where the disk is sound and has room: %w", o.Dir, err, errStateDamaged)
	}
	return db, nil
}

// sound fails where a block of the database is damaged, which who iterates over it
// may not have noticed.
func (d *disk) sound() error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.db == nil {
		return ErrClosed
	}
	if err := d.db.VerifyChecksum(); err != nil {
		return fmt.Errorf("%w (%w)", errStateDamaged, err)
	}
	return nil
}

// readPosition reads the position; a new database is at zero.
func readPosition(txn *badger.Txn, c *codec) (p position, err error) {
	item, err := txn.Get(positionKey())
	if errors.Is(err, badger.ErrKeyNotFound) {
		return position{}, nil
	}
	if err != nil {
		return position{}, fmt.Errorf("reading the position: %w", err)
	}
	err = item.Value(func(b []byte) error { p, err = c.decodePosition(b); return err })
	return p, err
}

// position is where in the log the state on disk is, and the seq of its last event.
func (d *disk) position() (position, uint64) {
	d.posMu.Lock()
	defer d.posMu.Unlock()
	return d.pos, d.seq
}

func (d *disk) moved(p position, seq uint64) {
	d.posMu.Lock()
	d.pos, d.seq = p, seq
	d.posMu.Unlock()
	d.at.raise(p.Index)
}

// close waits for readers and closes the database.
func (d *disk) close() error {
	d.merging.Lock()
	defer d.merging.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.db == nil {
		return nil
	}
	db := d.db
	d.db = nil
	if err := d.dbs.close(db); err != nil {
		return fmt.Errorf("closing the state: %w", err)
	}
	return nil
}

// view runs f on a consistent view of the database that stays as it is.
func (d *disk) view(f func(txn *badger.Txn) error) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.db == nil {
		return ErrClosed
	}
	return d.db.View(f)
}

// viewAll is view for who reads everything, which takes long. Tables are not merged meanwhile:
// what f could see would stay in them, deleted or not, and not be looked at again for long.
func (d *disk) viewAll(f func(txn *badger.Txn) error) error {
	d.viewers.Add(1)
	defer d.viewers.Add(-1)
	return d.view(f)
}

// swap makes the database in the folder name the current one and reads it. What
// was there before is removed; where its tables are being merged, once that is done, which
// swap does not wait for. When swap fails, the disk is closed: the node has
// to be started anew, with whichever database CURRENT names.
func (d *disk) swap(name string) (loaded, error) {
	d.writing.Lock()
	defer d.writing.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.db == nil {
		return loaded{}, ErrClosed
	}
	old, oldName := left{db: d.db}, d.name
	d.db = nil
	if !d.leaves() {
		if err := d.dbs.close(old.db); err != nil {
			return loaded{}, fmt.Errorf("closing the old state: %w", err)
		}
		old.db = nil
	}
	defer func() { d.retire(old) }()
	if err := d.setCurrent(name); err != nil {
		return loaded{}, err
	}
	db, err := d.dbs.open(filepath.Join(d.dir, name), d.log)
	if err != nil {
		return loaded{}, err
	}
	l, err := readState(db, d.codec)
	var waits backlog
	if err == nil {
		waits, err = beginBacklog(db, l.pos, l.state.Head())
	}
	if err != nil {
		return loaded{}, errors.Join(err, d.dbs.close(db))
	}
	d.db, d.name, d.notes = db, name, l.notes
	d.forgotten.Store(l.state.Head().Forgotten.Sums.Through)
	d.setBacklog(waits)
	d.keep = retention{events: d.keep.events}
	d.digest.begin(l.state.Head().Seq, l.pos.Digest)
	d.moved(l.pos, l.state.Head().Seq)
	old.folder = oldName
	return l, nil
}

// leaves reports whether a database that is replaced is left to who merges tables now.
func (d *disk) leaves() bool {
	d.leaveMu.Lock()
	defer d.leaveMu.Unlock()
	return d.leave
}

// leaving sets that, and removes what was left until it is unset.
func (d *disk) leaving(on bool) {
	d.leaveMu.Lock()
	var old []left
	if d.leave = on; !on {
		old, d.left = d.left, nil
	}
	d.leaveMu.Unlock()
	for _, l := range old {
		d.drop(l)
	}
}

// retire removes a database that was replaced, or leaves that to who merges tables now: it
// may be this one's.
func (d *disk) retire(old left) {
	d.leaveMu.Lock()
	leave := d.leave && old.db != nil
	if leave {
		d.left = append(d.left, old)
	}
	d.leaveMu.Unlock()
	if !leave {
		d.drop(old)
	}
}

func (d *disk) drop(old left) {
	var err error
	if old.db != nil {
		err = d.dbs.close(old.db)
	}
	if old.folder != "" {
		err = errors.Join(err, os.RemoveAll(filepath.Join(d.dir, old.folder)))
	}
	if err != nil {
		d.log.Warn("an old state could not be removed", "folder", old.folder, "err", err)
	}
}

func (d *disk) current() (string, error) {
	b, err := os.ReadFile(filepath.Join(d.dir, currentFile))
	if errors.Is(err, os.ErrNotExist) {
		return "", d.begun()
	}
	if err != nil {
		return "", fmt.Errorf("reading which state is the current one: %w", err)
	}
	name := strings.TrimSpace(string(b))
	if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return "", fmt.Errorf("%s names no state: %.40q; restore the data folder from a backup, or empty it to join anew", filepath.Join(d.dir, currentFile), name)
	}
	if err := checkFolderName(name); err != nil {
		return "", fmt.Errorf("%s is damaged: %w; restore the data folder from a backup, or empty it to join anew", filepath.Join(d.dir, currentFile), err)
	}
	return name, nil
}

// begun fails where there are states, though none is the current one. A start that was
// cut short has left an empty folder.
func (d *disk) begun() error {
	folders, err := os.ReadDir(d.dir)
	if err != nil {
		return fmt.Errorf("looking for states: %w", err)
	}
	for _, f := range folders {
		if !f.IsDir() || !strings.HasPrefix(f.Name(), "0") {
			continue
		}
		path := filepath.Join(d.dir, f.Name())
		inside, err := os.ReadDir(path)
		if err != nil {
			return fmt.Errorf("looking for states: %w", err)
		}
		if len(inside) > 0 {
			return fmt.Errorf("%s is missing, though there is a state, in %s: restore the data folder from a backup, or empty it to join anew", filepath.Join(d.dir, currentFile), path)
		}
	}
	return nil
}

// receive makes a folder for a database that may become the current one.
func (d *disk) receive() (name string, err error) {
	made, err := os.MkdirTemp(d.dir, "0")
	if err != nil {
		return "", err
	}
	name = folderName(filepath.Base(made))
	if err := os.Rename(made, filepath.Join(d.dir, name)); err != nil {
		return "", errors.Join(err, os.Remove(made))
	}
	return name, nil
}

func (d *disk) setCurrent(name string) error {
	return writeFileSync(filepath.Join(d.dir, currentFile), []byte(name+"\n"))
}

// sweep removes what a crash has left: databases that never became, or are no
// longer, the current one.
func (d *disk) sweep(current string) error {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return fmt.Errorf("looking for old states: %w", err)
	}
	for _, e := range entries {
		if e.Name() == current || e.Name() == currentFile {
			continue
		}
		if err := os.RemoveAll(filepath.Join(d.dir, e.Name())); err != nil {
			return fmt.Errorf("removing an old state: %w", err)
		}
	}
	return nil
}

// writeFileSync replaces a file in one step; it is on disk when it returns.
func writeFileSync(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, errors.Join(err, os.Remove(f.Name())))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing %s: %w", dir, err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("syncing %s: %w", dir, err)
	}
	return nil
}
