package emulator

import (
	"compress/gzip"
	"context"
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"

	"sitegate/upstream/cloudapi"
)

// feed is the order in which objects last changed. What they are now is in the Emulator's maps.
type feed struct {
	id   string         // of this feed; cursors of another one are unknown
	seq  int            // of the last change
	log  []entry        // ascending by seq; only the last entry of an object counts
	last map[object]int // seq of each object's last entry
	wake chan struct{}  // closed at the next change
}

type entry struct {
	seq int
	object
}

type object struct {
	kind cloudapi.Kind
	id   string
}

// touch says that the object has changed. The caller holds the lock.
func (f *feed) touch(kind cloudapi.Kind, id string) {
	f.init()
	o := object{kind, id}
	f.seq++
	f.last[o] = f.seq
	f.log = append(f.log, entry{f.seq, o})
	if len(f.log) > 2*len(f.last)+1024 {
		kept := f.log[:0]
		for _, en := range f.log {
			if f.last[en.object] == en.seq {
				kept = append(kept, en)
			}
		}
		f.log = kept
	}
	close(f.wake)
	f.wake = make(chan struct{})
}

func (f *feed) init() {
	if f.last == nil {
		f.id, f.last, f.wake = rand.Text(), map[object]int{}, make(chan struct{})
	}
}

// parse gives the place of a cursor; false: it is not one of this feed.
func (f *feed) parse(cursor string) (int, bool) {
	id, n, ok := strings.Cut(cursor, ".")
	seq, err := strconv.Atoi(n)
	return seq, ok && err == nil && id == f.id && seq >= 0 && seq <= f.seq
}

// LoseCursors makes every cursor given out so far unknown, as after a loss of data in the cloud: the next request of each site starts
// over with a reset.
func (e *Emulator) LoseCursors() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.feed.init()
	e.feed.id = rand.Text()
	close(e.feed.wake)
	e.feed.wake = make(chan struct{})
}

// pageSize is how many changes there are in a page where nobody says how many.
const pageSize = 1000

// Cursor is where the feed ends now.
func (e *Emulator) Cursor() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.feed.init()
	return e.feed.id + "." + strconv.Itoa(e.feed.seq)
}

// changes answers PathChanges.
func (e *Emulator) changes(w http.ResponseWriter, r *http.Request, _ string) {
	q := r.URL.Query()
	limit, err := number(q.Get("limit"), pageSize)
	if err != nil || limit < 1 || limit > cloudapi.MaxChanges {
		refuse(w, http.StatusBadRequest, cloudapi.ReasonInvalid, "limit is a number from 1 to "+strconv.Itoa(cloudapi.MaxChanges))
		return
	}
	wait, err := number(q.Get("wait_ms"), 0)
	if err != nil || wait < 0 || cloudapi.Millis(wait).Duration() > cloudapi.MaxWait {
		refuse(w, http.StatusBadRequest, cloudapi.ReasonInvalid, "wait_ms is a number of milliseconds up to "+cloudapi.MaxWait.String())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), cloudapi.Millis(wait).Duration())
	defer cancel()
	for {
		page, wake := e.page(q.Get("cursor"), limit)
		if len(page.Changes) > 0 || page.Reset || ctx.Err() != nil {
			tellPage(w, r, page)
			return
		}
		select {
		case <-wake:
		case <-ctx.Done():
		}
	}
}

// tellPage answers with a page, compressed where that is taken. That there is nothing after a cursor has an entity tag: who has heard it
// before is told only that it is still so.
func tellPage(w http.ResponseWriter, r *http.Request, page cloudapi.Changes) {
	if len(page.Changes) == 0 && page.Cursor == r.URL.Query().Get("cursor") {
		tag := strconv.Quote(page.Cursor)
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") || len(page.Changes) == 0 {
		answer(w, http.StatusOK, page)
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // a level that there is
	defer z.Close()
	answer(compressed{w, z}, http.StatusOK, page)
}

// compressed writes the body through z.
type compressed struct {
	http.ResponseWriter
	z *gzip.Writer
}

func (c compressed) Write(b []byte) (int, error) { return c.z.Write(b) }

func number(s string, otherwise int) (int, error) {
	if s == "" {
		return otherwise, nil
	}
	return strconv.Atoi(s)
}

// page is what follows cursor, and a channel that is closed when there is more.
func (e *Emulator) page(cursor string, limit int) (cloudapi.Changes, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f := &e.feed
	f.init()
	from, known := f.parse(cursor)
	page := cloudapi.Changes{Reset: !known && cursor != "", Changes: []cloudapi.Change{}}
	if !known {
		from = 0
	}
	i := 0 // the log is short of nothing after from: binary search by seq
	for j := len(f.log); i < j; {
		if m := (i + j) / 2; f.log[m].seq <= from {
			i = m + 1
		} else {
			j = m
		}
	}
	for ; i < len(f.log); i++ {
		en := f.log[i]
		if f.last[en.object] != en.seq {
			continue
		}
		if len(page.Changes) == limit {
			page.More = true
			break
		}
		page.Changes = append(page.Changes, e.change(en.object))
		from = en.seq
	}
	if !page.More {
		from = f.seq
	}
	page.Cursor = f.id + "." + strconv.Itoa(from)
	return page, f.wake
}

// change is what the feed says of o now. The caller holds the lock.
func (e *Emulator) change(o object) cloudapi.Change {
	c := cloudapi.Change{Op: cloudapi.OpPut, Kind: o.kind, ID: o.id}
	var there bool
	switch o.kind {
	case cloudapi.KindUser:
		var u cloudapi.User
		if u, there = e.users[o.id]; there {
			c.User = &u
		}
	case cloudapi.KindProduct:
		var p cloudapi.Product
		if p, there = e.products[o.id]; there {
			c.Product = &p
		}
	case cloudapi.KindLicense:
		var l cloudapi.License
		if l, there = e.licenses[o.id]; there {
			c.License = &l
		}
	case cloudapi.KindAccount:
		if there = e.account != nil && e.account.ID == o.id; there {
			a := *e.account
			c.Account = &a
		}
	}
	if !there {
		c.Op = cloudapi.OpDelete
	}
	return c
}
