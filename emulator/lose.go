package emulator

import (
	"crypto/rand"
	"slices"

	"sitegate/upstream/cloudapi"
)

// data is what the cloud knows of an account's people and licenses.
type data struct {
	users    map[string]cloudapi.User
	products map[string]cloudapi.Product
	licenses map[string]cloudapi.License
}

// LoseData makes it a cloud that has lost its data: of the users it knows only those that are kept, and no product, no license and no cursor. Who asks for
// changes is answered with a reset and an almost empty list, and nobody may hold anything.
func (e *Emulator) LoseData(keep ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lost == nil {
		e.lost = &data{e.users, e.products, e.licenses}
	}
	left := map[string]cloudapi.User{}
	for id, u := range e.users {
		if slices.Contains(keep, id) {
			left[id] = u
		}
	}
	e.users, e.products, e.licenses = left, map[string]cloudapi.Product{}, map[string]cloudapi.License{}
	e.feedAnew()
}

// FindData undoes LoseData: the cloud has its data again, and what was added meanwhile. The cursors given out in between are unknown.
func (e *Emulator) FindData() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lost == nil {
		return
	}
	found(&e.users, e.lost.users)
	found(&e.products, e.lost.products)
	found(&e.licenses, e.lost.licenses)
	e.lost = nil
	e.feedAnew()
}

func found[V any](now *map[string]V, was map[string]V) {
	for id, v := range was {
		if _, there := (*now)[id]; !there {
			put(now, id, v)
		}
	}
}

// feedAnew begins a feed of what there is, which knows no cursor of the one before. The caller holds the lock.
func (e *Emulator) feedAnew() {
	f := &e.feed
	f.init()
	f.id, f.log = rand.Text(), nil
	clear(f.last)
	if e.account != nil {
		f.touch(cloudapi.KindAccount, e.account.ID)
	}
	for id := range e.users {
		f.touch(cloudapi.KindUser, id)
	}
	for id := range e.products {
		f.touch(cloudapi.KindProduct, id)
	}
	for id := range e.licenses {
		f.touch(cloudapi.KindLicense, id)
	}
	close(f.wake) // also where there is nothing
	f.wake = make(chan struct{})
}
