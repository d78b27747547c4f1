package main

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/api"
)

func TestTrustShowsWhatIsHeldBackAndAcceptsThat(t *testing.T) {
	file := writeSingle(t)
	var got api.AcceptKeysRequest
	list := api.List[api.TrustedIssuer]{Items: []api.TrustedIssuer{{Issuer: "https://one.example", Keys: []string{"AAA"}, Nodes: []string{"gw1", "gw2"},
		Held: []api.HeldKeys{{Set: "SSS", Keys: []string{"BBB", "CCC"}, Nodes: []string{"gw2"}, Since: at}}}}}
	m := http.NewServeMux()
	m.HandleFunc("GET /v1/trust", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(list) })
	m.HandleFunc("POST /v1/trust/accept", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewDecoder(r.Body).Decode(&got)
		_ = json.NewEncoder(w).Encode(list)
	})
	answerAt(t, file, m)
	where := []string{"--config", file, "--data-dir", filepath.Dir(file)}
	status, stdout, stderr := sitegate(t, nil, append([]string{"trust", "show"}, where...)...)
	for _, want := range []string{"https://one.example", "known on gw1, gw2", "AAA", "HELD BACK", "SSS, since " + at.UTC().Format(time.RFC3339) + ", as gw2 see it", "BBB", "CCC"} {
		if status != 0 || !strings.Contains(stdout, want) {
			t.Errorf("status %d, %s got\n%s\nwant %q in it", status, stderr, stdout, want)
		}
	}
	for _, short := range [][]string{{"--set", "SSS", "--note", "x"}, {"--issuer", "https://one.example", "--note", "x"}, {"--issuer", "https://one.example", "--set", "SSS"}} {
		if status, _, stderr := sitegate(t, nil, append(append([]string{"trust", "accept"}, where...), short...)...); status != 64 || !strings.Contains(stderr, "with --") {
			t.Errorf("with %v alone: status %d, %q; want 64 and to be told", short, status, stderr)
		}
	}
	line := append([]string{"trust", "accept", "--issuer", "https://one.example", "--set", "SSS", "--by", "ida", "--note", "by phone"}, where...)
	status, stdout, stderr = sitegate(t, nil, line...)
	if want := (api.AcceptKeysRequest{Issuer: "https://one.example", Set: "SSS", By: "ida", Note: "by phone"}); status != 0 || got != want || !strings.Contains(stdout, "Accepted by ida") {
		t.Errorf("status %d, %q %q, asked %+v; want %+v", status, stdout, stderr, got, want)
	}
}

func TestStatusTellsOfRoomForNames(t *testing.T) {
	for names, want := range map[int]bool{199_999: false, 200_000: true} {
		file := writeSingle(t)
		answerAt(t, file, statusOf(api.Status{Node: "gw1", Time: at, Audit: api.AuditStatus{Names: names, MostNames: 250_000}}))
		if _, stdout, stderr := sitegate(t, nil, "status", "--config", file, "--data-dir", filepath.Dir(file)); strings.Contains(stdout, "ROOM FOR FEW MORE NAMES") != want {
			t.Errorf("with %d names: %s got\n%s", names, stderr, stdout)
		}
	}
}

func TestStatusTellsOfKeysThatAreHeldBack(t *testing.T) {
	file := writeSingle(t)
	answerAt(t, file, statusOf(api.Status{Node: "gw1", Time: at, KeysHeld: []string{"https://one.example"}}))
	if _, stdout, stderr := sitegate(t, nil, "status", "--config", file, "--data-dir", filepath.Dir(file)); !strings.Contains(stdout, "https://one.example LISTS OTHER KEYS") || !strings.Contains(stdout, "sitegate trust show") {
		t.Errorf("%s got\n%s\nwant it to name the issuer and sitegate trust show", stderr, stdout)
	}
}
