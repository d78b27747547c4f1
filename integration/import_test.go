package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/client"
	"sitegate/emulator"
	"sitegate/upstream/cloudapi"
)

// records are those that a node has mirrored.
func (s *Site) records(t *testing.T, n *Node) (list api.List[api.MirrorRecord]) {
	t.Helper()
	resp, err := s.operator(n).Get("http://operator" + api.PathMirror + "/records")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("reading the records: %s, %v", resp.Status, err)
	}
	return list
}

// brings has the console of a node look at a file, and gives the form that it is confirmed by.
func (s *Site) brings(t *testing.T, n *Node, file string) url.Values {
	t.Helper()
	hidden := func(resp *http.Response, err error) url.Values {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		page, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s, %v: %s", resp.Status, err, page)
		}
		all := url.Values{}
		for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllSubmatch(page, -1) {
			all.Set(string(m[1]), string(m[2]))
		}
		return all
	}
	const at = "http://operator/console/mirror/import"
	fields := hidden(s.operator(n).Get(at))
	fields.Set("reason", "portal of today")
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	for name := range fields {
		if err := form.WriteField(name, fields.Get(name)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	part, err := form.CreateFormFile("users", filepath.Base(file))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	return hidden(s.operator(n).Post(at, form.FormDataContentType(), &b))
}

// A site whose cloud offers no feed works by what an administrator has exported from the
// portal, on any node; where a feed begins, it is what counts.
func TestASiteWithoutAFeedIsFilledFromFiles(t *testing.T) {
	t.Parallel()
	s := NewSiteWithoutFeed(t, 3, 30)
	leader := s.Leader(t)
	other := (leader + 1) % 3
	users, licenses := s.Portal(t)
	tool := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		status, stdout, stderr := s.toolAlone(t, s.Nodes[other], append(args, "--config", s.Nodes[other].Config)...)
		if status != want {
			t.Fatalf("sitegate %q: status %d, want %d\n%s%s", args, status, want, stdout, stderr)
		}
		return stdout, stderr
	}

	// It shows what would be, and does nothing.
	out, _ := tool(0, "mirror", "import", users, licenses, "--by", "ida")
	if want := fmt.Sprintf("new user: %d, new product: ", len(s.Cloud.Users())); !strings.Contains(out, want) || !strings.Contains(out, "Nothing was changed") {
		t.Errorf("want %q in\n%s", want, out)
	}
	if n := len(s.records(t, s.Nodes[other]).Items); n != 0 {
		t.Errorf("%d records are in the mirror", n)
	}

	// Files that are none, or wrong, change nothing.
	dir := t.TempDir()
	huge := filepath.Join(dir, "huge.csv")
	for name, text := range map[string]string{"columns.csv": "name,colour\nada,red\n", "broken.csv": "User ID,Country\nu1,DE\nu2,\"D\nE\n", "binary.csv": "User ID,Country\nu\x00,DE\n", "huge.csv": "User ID,Country\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(huge, 2<<30); err != nil { // takes no room
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"columns.csv": "line 1: The first line names neither", "broken.csv": "line 4: A quotation mark is in the wrong place", "binary.csv": "It is no text file", "huge.csv": "The file has more than 64 MB", "missing.csv": "no such file",
	} {
		if _, stderr := tool(1, "mirror", "import", filepath.Join(dir, name), "--yes", "--by", "ida"); !strings.Contains(stderr, want) {
			t.Errorf("%s: want %q in %s", name, want, stderr)
		}
	}
	if _, stderr := tool(1, "mirror", "import", licenses, "--yes", "--by", "ida"); !strings.Contains(stderr, "is no user by id or e-mail") {
		t.Errorf("licenses without users: %s", stderr)
	}
	if n := len(s.records(t, s.Nodes[other]).Items); n != 0 {
		t.Fatalf("%d records are in the mirror", n)
	}

	// The console of one node shows what the users' file would change; what is confirmed may
	// come to another.
	shown := s.brings(t, s.Nodes[other], users)
	if shown.Get("diff") == "" || len(s.records(t, s.Nodes[other]).Items) != 0 {
		t.Fatalf("the console shows %v, and there are %d records", shown, len(s.records(t, s.Nodes[other]).Items))
	}
	third := s.Nodes[(leader+2)%3]
	Eventually(t, time.Minute, "the third node knows the leader", func() error {
		if st, err := s.Status(third); err != nil || st.Cluster.Leader == "" {
			return fmt.Errorf("%+v, %v", st.Cluster, err)
		}
		return nil
	})
	resp, err := s.operator(third).PostForm("http://operator/console/mirror/import", shown)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Request.URL.RawQuery != "done=import" {
		t.Fatalf("confirmed: %s %s", resp.Status, resp.Request.URL)
	}
	Eventually(t, time.Minute, "what was confirmed is on every node", func() error {
		for _, n := range s.Nodes {
			if got, want := len(s.records(t, n).Items), len(s.Cloud.Users()); got != want {
				return fmt.Errorf("%s has %d records, want %d", n.Name, got, want)
			}
		}
		return nil
	})

	out, _ = tool(0, "mirror", "import", users, licenses, "--yes", "--by", "ida", "--note", "portal of today")
	if !strings.Contains(out, "Imported by ida.") {
		t.Errorf("importing says\n%s", out)
	}
	for _, n := range s.Nodes {
		s.AwaitReady(t, n)
		for _, r := range s.records(t, n).Items {
			if r.Source != "file" || time.Since(r.AsOf) > time.Hour || r.Capped == string(cloudapi.CappedNo) {
				t.Fatalf("%s: %s %s is from %q as of %v, capped %q", n.Name, r.Kind, r.ID, r.Source, r.AsOf, r.Capped)
			}
		}
	}
	if out, _ = tool(0, "mirror", "status"); !strings.Contains(out, "files, imported ") {
		t.Errorf("the status says\n%s", out)
	}
	if out, _ = tool(0, "mirror", "import", users, licenses); !strings.Contains(out, "the site knows all of it already") {
		t.Errorf("the same again:\n%s", out)
	}
	ctx := deadline(t, 2*time.Minute)
	ws101 := s.Client(t, emulator.UserA, "WS-101", other)
	var session *client.Session
	Eventually(t, time.Minute, "a start by what was imported", func() (err error) { // files bring no terms: it needs the cloud's answer in time
		session, err = ws101.Start(ctx, emulator.ProductCapped)
		return err
	})

	// A feed: what it says replaces what was imported, and nothing is imported any more.
	s.Cloud.ClearFaults()
	Eventually(t, time.Minute, "the mirror follows the feed", func() error {
		if _, err := ws101.Refresh(ctx); err != nil { // it would be found by itself in five minutes
			return err
		}
		if st, err := s.Status(s.Nodes[other]); err != nil || st.Mirror.Source != "feed" || st.Mirror.Cursor == "" {
			return fmt.Errorf("%+v, %v", st.Mirror, err)
		}
		for _, r := range s.records(t, s.Nodes[other]).Items {
			if r.Source != "feed" {
				return fmt.Errorf("%s %s is from %q", r.Kind, r.ID, r.Source)
			}
		}
		return nil
	})
	if _, stderr := tool(1, "mirror", "import", users, licenses, "--yes", "--by", "ida"); !strings.Contains(stderr, "this site follows the cloud's feed") {
		t.Errorf("importing beside a feed: %s", stderr)
	}
	if e := session.Ending(); e != nil {
		t.Errorf("the session that began before is to end: %+v", e)
	}
	if err := session.Stop(ctx); err != nil {
		t.Error(err)
	}
}
