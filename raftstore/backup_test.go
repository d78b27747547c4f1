package raftstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sitegate/license"
)

// backupOf makes a backup of a node.
func backupOf(t testing.TB, s *Store) ([]byte, Backup) {
	t.Helper()
	var b bytes.Buffer
	info, err := s.Backup(limited(t), &b, nil)
	if err != nil {
		t.Fatalf("backing %s up: %v", s.cfg.Node, err)
	}
	return b.Bytes(), info
}

// smallBackup is of a site with three users, of which one works and one has a
// checkout.
func smallBackup(t testing.TB) ([]byte, Backup) {
	t.Helper()
	s := single(t, t.TempDir(), func(c *Config) { c.Cluster = testCluster; c.Version = "1.2.3" })
	do(t, s, fill(3))
	do(t, s, start(1, 0, "WS-1"))
	do(t, s, license.CheckOut{ID: testID(2), User: userID(1), Product: "1000", Machine: license.Machine{ID: "LT-1"}, Agreed: true, Until: s.Now().Add(72 * time.Hour)})
	return backupOf(t, s)
}

func beginning(t testing.TB, dir string) Beginning {
	return Beginning{Dir: dir, Node: "n1", Cluster: testCluster, Logger: testLog(t, "n1")}
}

func TestABackupSaysWhatIsInIt(t *testing.T) {
	file, info := smallBackup(t)
	var heard Backup
	var last uint64
	r := BackupReader{Begin: func(b Backup) error { heard = b; return nil }, Progress: func(n uint64) { last = n }}
	got, contents, err := r.Verify(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, info) || !reflect.DeepEqual(heard, info) {
		t.Errorf("made %+v, read %+v, heard %+v", info, got, heard)
	}
	if got.Cluster != testCluster || got.Node != "n1" || got.Program != "1.2.3" || got.Epoch != 1 || got.Level != license.Level || !got.Current ||
		got.Index == 0 || got.Time == 0 || got.Made == 0 || got.Events != got.Seq || last != got.Pairs() {
		t.Errorf("got %+v after %d pairs", got, last)
	}
	if contents.Users != 3 || contents.Sessions != 1 || contents.Checkouts != 1 {
		t.Errorf("contents %+v, want 3 users, a session, a checkout", contents)
	}
	if checked, err := r.Check(bytes.NewReader(file)); err != nil || !reflect.DeepEqual(checked, info) {
		t.Errorf("Check gives %+v, %v", checked, err)
	}
}

// A backup that is made under load holds everything that was answered before it was
// asked for, and is one moment's state.
func TestABackupUnderLoadIsOneMoment(t *testing.T) {
	c := newCluster(t, nil)
	c.do(fill(200))
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var mu sync.Mutex
	answered := 0
	for w := range 4 {
		load.Go(func() {
			for n := w; ctx.Err() == nil && n < 200; n += 4 {
				if out, err := c.leader().Propose(ctx, start(n+1, n, "WS")); err == nil && out.Denial == nil {
					mu.Lock()
					answered++
					mu.Unlock()
				}
			}
		})
	}
	eventually(t, func() error {
		mu.Lock()
		defer mu.Unlock()
		if answered < 20 {
			return errors.New("no load yet")
		}
		return nil
	})
	for name, s := range c.nodes {
		mu.Lock()
		before := answered
		mu.Unlock()
		file, info := backupOf(t, s)
		_, contents, err := BackupReader{}.Verify(bytes.NewReader(file))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if contents.Sessions < before || !info.Current || info.Node != name {
			t.Errorf("%s: %d sessions in %+v, of %d that were answered before", name, contents.Sessions, info, before)
		}
	}
	cancel()
	load.Wait()
}

