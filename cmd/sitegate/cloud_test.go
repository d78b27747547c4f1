package main

import (
	"testing"

	"sitegate/gateway"
	"sitegate/upstream"
)

// The cloud that serve plugs in takes moves; were it not so, every move would be
// refused as cloud-cannot and nothing else would tell.
func TestTheCloudTakesMoves(t *testing.T) {
	var cloud gateway.Cloud = (*upstream.Client)(nil)
	if _, ok := cloud.(gateway.Mover); !ok {
		t.Errorf("a %T is no gateway.Mover", cloud)
	}
}
