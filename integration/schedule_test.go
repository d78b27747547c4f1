package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/emulator"
)

const (
	scheduledEvery = 10 * time.Minute // the least there is
	scheduledTime  = "20060102T150405Z"
)

// scheduledBackup is the name that a node gives to a backup of a time.
func scheduledBackup(n *Node, at time.Time, index int) string {
	return fmt.Sprintf("sitegate-%s-%s-%d.backup", n.Name, at.UTC().Format(scheduledTime), index)
}

// backupsOf are the times of a node's backups in a folder, by their names.
func backupsOf(t *testing.T, folder string, n *Node) map[string]time.Time {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "sitegate-"+n.Name+"-*.backup"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]time.Time{}
	for _, f := range files {
		stamp, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(f), "sitegate-"+n.Name+"-"), "-")
		at, err := time.Parse(scheduledTime, stamp)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		all[filepath.Base(f)] = at
	}
	return all
}

// Every node makes its own backups when they are due, and not before, whoever leads; a
// node that comes back makes none that it has already; the oldest go, others' files do
// not. What was made is whole, and a new cluster goes on from it.
func TestBackupsOnScheduleOfACluster(t *testing.T) {
	t.Parallel()
	s := NewSite(t, 3, 20)
	ctx := deadline(t, 4*time.Minute)
	session, err := s.Client(t, emulator.UserA, "WS-101", 0).Start(ctx, emulator.ProductCapped)
	if err != nil {
		t.Fatal(err)
	}

	folder, now := t.TempDir(), time.Now()
	leader := s.Leader(t)
	late, soon, fresh := s.Nodes[leader], s.Nodes[(leader+1)%3], s.Nodes[(leader+2)%3]
	old := []string{
		scheduledBackup(late, now.Add(-3*time.Hour), 1), scheduledBackup(late, now.Add(-2*time.Hour), 2), // one more than are kept, and overdue
		scheduledBackup(soon, now.Add(5*time.Second-scheduledEvery), 3), // due in five seconds
	}
	others := []string{"notes.txt", "sitegate-gw9-20000101T000000Z-5.backup"}
	for _, name := range append(old, others...) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("of before"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range s.Nodes {
		n := s.Nodes[(leader+1+i)%3] // the leader last
		n.Stop(t)
		n.env = append(n.env, "SITEGATE_BACKUP_FOLDER="+folder, "SITEGATE_BACKUP_EVERY="+scheduledEvery.String(), "SITEGATE_BACKUP_KEEP=2")
		s.start(t, n)
		s.AwaitReady(t, n)
	}
	made := map[*Node]string{} // by each of them
	for n, kept := range map[*Node]int{late: 2, soon: 2, fresh: 1} {
		Eventually(t, 3*time.Minute, n.Name+" has made its backup", func() error {
			all := backupsOf(t, folder, n)
			for name, at := range all {
				if at.Before(now.Add(-time.Minute)) {
					continue
				}
				made[n] = name
				if len(all) == kept {
					return nil
				}
			}
			return fmt.Errorf("%d files, want %d: %v", len(all), kept, all)
		})
	}
	if _, err := os.Stat(filepath.Join(folder, old[0])); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the oldest of three is still there, where two are kept: %v", err)
	}
	if at, before := backupsOf(t, folder, soon)[made[soon]], backupsOf(t, folder, soon)[old[2]]; at.Sub(before) < scheduledEvery {
		t.Errorf("%s made one %v after the one before, want not before %v", soon.Name, at.Sub(before), scheduledEvery)
	}

	// Another leads, and the old leader comes back: neither has anything to make.
	s.Nodes[s.Leader(t)].Kill()
	s.Leader(t)
	for i, n := range s.Nodes {
		if n.Ended() {
			s.Start(t, i)
			s.AwaitReady(t, n)
		}
		Eventually(t, 30*time.Second, n.Name+" knows its last backup", func() error {
			st, err := s.Status(n)
			if err != nil {
				return err
			}
			if want := backupsOf(t, folder, n)[made[n]]; st.Backup == nil || !st.Backup.Last.Equal(want) || st.Backup.Overdue || st.Backup.Problem != "" {
				return fmt.Errorf("%+v, want that of %v", st.Backup, want)
			}
			return nil
		})
	}
	for n, name := range made {
		status, stdout, stderr := s.toolAlone(t, n, "backup", "verify", filepath.Join(folder, name), "--json")
		var info struct {
			Current bool `json:"current"`
			Counts  struct{ Sessions, Users int }
		}
		if err := json.Unmarshal([]byte(stdout), &info); status != 0 || err != nil || !info.Current || info.Counts.Sessions != 1 || info.Counts.Users < 20 {
			t.Errorf("%s: status %d, %s %s; want it whole, with the session", name, status, stdout, stderr)
		}
	}

	s.goesOnElsewhere(t, filepath.Join(folder, made[fresh]), session.ID)
	for n, name := range made {
		for other, at := range backupsOf(t, folder, n) {
			if other != name && at.After(now.Add(-time.Minute)) {
				t.Errorf("%s has made %s beside %s, want one in ten minutes", n.Name, other, name)
			}
		}
	}
	for _, name := range others {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			t.Errorf("%s, which is nobody's backup: %v", name, err)
		}
	}
}

// goesOnElsewhere builds a new cluster, with a CA of its own, from a backup of this one.
func (s *Site) goesOnElsewhere(t *testing.T, file, session string) {
	t.Helper()
	for _, n := range s.Nodes {
		n.Kill()
	}
	fresh := &Site{Dir: t.TempDir()}
	fresh.openCloud(t, 20)
	fresh.write(t, 3)
	n := fresh.Nodes[0]
	if status, _, stderr := fresh.Tool(t, n, "restore", file); status != 1 || !strings.Contains(stderr, "--other-cluster") {
		t.Errorf("restoring the backup of another cluster: status %d, %s; want how to mean it", status, stderr)
	}
	if status, stdout, stderr := fresh.Tool(t, n, "restore", file, "--other-cluster"); status != 0 {
		t.Fatalf("restoring: status %d, %s %s", status, stdout, stderr)
	}
	fresh.Start(t, 0)
	fresh.AwaitReady(t, n)
	if !fresh.there(t, n, emulator.UserA, session) {
		t.Error("the session that was granted before the backup is not there after the restore")
	}
	for i := 1; i < 3; i++ {
		if err := os.MkdirAll(filepath.Dir(storeOf(fresh.Nodes[i])), 0o700); err != nil {
			t.Fatal(err)
		}
		fresh.joinAgain(t, 0, i)
	}
	last := fresh.Nodes[2]
	Eventually(t, time.Minute, "three voters in a cluster of its own", func() error {
		st, err := fresh.Status(last)
		if err != nil {
			return err
		}
		voters := 0
		for _, m := range st.Cluster.Members {
			if m.Voter {
				voters++
			}
		}
		if voters != 3 || st.Restored == nil {
			return fmt.Errorf("%d voters of %+v, restored %+v", voters, st.Cluster.Members, st.Restored)
		}
		return nil
	})
	if !fresh.there(t, last, emulator.UserA, session) {
		t.Errorf("%s does not have what was restored", last.Name)
	}
}