// As a node's schedule may want it: the node leads a moment after it was opened.
func TestABackupRightAtTheStartWaitsForTheLeader(t *testing.T) {
	dir := t.TempDir()
	s := single(t, dir)
	do(t, s, fill(1))
	closeStore(t, s)
	s, err := Open(Config{Dir: dir, Node: "n1", Logger: testLog(t, "n1"), segment: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	if info, err := s.Backup(limited(t), io.Discard, nil); err != nil || !info.Current {
		t.Errorf("got %+v, %v; want a backup that a leader has confirmed", info, err)
	}
}

// A follower knows what was answered before it was asked to catch up, however shortly before.
func TestANodeThatHasCaughtUpKnowsWhatWasAnswered(t *testing.T) {
	c := newCluster(t, nil)
	const starts = 50
	c.do(fill(starts))
	f := c.follower()
	for i := range starts {
		c.do(start(i, i, "WS-1"))
		eventually(t, func() error { return f.CatchUp(limited(t)) }) // the leader may change meanwhile
		f.View(func(st *license.State) {
			if st.Session(testID(i)) == nil {
				t.Errorf("session %d is not known", i)
			}
		})
	}
}

// Where no leader can be asked, a node still gives what it has, and says so.
func TestABackupWithoutALeaderSaysThatItMayLackSomething(t *testing.T) {
	c := newCluster(t, nil)
	c.do(fill(1))
	c.alike()
	left := c.follower().cfg.Node
	for name := range c.nodes {
		if name != left {
			c.crash(name)
		}
	}
	file, info := backupOf(t, c.nodes[left])
	if _, contents, err := (BackupReader{}).Verify(bytes.NewReader(file)); err != nil || info.Current || contents.Users != 1 {
		t.Errorf("got %+v with %d users, %v; want one user, not current", info, contents.Users, err)
	}
}

func TestARestoredNodeGoesOnFromTheBackup(t *testing.T) {
	file, info := smallBackup(t)
	dir := filepath.Join(t.TempDir(), "store")
	b := beginning(t, dir)
	var most, all uint64
	b.Progress = func(done, of uint64) { most, all = max(most, done), of }
	begun, err := Restore(b, bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if begun.Epoch < uint64(time.Now().Add(-time.Hour).Unix()) || begun.Index != info.Index || most != 2*info.Pairs() || all != most {
		t.Errorf("begun %+v after %d of %d pairs", begun, most, all)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "*")); err != nil || len(left) != 1 {
		t.Errorf("left are %q, %v; want the data folder alone", left, err)
	}
	s := single(t, dir)
	var head license.Head
	var session *license.Session
	s.View(func(st *license.State) { head, session = st.Head(), st.Session(testID(1)) })
	if head.Epoch != begun.Epoch || head.Restored.Pending || head.Restored.Until != head.Restored.At.Add(license.MaxLeaseTTL) || session == nil {
		t.Errorf("head %+v, session %v; want the wait of epoch %d, and the session", head, session, begun.Epoch)
	}
	if sum, ok := s.disk.digest.at(info.Seq); !ok || sum != info.Digest || sum == 0 {
		t.Errorf("the digest of all events is %x, %t, want %x as in the backup", sum, ok, info.Digest)
	}
	out, err := s.Propose(limited(t), start(5, 2, "WS-9"))
	if err != nil || out.Denial == nil || out.Denial.Reason != license.AfterRestore {
		t.Errorf("a capped start after a restore: %+v, %v", out, err)
	}
	events, err := s.Journal(limited(t), 0, 100)
	if err != nil || uint64(len(events)) < info.Events {
		t.Errorf("%d events in the journal, %v; want those %d of the backup", len(events), err, info.Events)
	}
	if _, _, err := s.AcceptTime(limited(t)); !errors.As(err, new(*RestoreWaits)) {
		t.Errorf("setting the time during the wait: %v", err)
	}
	again, more := backupOf(t, s)
	if _, contents, err := (BackupReader{}).Verify(bytes.NewReader(again)); err != nil || more.Epoch != begun.Epoch || contents.Restored.Over(s.Now()) {
		t.Errorf("its own backup: %+v, %+v, %v", more, contents, err)
	}
	eventually(t, func() error { return s.Flush(limited(t)) })
	closeStore(t, s)
	s = single(t, dir)
	s.View(func(st *license.State) {
		if got := st.Head().Restored; got != head.Restored {
			t.Errorf("after one more start the wait is %+v, want %+v", got, head.Restored)
		}
	})
}

// Two restores of one backup are not one epoch, or the cloud could not tell them apart.
func TestTwoRestoresAreTwoEpochs(t *testing.T) {
	file, info := smallBackup(t)
	now := info.Time.Std()
	var epochs []uint64
	for range 2 {
		b := beginning(t, filepath.Join(t.TempDir(), "store"))
		b.Clock = func() time.Time { return now }
		begun, err := Restore(b, bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		epochs = append(epochs, begun.Epoch)
		now = now.Add(time.Second)
	}
	if epochs[0] <= info.Epoch || epochs[1] <= epochs[0] {
		t.Errorf("epochs %d after %d", epochs, info.Epoch)
	}
}

// resealed is a backup with one thing changed and a checksum that fits.
func resealed(file []byte, change func(content []byte) []byte) []byte {
	content := change(bytes.Clone(file[:len(file)-sha256.Size]))
	sum := sha256.Sum256(content)
	return append(content, sum[:]...)
}

// withHeader is a backup with another header.
func withHeader(t *testing.T, file []byte, change func(*Backup)) []byte {
	t.Helper()
	c := testCodec(t)
	return resealed(file, func(content []byte) []byte {
		rest := content[len(backupMagic):]
		n, w := binary.Uvarint(rest)
		var b Backup
		if err := c.dec.Unmarshal(rest[w:w+int(n)], &b); err != nil {
			t.Fatal(err)
		}
		change(&b)
		head, err := c.enc.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		out := binary.AppendUvarint([]byte(backupMagic), uint64(len(head)))
		return append(append(out, head...), rest[w+int(n):]...)
	})
}

func TestABadBackupIsRefusedWithTheReasonAndLeavesNothing(t *testing.T) {
	file, info := smallBackup(t)
	other := bytes.Clone(file)
	other[len(other)/2] ^= 1
	tests := map[string]struct {
		file []byte
		want string
	}{
		"empty":              {nil, "cut short"},
		"something else":     {[]byte("PK\x03\x04 a file of another program"), "no backup"},
		"half a header":      {file[:20], "cut short"},
		"truncated":          {file[:len(file)*2/3], "cut short"},
		"without its end":    {file[:len(file)-1], "cut short"},
		"a bit changed":      {other, ""},
		"with more behind":   {append(bytes.Clone(file), 0), "follows its end"},
		"a newer format":     {append([]byte("sgbackup2"), file[9:]...), "newer version"},
		"a newer level":      {withHeader(t, file, func(b *Backup) { b.Level = license.Level + 1; b.Program = "9.0" }), "made by version 9.0"},
		"a forged header":    {withHeader(t, file, func(b *Backup) { b.Epoch = 7 }), "its header tells of epoch 7"},
		"a record too few":   {withHeader(t, file, func(b *Backup) { b.Records++ }), "records"},
		"another cluster's":  {withHeader(t, file, func(b *Backup) { b.Cluster = "another" }), "it is of cluster another, this node is of " + testCluster},
		"without a position": {withHeader(t, file, func(b *Backup) { b.Index = 0 }), "does not say what it is of"},
		"made in the future": {withHeader(t, file, func(b *Backup) { b.Time = license.TimeOf(time.Now().Add(time.Hour)) }), "clock says"},
		"a week old":         {withHeader(t, file, func(b *Backup) { b.Time = info.Time.Add(-8 * 24 * time.Hour) }), "clock says"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			_, err := Restore(beginning(t, filepath.Join(parent, "store")), bytes.NewReader(test.file))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
			if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
				t.Errorf("it left %v, %v", left, err)
			}
			if _, _, err := (BackupReader{}).Verify(bytes.NewReader(test.file)); err == nil && test.want != "clock says" {
				t.Error("Verify finds nothing wrong with it")
			}
		})
	}
}

func TestADataFolderIsNeverOverwritten(t *testing.T) {
	file, _ := smallBackup(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "something"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(beginning(t, dir), bytes.NewReader(file)); err == nil || !strings.Contains(err.Error(), "there is data in") {
		t.Errorf("restoring over data: %v", err)
	}
}

func TestABackupOfAnotherClusterIsTakenWhereThatIsSaid(t *testing.T) {
	file, _ := smallBackup(t)
	dir := filepath.Join(t.TempDir(), "store")
	b := beginning(t, dir)
	b.Cluster, b.OtherCluster = "0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e6f", true
	if _, err := Restore(b, bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	s := single(t, dir, func(c *Config) { c.Cluster = b.Cluster })
	s.View(func(st *license.State) {
		if st.Head().Cluster != b.Cluster {
			t.Errorf("the state is of %s, want %s", st.Head().Cluster, b.Cluster)
		}
	})
}

// A file that is changed between its two readings is not half of the one and half of
// the other.
func TestABackupThatChangesWhileItIsReadIsRefused(t *testing.T) {
	file, _ := smallBackup(t)
	later, _ := smallBackup(t)
	r := &changing{first: bytes.NewReader(file), then: bytes.NewReader(later)}
	if _, err := Restore(beginning(t, filepath.Join(t.TempDir(), "store")), r); err == nil || !strings.Contains(err.Error(), "changed while it was read") {
		t.Errorf("got %v", err)
	}
}

type changing struct{ first, then *bytes.Reader }

func (c *changing) Read(b []byte) (int, error) { return c.first.Read(b) }

func (c *changing) Seek(offset int64, whence int) (int64, error) {
	c.first = c.then
	return c.first.Seek(offset, whence)
}

var _ io.ReadSeeker = (*changing)(nil)

// A restored node grows to a cluster again: its peers are told to join.
func TestARestoredNodeIsAlone(t *testing.T) {
	file, _ := smallBackup(t)
	dir := filepath.Join(t.TempDir(), "store")
	b := beginning(t, dir)
	b.Address = "127.0.0.1:7443"
	if _, err := Restore(b, bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	s := single(t, dir, func(c *Config) { c.Registerer = prometheus.NewRegistry() })
	if m := s.Cluster().Members; len(m) != 1 || m[0].Name != "n1" || m[0].Address != b.Address || !m[0].Voter {
		t.Errorf("members %+v, want n1 at %s alone", m, b.Address)
	}
}

// FuzzBackup holds the reading of backups to: no panic, no more memory than the file
// is large, and whatever is taken for good is restored.
func FuzzBackup(f *testing.F) {
	file, _ := smallBackup(f)
	f.Add(file, false)
	f.Add(file, true)
	f.Add(file[:len(file)/2], false)
	f.Add([]byte(backupMagic+"\xff\xff\xff\xff\x0f"), false)
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		if sealed && len(b) > sha256.Size { // as far as the records, and not only to the checksum
			b = resealed(b, func(content []byte) []byte { return content })
		}
		info, _, err := (BackupReader{}).Verify(bytes.NewReader(b))
		if err != nil {
			return
		}
		if checked, err := (BackupReader{}).Check(bytes.NewReader(b)); err != nil || !reflect.DeepEqual(checked, info) {
			t.Errorf("verified as %+v, checked as %+v, %v", info, checked, err)
		}
	})
}

// The header of a backup is read by every later version.
func TestGoldenBackupHeader(t *testing.T) {
	c := testCodec(t)
	v := filledOf(reflect.TypeFor[Backup]())
	b, err := c.enc.Marshal(v.Interface())
	if err != nil {
		t.Fatal(err)
	}
	for name, old := range golden(t, "backups.golden", map[string][]byte{"Backup": b}) {
		var back Backup
		if err := c.dec.Unmarshal(old, &back); err != nil {
			t.Errorf("%s cannot be read any more: %v", name, err)
		}
	}
}
