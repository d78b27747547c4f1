package license

import (
	"crypto/sha256"
	"slices"
)

// The part of the twin that is about the site's CA.

func (w *twin) noTokens() {
	for i := range w.tokens {
		if w.tokens[i].Used == 0 && w.tokens[i].Until > w.now() {
			w.tokens[i].Until = w.now()
		}
	}
}

func twinRoot(cert []byte) Digest {
	if cert == nil {
		return Digest{}
	}
	return sha256.Sum256(cert)
}

func (w *twin) rekey(c Rekey) Outcome {
	r := w.head.Rekeying
	for _, x := range []string{string(c.Root), string(c.Before), string(c.Voucher)} {
		if x == "" || len(x) > 4096 {
			return refuse("bad-command")
		}
	}
	if c.By == "" || c.Note == "" || !twinName(c.By, c.Note) || string(c.Root) == string(c.Before) {
		return refuse("bad-command")
	}
	if string(r.Root) == string(c.Root) {
		return Outcome{Repeat: true}
	}
	goesOn := r.Before != nil
	given := c.Instead != (Digest{})
	switch {
	case c.Until <= w.now() || c.Until-w.now() > 400*twinDay,
		goesOn != given,
		goesOn && (twinRoot(r.Root) != c.Instead || string(r.Before) != string(c.Before)),
		!goesOn && r.Root != nil && string(r.Root) != string(c.Before):
		return refuse("bad-command")
	}
	w.head.Rekeying = Rekeying{Root: c.Root, Before: c.Before, Voucher: c.Voucher, Since: w.now(), Until: c.Until, By: c.By, Note: c.Note, Out: goesOn && r.Out}
	if w.head.CAOut == 0 {
		w.head.CAOut = w.now()
	}
	w.noTokens()
	w.tell(RekeyBegan{Root: twinRoot(c.Root), Until: c.Until, By: c.By, Note: c.Note, Instead: c.Instead})
	return Outcome{}
}

func (w *twin) endRekey(c EndRekey) Outcome {
	r := &w.head.Rekeying
	if r.Root == nil || twinRoot(r.Root) != c.Root || len(c.Left) > 256 || !twinName(c.Left...) || slices.Contains(c.Left, "") || !slices.IsSorted(c.Left) {
		return refuse("bad-command")
	}
	if r.Before == nil {
		return Outcome{Repeat: true}
	}
	if len(c.Left) > 0 && w.now() < r.Until {
		return refuse("bad-command")
	}
	r.Before, r.Over, r.Left = nil, w.now(), c.Left
	if !r.Out {
		w.head.CAOut = 0
	}
	w.tell(RekeyEnded(c))
	return Outcome{}
}
