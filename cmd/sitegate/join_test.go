package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/configs"
)

// What is wrong with a wish to join is told before anything is made or asked.
func TestJoinSaysWhatIsMissing(t *testing.T) {
	lone := writeSingle(t)
	site := filepath.Join(t.TempDir(), "site")
	if status, _, stderr := sitegate(t, nil, initLine(t, site)...); status != 0 {
		t.Fatal(stderr)
	}
	made := filepath.Join(site, "gw1", "sitegate.yaml")
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("sitegate-join-1.AAAA\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	port := []string{"--peer-listen", "127.0.0.1:0"}
	for name, c := range map[string]struct {
		env  []string
		args []string
		want string
	}{
		"no token":            {nil, append([]string{"--config", lone}, port...), "--token-file"},
		"no peer port":        {nil, []string{"--config", lone, "--token-file", token}, "--peer-listen"},
		"no such file":        {nil, append([]string{"--config", lone, "--token-file", token + "x"}, port...), "no such file"},
		"half a token":        {nil, append([]string{"--config", lone, "--token-file", token}, port...), "copy it again"},
		"half, from a stream": {nil, append([]string{"--config", lone, "--token-file", "-"}, port...), "no join token"},
		"half, from outside":  {[]string{"SITEGATE_JOIN_TOKEN=sitegate-join-1.BBBB"}, append([]string{"--config", lone}, port...), "copy it again"},
		"another version's":   {[]string{"SITEGATE_JOIN_TOKEN=sitegate-join-9.BBBB"}, append([]string{"--config", lone}, port...), "another version"},
		"a founder's config":  {nil, append([]string{"--config", made, "--token-file", token}, port...), "ca_key_file out of it"},
		"a token in the open": {nil, append([]string{"--config", lone, "sitegate-join-1.AAAA"}, port...), "too much"},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := sitegate(t, c.env, append([]string{"cluster", "join"}, c.args...)...)
			if status != 64 || !strings.Contains(stderr, c.want) {
				t.Errorf("status %d, %s%s; want 64 and %q", status, stdout, stderr, c.want)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(lone), "data", "store")); !os.IsNotExist(err) {
		t.Errorf("something was made: %v", err)
	}
}

func TestMembersAreShownAsATable(t *testing.T) {
	now := time.Date(2026, 11, 21, 23, 0, 0, 0, time.UTC)
	var b strings.Builder
	p := &program{stdout: &b}
	err := p.showMembers([]api.ClusterMember{
		{Name: "gw1", Address: "10.0.0.1:7443", Role: api.RoleLeader, Self: true, Known: true, Version: "v1", Level: 1, Certificate: now, Disk: &api.DiskStatus{State: api.DiskOK, Free: 90e9, Total: 100e9}},
		{Name: "gw2", Address: "10.0.0.2:7443", Role: api.RoleVoter, Known: true, LagEntries: 7, Reached: now.Add(-90 * time.Second), Version: "v2", Level: 2, HoldsLevel: true, Drained: true, Disk: &api.DiskStatus{State: api.DiskLow, Free: 400e6, Total: 20e9}},
		{Name: "gw3", Address: "gw3", Role: api.RoleNewcomer},
	}, 1, now)
	if err != nil {
		t.Fatal(err)
	}
	want := `NODE  ADDRESS        ROLE            LAG  HEARD OF   VERSION  LEVEL    CERTIFICATE       DISK
gw1   10.0.0.1:7443  leader          0    this node  v1       1        until 2026-11-21  90.0 of 100.0 GB free
gw2   10.0.0.2:7443  voter, drained  7    90 s ago   v2       2, held  ?                 0.4 of 20.0 GB free, LOW
gw3   none yet       newcomer        ?    never      ?        ?        ?                 ?

Two nodes vote: neither may fail. Add a third.

The cluster works at level 1, and the way back to an earlier version is open. Level 2 waits for a newer version on gw1.
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestWhatKeepsAClusterAtItsLevelIsSaid(t *testing.T) {
	can, cannot, silent := api.ClusterMember{Name: "gw1", Level: 2}, api.ClusterMember{Name: "gw2", Level: 1}, api.ClusterMember{Name: "gw3"}
	holds := api.ClusterMember{Name: "gw4", Level: 2, HoldsLevel: true}
	for _, test := range []struct {
		level   uint64
		members []api.ClusterMember
		want    string // empty: nothing is said
	}{
		{2, []api.ClusterMember{can, can}, ""},
		{0, []api.ClusterMember{can}, ""},
		{1, []api.ClusterMember{cannot, cannot}, ""},
		{1, []api.ClusterMember{can, cannot, silent, holds}, "waits for a newer version on gw2."},
		{1, []api.ClusterMember{can, silent, holds}, "waits for a word of gw3."},
		{1, []api.ClusterMember{can, holds}, "is held back on gw4"},
		{1, []api.ClusterMember{can, can}, "goes up to level 2"},
	} {
		if got := levelWords(test.members, test.level); !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("at level %d, %+v: got %q, want %q", test.level, test.members, got, test.want)
		}
	}
}

// What a node was told when it joined holds, whatever else its configuration says about
// the cluster.
func TestASettingLeavesTheOthersAsTheyWereTold(t *testing.T) {
	kept := membership{Listen: "10.0.0.2:7443", Advertise: "gw2:7443", Tempo: "lan"}
	for text, want := range map[string]membership{
		"":                              kept,
		"cluster: {hold_level: true}\n": kept,
		"cluster: {tempo: wan}\n":       {Listen: kept.Listen, Advertise: kept.Advertise, Tempo: "wan"},
	} {
		file := filepath.Join(t.TempDir(), "sitegate.yaml")
		if err := os.WriteFile(file, []byte(configs.SingleNode+text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, _, err := configs.Load(file, func(string) string { return "" }, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := kept.over(c); got != want {
			t.Errorf("%q: got %+v, want %+v", text, got, want)
		}
	}
}
