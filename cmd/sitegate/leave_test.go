package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestNodeEndsOnlyWhenItHasLeft(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		left   int
	}{
		{nil, http.StatusNoContent, 1},
		{errors.New("no leader"), http.StatusConflict, 0},
	} {
		left := 0
		h := operatorHandler(http.NotFoundHandler(), func(context.Context) error { return c.err }, func() { left++ }, slog.New(slog.DiscardHandler))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, pathLeave, nil))
		if w.Code != c.status || left != c.left {
			t.Errorf("leave said %v: got status %d, told %d times that the node is out; want %d, %d", c.err, w.Code, left, c.status, c.left)
		}
		if c.err != nil && !strings.Contains(w.Body.String(), c.err.Error()) {
			t.Errorf("got %s, want %q in it", w.Body, c.err)
		}
	}
}
