package raftstore

import (
	"reflect"

	"github.com/hashicorp/raft"
)

// endsWith makes a future end with raft.ErrRaftShutdown once down is closed. raft
// 1.7.3 leaves what was queued, or committed and not applied, without an answer
// when it is shut down: its futures can be told of that by a field that it sets
// for some of them only, and that nothing but reflection reaches from here. It
// reports whether future was one that raft answers later.
func endsWith(future raft.Future, down chan struct{}) bool {
	v := reflect.ValueOf(future)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return false // an error that is known already
	}
	field := v.Elem().FieldByName("ShutdownCh")
	if !field.IsValid() || !field.CanSet() || field.Type() != reflect.TypeOf(down) {
		return false
	}
	field.Set(reflect.ValueOf(down))
	return true
}
