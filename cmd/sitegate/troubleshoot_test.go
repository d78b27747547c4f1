package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sitegate/license"
)

// Every reason of a refusal, and every code of an error, has its line in the guide.
func TestTheGuideHasEveryReasonAndCode(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "operator", "troubleshoot.md"))
	if err != nil {
		t.Fatal(err)
	}
	codes, err := os.ReadFile(filepath.Join(root, "api", "problem.go"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{}
	for _, r := range license.Reasons() {
		want = append(want, string(r))
	}
	for _, m := range regexp.MustCompile(`(?m)^\tCode\w+ += "([a-z-]+)"`).FindAllStringSubmatch(string(codes), -1) {
		want = append(want, m[1])
	}
	if len(want) < 60 {
		t.Fatalf("there are %d reasons and codes", len(want))
	}
	for _, word := range want {
		if !strings.Contains(string(text), "`"+word+"`") {
			t.Errorf("the guide has no line for %s", word)
		}
	}
}
