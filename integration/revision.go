package integration

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// errNoRevision: the history at hand does not have the revision.
var errNoRevision = errors.New("the history does not have the last release's commit")

// agreed is what nodes of two versions must agree on, and their cloud with them. Before
// the first release it changes without a new level.
var agreed = []string{"license", "upstream", "emulator", "raftstore/kinds.go", "raftstore/digest.go", "raftstore/testdata"}

// earlierSource puts the tree of the commit that upgrade/FROM names into a folder, or,
// where nothing was released since, of the latest that changed what must be agreed on.
// In the repository nothing is changed by it.
func earlierSource(dir string) error {
	b, err := os.ReadFile(filepath.Join("upgrade", "FROM"))
	if err != nil {
		return fmt.Errorf("which version to upgrade from: %w", err)
	}
	commit, unreleased := strings.CutSuffix(strings.TrimSpace(string(b)), " unreleased")
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return fmt.Errorf("%w, %s: this is no clone of the repository, or there is no git (%v)", errNoRevision, commit, err)
	}
	git := func(args ...string) (string, error) {
		cmd := exec.Command("git", append([]string{"-C", strings.TrimSpace(string(top))}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_INDEX_FILE="+dir+".index")
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out)), err
	}
	if _, err := git("cat-file", "-e", commit+"^{commit}"); err != nil {
		return fmt.Errorf("%w, %s; of a shallow clone, git fetch --unshallow makes a whole one (%v)", errNoRevision, commit, err)
	}
	if unreleased {
		later, err := git(append([]string{"log", "-1", "--format=%H", commit + "..HEAD", "--"}, agreed...)...)
		if err != nil {
			return err
		}
		commit = cmp.Or(later, commit)
	}
	if _, err := git("read-tree", commit); err != nil {
		return err
	}
	_, err = git("checkout-index", "--all", "--prefix="+dir+"/")
	return err
}
