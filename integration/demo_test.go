package integration

import (
	"bufio"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestDemoTellsItsStory(t *testing.T) {
	p := StartProcess(t, "demo", nil, Program(t, "sitegate"), "demo", "--exit", "--json")
	if status := p.Wait(t, 2*time.Minute); status != 0 {
		t.Fatalf("the demonstration ended with status %d; it wrote:\n%s", status, p.Output())
	}
	steps := 0
	for lines := bufio.NewScanner(strings.NewReader(p.Output())); lines.Scan(); {
		var line struct {
			Step   int     `json:"step"`
			OK     bool    `json:"ok"`
			MS     float64 `json:"ms"`
			Detail string  `json:"detail"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("a line that is no step: %s", lines.Text())
		}
		steps++
		if line.Step != steps || !line.OK || line.MS <= 0 || line.Detail == "" {
			t.Errorf("got %+v as step %d, want it to have come out", line, steps)
		}
		t.Logf("step %d, %.1f ms: %s", line.Step, line.MS, line.Detail)
	}
	if steps != 8 {
		t.Errorf("got %d steps, want 8", steps)
	}
}
