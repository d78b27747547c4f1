package raftstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/google/uuid"
	"github.com/hashicorp/raft"

	"sitegate/license"
	"sitegate/raftstore/wal"
)

// Beginning is how a node goes on from a backup, or from its own data alone: as the
// only node of a new epoch. The others' data is of the old one; they join with empty
// folders.
type Beginning struct {
	// Dir is the node's data folder, Node its name, as in Config.
	Dir, Node string
	// Address is where other nodes will reach it; empty for one that stands alone.
	Address string
	// Generation is that of the node's certificate (siteca.GenerationOf).
	Generation uint64
	// Cluster is the site's identity that the node's certificate has. Empty takes the
	// backup's.
	Cluster string
	// OtherCluster lets a backup of another cluster be taken.
	OtherCluster bool
	// AcceptTime lets the time go on from this machine's clock though that is more
	// than a week ahead of the backup's last entry.
	AcceptTime bool
	// Clock is the wall clock: default time.Now.
	Clock  func() time.Time
	Logger *slog.Logger
	// Progress hears how many of how many pairs have been worked on; may be nil.
	Progress func(done, all uint64)
}

// Begun is what a node goes on from.
type Begun struct {
	Epoch uint64
	Index uint64
	Time  license.Time // of the last entry that is left
	// Others are the members that have to join again.
	Others []string
}

// Restore builds a node's data folder from a backup. The folder must not be there
// yet, or be empty; it is there as a whole or not at all. What the folder lacks in the
// end is what was answered after the backup: the node's first leadership begins the
// wait for it (license.Resume).
//
// It refuses, with the reason and the way out, a backup that is not whole, was
// edited, is of another cluster or a newer version, and a folder with data in it.
func Restore(b Beginning, backup io.ReadSeeker) (Begun, error) {
	if err := b.check(); err != nil {
		return Begun{}, err
	}
	if err := emptyFolder(b.Dir); err != nil {
		return Begun{}, err
	}
	c, err := newCodec()
	if err != nil {
		return Begun{}, err
	}
	all := uint64(0)
	reader := BackupReader{
		Begin:    func(info Backup) error { all = 2 * info.Pairs(); return b.accepts(&info) },
		Progress: func(done uint64) { b.progress(done, all) },
	}
	info, st, sum, err := reader.verify(backup, c)
	if err != nil {
		return Begun{}, fmt.Errorf("the backup cannot be restored: %w", err)
	}
	if b.Cluster == "" {
		b.Cluster = info.Cluster
	}
	work, err := os.MkdirTemp(filepath.Dir(b.Dir), ".restoring-")
	if err != nil {
		return Begun{}, fmt.Errorf("making the data folder: %w", err)
	}
	begun, err := b.build(work, c, st, info, func(db *badger.DB) error {
		if _, err := backup.Seek(0, io.SeekStart); err != nil {
			return err
		}
		reader.Progress = func(done uint64) { b.progress(all/2+done, all) }
		return fillFrom(db, backup, reader, c, sum)
	})
	if err == nil {
		err = putInPlace(work, b.Dir)
	}
	if err != nil {
		return Begun{}, errors.Join(fmt.Errorf("restoring into %s: %w", b.Dir, err), os.RemoveAll(work))
	}
	return begun, nil
}

func (b *Beginning) check() error {
	if b.Clock == nil {
		b.Clock = time.Now
	}
	switch {
	case b.Dir == "":
		return errors.New("no data folder is set")
	case b.Logger == nil:
		return errors.New("no logger is set")
	case !nodeName.MatchString(b.Node):
		return fmt.Errorf("node name %q: use 1 to 63 letters, digits, dots, dashes or underscores", b.Node)
	case b.Cluster != "" && !nodeName.MatchString(b.Cluster):
		return fmt.Errorf("cluster id %q: use a UUID", b.Cluster)
	}
	return nil
}

func (b *Beginning) progress(done, all uint64) {
	if b.Progress != nil {
		b.Progress(done, all)
	}
}

// accepts refuses the backup of another cluster, and a clock that cannot be right.
func (b *Beginning) accepts(info *Backup) error {
	if b.Cluster != "" && info.Cluster != b.Cluster && !b.OtherCluster {
		return &OtherCluster{Backup: info.Cluster, Node: b.Cluster}
	}
	return b.acceptsTime(info.Time)
}

// OtherCluster refuses a backup of a cluster that the node is not of.
type OtherCluster struct{ Backup, Node string }

// Error says which is which.
func (o *OtherCluster) Error() string {
	return fmt.Sprintf("it is of cluster %s, this node is of %s", o.Backup, o.Node)
}

// WrongTime refuses a clock that is behind the last entry, or too far ahead of it.
type WrongTime struct{ Clock, Last license.Time }

// Error says what the clock says.
func (w *WrongTime) Error() string {
	return fmt.Sprintf("this machine's clock says %s, and the last entry is of %s", w.Clock, w.Last)
}

func (b *Beginning) acceptsTime(last license.Time) error {
	now := license.TimeOf(b.Clock())
	if off := now.Sub(last); off < -wallTolerance || off > restartTolerance && !b.AcceptTime {
		return &WrongTime{now, last}
	}
	return nil
}

