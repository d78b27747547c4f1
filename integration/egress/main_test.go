package egress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"sitegate/integration"
	"sitegate/upstream/egress"
)

// childEnv holds what a copy of this program is to do in another namespace.
const childEnv = "SITEGATE_TEST_EGRESS"

// task is what a child does: it asks for a URL by a way out, some times.
type task struct {
	Config egress.Config
	URL    string
	Times  int
}

// result is what came of one time.
type result struct {
	Status int    // of the answer; 0: there was none
	Code   string // of the error
	Error  string
}

func TestMain(m *testing.M) {
	if todo := os.Getenv(childEnv); todo != "" {
		if err := child(todo); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	integration.RemovePrograms()
	os.Exit(code)
}

func child(todo string) error {
	var x task
	if err := json.Unmarshal([]byte(todo), &x); err != nil {
		return err
	}
	d, err := egress.New(x.Config)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: d.Transport(), Timeout: time.Minute}
	var results []result
	for range x.Times {
		results = append(results, ask(client, x.URL))
		client.CloseIdleConnections()
	}
	return json.NewEncoder(os.Stdout).Encode(results)
}

func ask(client *http.Client, url string) result {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		return result{Error: err.Error()}
	}
	resp, err := client.Do(req)
	if err != nil {
		r := result{Error: err.Error()}
		var e *egress.Error
		if errors.As(err, &e) {
			r.Code = string(e.Code)
		}
		return r
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)); err != nil {
		return result{Error: err.Error()}
	}
	return result{Status: resp.StatusCode}
}
