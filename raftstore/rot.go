package raftstore

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/ristretto/v2/z"
)

// errStateDamaged: what Badger has kept cannot be read back as it was written.
var errStateDamaged = errors.New("the state is damaged on disk: empty this node's data folder and let it join anew, or, if it is alone, restore the latest backup")

// checkFiles looks for what Badger 4.9.6 does not mind when it opens a database, or
// minds too late. A list of tables or a log that ends in the middle counts as torn by
// a crash; of the newest log that is right: what is left is the state of a little
// before, and the raft log goes on from there. Anywhere else it would leave a hole. A
// damaged table ends the process, an iteration over it, or a compaction, which then
// leaves out what comes behind. Tables that are not on the list were being written when
// the power went, or being removed: Badger removes them.
func checkFiles(o badger.Options) error {
	list := filepath.Join(o.Dir, badger.ManifestFilename)
	if err := checkManifest(list); err != nil {
		return fmt.Errorf("%w (the list of tables: %w)", errStateDamaged, err)
	}
	tables, err := listed(list, o)
	if err != nil {
		return fmt.Errorf("%w (the list of tables: %w)", errStateDamaged, err)
	}
	for _, id := range tables {
		path := table.NewFilename(id, o.Dir)
		if err := checkTable(path, o); err != nil {
			return fmt.Errorf("%w (%s: %w)", errStateDamaged, filepath.Base(path), err)
		}
	}
	if err := dropEmptyLogs(o.Dir); err != nil {
		return err
	}
	logs, err := memtableLogs(o.Dir)
	if err != nil {
		return err
	}
	for i, path := range logs {
		end, err := checkMemtable(path)
		switch {
		case err == nil:
		case i < len(logs)-1:
			return fmt.Errorf("%w (%s: %w)", errStateDamaged, filepath.Base(path), err)
		case errors.Is(err, errLength): // Badger would take so much memory
			if err := os.Truncate(path, end); err != nil {
				return fmt.Errorf("cutting off what was torn: %w", err)
			}
		}
	}
	return nil
}

// listed are the tables on a list that is whole.
func listed(path string, o badger.Options) ([]uint64, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // a new database
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, _, err := badger.ReplayManifestFile(f, 0, o)
	return slices.Sorted(maps.Keys(list.Tables)), err
}

// memtableLogs are the paths of the logs of memtables, the oldest first.
func memtableLogs(dir string) (logs []string, err error) {
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) { // a new database
		return nil, fmt.Errorf("looking for the state's logs: %w", err)
	}
	for _, f := range files {
		if filepath.Ext(f.Name()) == ".mem" {
			logs = append(logs, filepath.Join(dir, f.Name()))
		}
	}
	return logs, nil
}

// dropEmptyLogs removes logs of memtables without a byte in them, which Badger does not
// open: it cuts them to nothing before it removes them, once a table has what they had, and
// the length of a new one is on disk with its first transaction.
func dropEmptyLogs(dir string) error {
	logs, err := memtableLogs(dir)
	if err != nil {
		return err
	}
	for _, path := range logs {
		info, err := os.Stat(path)
		if err == nil && info.Size() == 0 {
			err = os.Remove(path)
		}
		if err != nil {
			return fmt.Errorf("removing an empty log of the state: %w", err)
		}
	}
	return nil
}

