package console

import (
	"strings"
	"testing"

	"sitegate/api"
)

// How much room each node's disk has is in its row, and where it did not say, that.
func TestTheRoomOfEachNodesDisk(t *testing.T) {
	s := full()
	l := s.answers[api.PathMembers].(api.List[api.ClusterMember])
	l.Items[0].Disk, l.Items[1].Disk = nil, &api.DiskStatus{State: api.DiskLow, Free: 3 << 28, Total: 1 << 40}
	page := visitPage(newTestConsole(t, s, admin), "GET", "cluster", "en", nil).Body.String()
	rows, looked := strings.Split(page, "<tr "), 0
	for name, want := range map[string][]string{"n1": {">not known<"}, "n2": {"768 MiB free of 1 TiB", `<span class="tag bad">nearly full</span>`}} {
		for _, row := range rows {
			if strings.Contains(row, `id="r-`+name+`"`) {
				looked++
				for _, text := range want {
					if !strings.Contains(row, text) {
						t.Errorf("the row of %s lacks %q: %s", name, text, row)
					}
				}
			}
		}
	}
	if looked != 2 {
		t.Errorf("%d rows were looked at, want 2", looked)
	}
}
