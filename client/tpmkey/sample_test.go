//go:build unix

package tpmkey_test

// sample is what was kept of a key whose TPM is gone.
const sample = `-----BEGIN TSS2 PRIVATE KEY-----
MIHyBgZngQUKAQOgAwEB/wIEQAAAAQRaAFgAIwALAAQEcgAAABAAGAALAAMAEAAg
BZanCsYICClhasOzC7iEt7boKntsdxwDOMV3kHe5cPEAIE6mkB4ifyb7LUX8rJbX
ap87+VSVaFAJCiA+Z4AULo7OBIGAAH4AIIDa+SPx4y1zEY63fGLbbaNtzeyXCczW
e6j4SkSmNcGLABDkTcFTXMf7uxqI8E2ebaTFln0TFNFCY7a/s9Vf+vBsSE6TMw08
a2hoCCIWuCVmd1RWMw7ZCB491kqBNKzsKyL8q/axck9KJ4i92Olj1oOj6fNl5KyH
3IHlzcw=
-----END TSS2 PRIVATE KEY-----
`