// checkTable reads all of a table.
func checkTable(path string, o badger.Options) (err error) {
	if err := checkFooter(path); err != nil {
		return err
	}
	f, err := z.OpenMmapFile(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer func() {
		if r := recover(); r != nil { // it trusts lengths, and fails to handle a block that fails
			err = fmt.Errorf("it cannot be read: %.100v", r)
		}
	}()
	t, err := table.OpenTable(f, table.Options{ReadOnly: true, BlockSize: o.BlockSize, Compression: o.Compression, ChkMode: options.OnTableRead})
	if err != nil {
		return err
	}
	return t.Close(-1)
}

// checkManifest reads all of a list of tables: 8 bytes, then changes, each behind its
// length and CRC. They are synced one by one, and each is a few bytes.
func checkManifest(path string) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // a new database
	}
	if err != nil {
		return err
	}
	if len(b) < 8 {
		return fmt.Errorf("it ends after %d bytes", len(b))
	}
	for at := 8; at < len(b); {
		if len(bytes.Trim(b[at:], "\x00")) == 0 {
			return nil
		}
		if len(b)-at < 8 {
			return fmt.Errorf("it ends in the middle of a change, at byte %d", at)
		}
		n := binary.BigEndian.Uint32(b[at:])
		change := b[at+8:]
		if uint64(n) > uint64(len(change)) {
			return fmt.Errorf("it ends in the middle of a change, at byte %d", at)
		}
		if crc32.Checksum(change[:n], crc32.MakeTable(crc32.Castagnoli)) != binary.BigEndian.Uint32(b[at+4:]) {
			return fmt.Errorf("the change at byte %d does not fit its checksum", at)
		}
		at += 8 + int(n)
	}
	return nil
}

// checkFooter looks at the lengths at the end of a table: of its index, and, behind
// the index's checksum, of that. What they enclose Badger checks itself.
func checkFooter(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	rest := info.Size()
	for _, what := range []string{"checksum", "index"} {
		var b [4]byte
		if rest -= int64(len(b)); rest < 0 {
			return errors.New("it is cut off")
		}
		if _, err := f.ReadAt(b[:], rest); err != nil {
			return err
		}
		n := int64(binary.BigEndian.Uint32(b[:]))
		if rest -= n; rest < 0 || n == 0 {
			return fmt.Errorf("its %s cannot have %d bytes", what, n)
		}
	}
	return nil
}

// checkMemtable reads all of the log of a memtable: 20 bytes, then entries, each with
// a CRC behind it, then zeros. It returns where the entries end that are whole.
func checkMemtable(path string) (end int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	const head = 20
	if _, err := r.Discard(head); err != nil {
		return 0, fmt.Errorf("it ends before its first entry")
	}
	for end = head; ; {
		n, err := readMemEntry(r)
		if err != nil {
			return end, fmt.Errorf("the entry at byte %d: %w", end, err)
		}
		if n == 0 {
			return end, onlyZeros(r)
		}
		end += int64(n)
	}
}

// readMemEntry reads an entry and returns its length, 0 where there is none any more.
func readMemEntry(r *bufio.Reader) (n int, err error) {
	const most = 2 + 2*binary.MaxVarintLen32 + binary.MaxVarintLen64
	head, err := r.Peek(most)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if len(bytes.Trim(head, "\x00")) == 0 {
		return 0, nil
	}
	if len(head) < 5 {
		return 0, errors.New("it is cut off")
	}
	n = 2 // flags
	var lengths [3]uint64
	for i := range lengths { // of key and value, and a time
		v, k := binary.Uvarint(head[n:])
		if k <= 0 {
			return 0, errors.New("its lengths are no numbers")
		}
		lengths[i] = v
		n += k
	}
	if lengths[0] == 0 || lengths[0] > 1<<16 || lengths[1] > 64<<20 {
		return 0, fmt.Errorf("%w: a key of %d and a value of %d bytes", errLength, lengths[0], lengths[1])
	}
	n += int(lengths[0] + lengths[1])
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if _, err := io.CopyN(sum, r, int64(n)); err != nil {
		return 0, errors.New("it is cut off")
	}
	var crc [4]byte
	if _, err := io.ReadFull(r, crc[:]); err != nil {
		return 0, errors.New("it is cut off")
	}
	if binary.BigEndian.Uint32(crc[:]) != sum.Sum32() {
		return 0, errors.New("it does not fit its checksum")
	}
	return n + len(crc), nil
}

// errLength: what follows is no entry, though something is there.
var errLength = errors.New("its lengths cannot be")

func onlyZeros(r io.Reader) error {
	b := make([]byte, 64<<10)
	for {
		n, err := r.Read(b)
		if len(bytes.Trim(b[:n], "\x00")) > 0 {
			return errors.New("something is behind its last entry")
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
