package endpoint

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/api"
)

// Other people's clients speak with this websocket: npm's ws, and Node's own, which is
// as a browser's. It needs Node and, for ws, a way to npm: SITEGATE_INTEROP=1 asks for it.
func TestOtherClientsAreUnderstood(t *testing.T) {
	if os.Getenv("SITEGATE_INTEROP") == "" {
		t.Skip("SITEGATE_INTEROP is not set: other people's clients are not tried")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	folder := t.TempDir()
	install := exec.CommandContext(ctx, "npm", "install", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund", "ws@8.23.0")
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("npm has no ws 8.23.0 for us: %v\n%s", err, out)
	}
	r := newRig(t, filled(t))
	for kind, want := range map[string][]string{"ws": {"hello", "state", "pong", "lease", "closed 1000"}, "node": {"hello", "state", "lease", "closed 1000"}} {
		t.Run(kind, func(t *testing.T) {
			if kind == "node" {
				if out, err := exec.CommandContext(ctx, "node", "--experimental-websocket", "-e", "new WebSocket('ws://127.0.0.1:1').onerror = () => 0").CombinedOutput(); err != nil {
					t.Skipf("this Node has no websocket of its own: %v\n%s", err, out)
				}
			}
			url := "ws" + strings.TrimPrefix(r.URL, "http") + "/v1/notices?machine=m-1&instance=" + kind
			node := exec.CommandContext(ctx, "node", "--experimental-websocket", "testdata/interop.mjs", kind, url, r.issuer.token(t, "ada"), api.NoticesProtocol, folder)
			out, err := node.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			got := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(out)), "\n"), func(s string) bool { return strings.Contains(s, "Warning") || strings.HasPrefix(s, "(Use") })
			slices.Sort(got[:len(got)-1]) // a pong may come before or after the lease
			slices.Sort(want[:len(want)-1])
			if !slices.Equal(got, want) {
				t.Errorf("heard %q; want %q", got, want)
			}
		})
	}
}
