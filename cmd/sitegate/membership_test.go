package main

import (
	"bytes"
	"os"
	"reflect"
	"strings"
	"testing"

	"sitegate/configs"
)

// Every third bit of a node's place in its cluster is flipped once: that is said, or it
// says the same. A file of an earlier program, without a checksum, is read.
func TestARottenPlaceInTheClusterIsNoticed(t *testing.T) {
	c := configs.Config{DataDir: t.TempDir()}
	want := membership{Listen: "0.0.0.0:8484", Advertise: "gw4.site.example:8484", Tempo: "lan"}
	if err := want.write(c); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(membershipFile(c))
	if err != nil {
		t.Fatal(err)
	}
	if got, there, err := readMembership(c); err != nil || !there || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v, %v; want %+v", got, there, err, want)
	}
	for bit := 0; bit < 8*len(whole); bit += 3 {
		rotten := bytes.Clone(whole)
		rotten[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(membershipFile(c), rotten, 0o600); err != nil {
			t.Fatal(err)
		}
		got, _, err := readMembership(c)
		if err == nil {
			t.Errorf("bit %d is not noticed: %+v of\n%s", bit, got, rotten)
		} else if !strings.Contains(err.Error(), membershipFile(c)) || !strings.Contains(err.Error(), "restore the file from a copy") {
			t.Errorf("bit %d: %v; want the file's name, and what to do", bit, err)
		}
	}
	earlier := "{\n  \"listen\": \"0.0.0.0:8484\",\n  \"advertise\": \"gw4.site.example:8484\",\n  \"tempo\": \"lan\"\n}\n"
	if err := os.WriteFile(membershipFile(c), []byte(earlier), 0o600); err != nil {
		t.Fatal(err)
	}
	want.unchecked = true
	if got, there, err := readMembership(c); err != nil || !there || !reflect.DeepEqual(got, want) {
		t.Errorf("of an earlier program: got %+v, %v, %v; want %+v", got, there, err, want)
	}
}
