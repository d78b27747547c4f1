package sitegate_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// A package has one comment that says what it is for, in one place.
func TestEveryPackageHasOneComment(t *testing.T) {
	where := map[string][]string{}
	for _, f := range sources(t) {
		if _, seen := where[f.pkg]; !seen {
			where[f.pkg] = nil // a package without one counts, too
		}
		if f.ast.Doc == nil {
			continue
		}
		where[f.pkg] = append(where[f.pkg], f.path)
		want := "Package " + f.ast.Name.Name + " "
		if f.ast.Name.Name == "main" {
			want = "Command " + filepath.Base(f.pkg) + " "
		}
		if text := f.ast.Doc.Text(); !strings.HasPrefix(text, want) {
			t.Errorf("%s: the package comment begins %.40q, want %q", f.path, text, want)
		}
	}
	for pkg, files := range where {
		if len(files) != 1 {
			t.Errorf("%s has %d package comments, want one: %v", pkg, len(files), files)
		}
	}
}
