// Package guides runs what the guides in docs/operator show: every block between fences of the kind sh, and every line after a prompt of one of the kind console,
// in the order of the guide, with real nodes, and a stand-in for the cloud behind a proxy. Addresses and the vendor's names are those of the test,
// which also does what systemctl and sudo would.
//
// A block that needs another system says so where its fence begins, "not-run:" and why; the test has the list of these. Where the text of a guide says that something
// happens between two commands (a disk fails, say), the test has it happen. Commands that sentences and tables name are given as well, with the words and flags that they are named with.
package guides
