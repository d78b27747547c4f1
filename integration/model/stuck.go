package model

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// around is how many operations Stuck shows on either side.
const around = 12

// Stuck tells where the search for an order of an impossible history came to its
// end: for each such user the last operations that could be put in order, and the
// first that could not.
func Stuck(ops []porcupine.Operation, info porcupine.LinearizationInfo) string {
	var b strings.Builder
	orders := info.PartialLinearizationsOperations()
	for i, part := range byUser(ops) {
		if i >= len(orders) {
			break
		}
		var longest []porcupine.Operation
		for _, order := range orders[i] {
			if len(order) > len(longest) {
				longest = order
			}
		}
		if len(longest) == len(part) {
			continue
		}
		fmt.Fprintf(&b, "%s: %d of %d operations can be put in order; the last of them:\n", part[0].Input.(Input).User, len(longest), len(part))
		tell(&b, longest[max(0, len(longest)-around):])
		in := map[porcupine.Operation]bool{}
		for _, op := range longest {
			in[op] = true
		}
		var left []porcupine.Operation
		for _, op := range part {
			if !in[op] {
				left = append(left, op)
			}
		}
		slices.SortFunc(left, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
		b.WriteString("and then none of these:\n")
		tell(&b, left[:min(len(left), around)])
	}
	return b.String()
}

func tell(b *strings.Builder, ops []porcupine.Operation) {
	for _, op := range ops {
		returned := "open"
		if d := time.Duration(op.Return); d < 1000*time.Hour {
			returned = d.Round(time.Microsecond).String()
		}
		fmt.Fprintf(b, "  %v to %s, client %d: %v: %v\n", time.Duration(op.Call).Round(time.Microsecond), returned, op.ClientId, op.Input, op.Output)
	}
}
