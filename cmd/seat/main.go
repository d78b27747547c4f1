// Command seat is the desktop companion of a sitegate gateway: it runs a program
// under a license, shows notices, and checks licenses out and in.
//
// It promises that the program it runs is asked to end before its license could be
// given to another machine, while seat itself lives (and is killed, if it does not,
// where --kill-after says so), and that no token or password is on a command line,
// in the environment or in what it prints. It leaves everything about the license
// itself to package client.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}
