// Package console has a real browser, and curl, use a site as people do: through the forward proxy with the PAC file that the nodes serve, to the sign-in's page;
// the notices in a page, by websocket and as an event stream; and the console: each page's main act, with its effect by the API, roles, the keyboard, every screen, and how soon
// it shows what happens elsewhere.
//
// Its tests need Debian's chromium and curl (.ci/run browser installs them), and are skipped unless SITEGATE_TEST_BROWSER is set. No name is resolved in the browser, so that nothing but loopback is ever connected to.
package console
