// Package desktop is what the system of a person's computer has that a program in
// the background needs: a keyring, notifications, the name of the machine that a
// user of a multi-user server comes from, and a way to ask a program to close.
//
// It promises that nothing of it keeps the caller longer than its context, whatever
// the services of a desktop do (they hang where nobody is logged in to unlock a
// keyring), and that what is shown carries no markup and no command. It leaves to
// others what is kept and what is said.
package desktop
