package desktop

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestNothingInANoticeIsObeyed(t *testing.T) {
	for in, want := range map[string]string{
		`WS-202 has tried to start.`: `WS-202 has tried to start.`,
		`<b>x</b> & "y" 'z'`:         `‹b›x‹/b› + “y” ’z’`,
		"--help\x1b[2J\nbye":         `help[2J bye`,
		"a\u202eb `rm` $(id) %s \\n": `ab ’rm’  (id)  s  n`,
		"Größe à l’écran":            "Größe à l’écran",
	} {
		if got := harmless(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := []rune(harmless(strings.Repeat("ä", 400))); len(got) != longest+1 {
		t.Errorf("%d runes of a long one, want %d", len(got), longest+1)
	}
}

func TestADesktopThatHangsKeepsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shown []string
		free := make(chan struct{})
		n := &Notifier{show: func(_, text string) error {
			<-free
			shown = append(shown, text)
			return nil
		}}
		for _, text := range strings.Split("abcdefghijkl", "") {
			n.Show("sitegate", text)
			synctest.Wait()
		}
		began := time.Now()
		n.Flush(t.Context())
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("Flush took %v of a desktop that hangs, want ten seconds", took)
		}
		close(free)
		n.Flush(t.Context())
		if want := strings.Split("aefghijkl", ""); !slices.Equal(shown, want) {
			t.Errorf("shown %v, want the first and the last eight: %v", shown, want)
		}
		n.Show("sitegate", "later")
		n.Flush(t.Context())
		if last := shown[len(shown)-1]; last != "later" {
			t.Errorf("the last shown is %q, want what came later", last)
		}
	})
	var none *Notifier
	none.Show("sitegate", "x")
	none.Flush(t.Context())
}