// emptyFolder refuses a folder with something in it.
func emptyFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return makeDir(filepath.Dir(dir))
	case err != nil:
		return fmt.Errorf("looking into the data folder: %w", err)
	case len(entries) > 0:
		return fmt.Errorf("there is data in %s already, and nothing is overwritten; move it away, and keep it until all is well", dir)
	}
	return nil
}

// epoch is later than any that the site can have had, whatever the state knows of: two
// restores of one backup must not be one epoch. So it is the time, in seconds.
func (b *Beginning) epoch(known uint64) uint64 {
	return max(known+1, uint64(max(b.Clock().Unix(), 0)))
}

// begin makes a state of before the first of the new epoch, and tells where its node
// goes on.
func (b *Beginning) begin(st *license.State, instance string, at position, members []string, recovered bool) (position, Begun) {
	head := st.Head()
	begun := Begun{Epoch: b.epoch(head.Epoch), Index: at.Index, Time: head.Now}
	for _, m := range members {
		if m != b.Node {
			begun.Others = append(begun.Others, m)
		}
	}
	st.Restore(license.Beginning{Epoch: begun.Epoch, Cluster: b.Cluster, At: license.TimeOf(b.Clock()), Recovered: recovered,
		Node: b.Node, Instance: instance, Generation: b.Generation, Members: members})
	address := b.Address
	if address == "" {
		address = b.Node
	}
	alone := raft.Configuration{Servers: []raft.Server{{ID: raft.ServerID(b.Node), Address: raft.ServerAddress(address)}}}
	pos := position{Index: at.Index, Term: at.Term, ConfigIndex: at.Index, Config: raft.EncodeConfiguration(alone), Cluster: b.Cluster, Digest: at.Digest}
	return pos.at(head), begun
}

// build makes a data folder in work: what fill puts there, and over it what the new
// epoch changes.
func (b *Beginning) build(work string, c *codec, st *license.State, info Backup, fill func(*badger.DB) error) (begun Begun, err error) {
	instance, err := uuid.NewRandom()
	if err != nil {
		return begun, fmt.Errorf("drawing an id for the data folder: %w", err)
	}
	pos, begun := b.begin(st, instance.String(), position{Index: info.Index, Term: info.Term, Digest: info.Digest}, info.Members, false)
	first := folderName(firstFolder)
	state := filepath.Join(work, "state", first)
	if err := makeDir(state); err != nil {
		return begun, err
	}
	db, err := openBadger(state, b.Logger)
	if err != nil {
		return begun, err
	}
	if err = fill(db); err == nil {
		err = putBeginning(db, c, st, pos)
	}
	if err == nil {
		_, err = readState(db, c)
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return begun, err
	}
	if err := writeFileSync(filepath.Join(work, "state", currentFile), []byte(first+"\n")); err != nil {
		return begun, err
	}
	if err := b.emptyLog(work, info.Term); err != nil {
		return begun, err
	}
	id := identity{Cluster: b.Cluster, Node: b.Node, Instance: instance.String()}
	return begun, id.write(filepath.Join(work, identityFile))
}

// emptyLog makes a log without entries and votes, whose node goes on in the term.
func (b *Beginning) emptyLog(work string, term uint64) error {
	dir := filepath.Join(work, "log")
	if err := makeDir(dir); err != nil {
		return err
	}
	l, err := wal.Open(wal.Options{FS: wal.OS(dir), Logger: b.Logger})
	if err != nil {
		return fmt.Errorf("making an empty log: %w", err)
	}
	return errors.Join(l.SetUint64([]byte(raftTerm), term), l.Close())
}

// raftTerm is the key under which raft keeps its term.
const raftTerm = "CurrentTerm"

// fillFrom puts the pairs of a backup into a database. sum is the checksum of its first
// reading: a file that has changed since is refused.
func fillFrom(db *badger.DB, backup io.Reader, reader BackupReader, c *codec, sum []byte) error {
	batch := db.NewWriteBatch()
	_, again, err := reader.read(backup, c, batch.Set)
	if err == nil && string(again) != string(sum) {
		err = errors.New("the backup was changed while it was read")
	}
	if err != nil {
		batch.Cancel()
		return err
	}
	return batch.Flush()
}

// putBeginning writes what the new epoch has changed in the state, and its position,
// in one step. The database has no notes.
func putBeginning(db *badger.DB, c *codec, st *license.State, pos position) error {
	var s sealed
	if err := s.take(st, c); err != nil {
		return err
	}
	return db.Update(func(txn *badger.Txn) error {
		if err := s.putRecords(txn); err != nil {
			return err
		}
		for i := range s.active {
			if err := s.active[i].put(txn); err != nil {
				return err
			}
		}
		v, err := c.position(pos)
		if err != nil {
			return err
		}
		return txn.Set(positionKey(), v)
	})
}

// putInPlace gives a folder that is complete its name.
func putInPlace(work, dir string) error {
	err := filepath.WalkDir(work, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return syncDir(path)
	})
	if err != nil {
		return err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // something has come into it
	}
	if err := os.Rename(work, dir); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}
