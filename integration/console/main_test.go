package console

import (
	"os"
	"os/exec"
	"testing"

	"sitegate/integration"
)

// wantEnv asks for these tests: a browser is a lot to start wherever one happens to be.
const wantEnv = "SITEGATE_TEST_BROWSER"

func TestMain(m *testing.M) {
	code := m.Run()
	integration.RemovePrograms()
	os.Exit(code)
}

// needs is the path of a program that must be installed.
func needs(t *testing.T, program string) string {
	t.Helper()
	if os.Getenv(wantEnv) == "" {
		t.Skipf("set %s=1 to have this tried with %s, as .ci/run browser does", wantEnv, program)
	}
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%s is not installed; see .ci/run for the packages", program)
	}
	return path
}
