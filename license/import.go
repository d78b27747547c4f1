package license

// A site whose cloud offers no change feed can be filled from what an administrator
// has exported from the vendor's portal. Such records may only narrow: nothing of them
// says that a product is not capped, so that each start needs the cloud's agreement
// (or a checkout), and they give the site no terms to decide anything alone. Where
// there is a feed it is the only source: its first reading replaces what was imported.

// Import brings records of an administrator's file into the mirror, and takes out what
// the file lacks. A file may come in several of them; doing one again is harmless.
type Import struct {
	By   string `cbor:"1,keyasint,omitempty"` // who
	Note string `cbor:"2,keyasint,omitempty"` // why
	// Changes are users, products and licenses, and their deletions.
	Changes []Change `cbor:"3,keyasint,omitempty"`
	// Last: this is all of the file, and the mirror is filled with it.
	Last bool `cbor:"4,keyasint,omitempty"`
}

// Imported: records of a file are in.
type Imported struct {
	By      string `cbor:"1,keyasint,omitempty"`
	Note    string `cbor:"2,keyasint,omitempty"`
	Changes int    `cbor:"3,keyasint,omitempty"`
	Last    bool   `cbor:"4,keyasint,omitempty"`
}

func (Imported) fact() {}

func (c Import) decide(s *State, _ Time) *Denial {
	if c.By == "" || !validName(c.By) || !validName(c.Note) || len(c.Changes) > MaxChanges {
		return deny(BadCommand)
	}
	for i := range c.Changes {
		x := &c.Changes[i]
		if !x.valid() || x.Account != nil || x.Malformed != "" || x.Product != nil && x.Product.Capped == CappedNo {
			return deny(BadCommand)
		}
	}
	if s.head.Cursor != "" {
		return deny(MirrorFollows)
	}
	return nil
}

func (c Import) do(s *State, at Time) Outcome {
	first := !s.head.Filled // the single assignments are not news to anyone
	products := false
	for i := range c.Changes {
		x := c.Changes[i].from(FromFile)
		s.change(&x, first)
		products = products || x.Product != nil || x.DeleteProduct != ""
	}
	if products {
		s.lookAtAll()
	}
	s.seeToCover()
	if c.Last {
		s.head.Filled, s.head.Imported = true, at
		s.head.Shrinkage = Shrinkage{Of: s.sizes(), Since: at}
	}
	s.emit(Imported{By: c.By, Note: c.Note, Changes: len(c.Changes), Last: c.Last})
	return Outcome{}
}

// from is the change with its record said to be from a source.
func (c Change) from(f Source) Change {
	switch {
	case c.User != nil:
		u := *c.User
		u.Source, c.User = f, &u
	case c.Product != nil:
		p := *c.Product
		p.Source, c.Product = f, &p
	case c.License != nil:
		l := *c.License
		l.Source, c.License = f, &l
	}
	return c
}

// AsOf is how fresh a record of a source is: when the feed was last read to its end, or
// the last file imported.
func (s *State) AsOf(f Source) Time {
	if f == FromFile {
		return s.head.Imported
	}
	return s.head.Link.Read
}
