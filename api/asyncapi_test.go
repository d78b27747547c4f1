package api

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The contract of the notices is read by AsyncAPI's own parser, which has nothing to say
// against it; a broken copy it does not take. It needs Node and a way to npm:
// SITEGATE_INTEROP=1 asks for it.
func TestAsyncAPIsOwnParserReadsTheContract(t *testing.T) {
	if os.Getenv("SITEGATE_INTEROP") == "" {
		t.Skip("SITEGATE_INTEROP is not set: AsyncAPI's parser is not asked")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	folder := t.TempDir()
	install := exec.CommandContext(ctx, "npm", "install", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund", "@asyncapi/parser@3.6.3")
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("npm has no @asyncapi/parser 3.6.3 for us: %v\n%s", err, out)
	}
	says := func(document []byte) string {
		for name, text := range map[string][]byte{"asyncapi.yaml": document, "openapi.yaml": OpenAPI()} {
			if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		out, err := exec.CommandContext(ctx, "node", "testdata/asyncapi.mjs", folder, filepath.Join(folder, "asyncapi.yaml")).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if got, want := says(AsyncAPI()), "read 3.1.0: 1 channel, 2 operations, 10 messages"; got != want {
		t.Errorf("the parser says %q; want %q", got, want)
	}
	broken := bytes.Replace(AsyncAPI(), []byte("action: send"), []byte("action: shout"), 1)
	if got := says(broken); !strings.Contains(got, "error") || !strings.Contains(got, "operations.tell.action") {
		t.Errorf("of an operation that shouts the parser says %q; want an error", got)
	}
}
