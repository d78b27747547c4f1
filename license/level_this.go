//go:build !nextlevel

package license

// Level is the highest that this program can do; a cluster works at the lowest of its
// members', once its leader has raised it there.
const Level = current
