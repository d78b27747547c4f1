// Package attack plays those whom SECURITY.md names against real nodes: it sends what no
// honest client sends, and sees that the answer is the documented one, that it tells an
// honest user what to do and an attacker nothing, and that who belongs is served all
// the while.
//
// A file is a door or a kind of attacker (forged_test.go, smuggled_test.go, …), a test is one
// attack, and its name is in the table of SECURITY.md, which a test at the root holds true.
// How to add one:
//
//   - single(t) is one node, cluster(t) three, both with a relay, a forward proxy and a cloud;
//     all tests share them, so that each begins within milliseconds. They run at once:
//     use users of your own (user(t, s)), break nothing, and take a site of your own
//     (integration.NewSite) for what breaks a node or changes its cloud.
//   - dial(t, s, node) is a TLS connection to a node's API and knock(t, node) a plain one to
//     its forward proxy. Both come from an address that is this test's own
//     (127.a.b.c), so that the limits of one test's network are no other's.
//   - w.send(text) writes bytes as they are; request("GET /x HTTP/1.1", "Host: h") ends lines as
//     HTTP does. w.answer() reads one answer, w.over() the end of the connection.
//   - a.problem(t, status, code) holds an answer against what api says of problems, and
//     against what no attacker is to be told.
//   - honest(t, s, node) is a desktop that starts and stops: call it last.
//
// When all is over, no node may have ended, panicked, or raced.
package attack
