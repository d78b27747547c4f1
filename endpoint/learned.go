package endpoint

import (
	"cmp"
	"net/http"
	"strconv"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// learned is GET /v1/site/learned: what the vendor's own clients told of on their way through,
// by user and product. A page begins after so many.
func (e *Endpoint) learned(c *call) (reply, error) {
	search, err := c.searched()
	if err != nil {
		return reply{}, err
	}
	after := 0
	if text := search.Get("after"); text != "" {
		if after, err = strconv.Atoi(text); err != nil || after < 0 {
			return reply{}, malformed("after is not the next of a page")
		}
	}
	out := api.List[api.LearnedUse]{Items: []api.LearnedUse{}}
	e.gw.View(func(s *license.State) {
		all := license.AllLearned(s)
		from := min(after, len(all))
		to := min(from+search.most, len(all))
		for _, l := range all[from:to] {
			out.Items = append(out.Items, e.learnedUse(c, s, l))
		}
		if to < len(all) {
			out.Next = strconv.Itoa(to)
		}
	})
	return reply{status: http.StatusOK, body: out}, nil
}

func (e *Endpoint) learnedUse(c *call, s *license.State, l license.Learned) api.LearnedUse {
	product, _ := shownProduct(s, l.Product)
	out := api.LearnedUse{User: e.userID(c, s, l.User), Product: string(l.Product), ProductName: cmp.Or(l.Name, product), Feature: l.Feature, Country: l.Country,
		First: l.First.Std().Format(time.DateOnly), Last: l.Last.Std().Format(time.DateOnly), Known: s.User(l.User) != nil}
	out.Name, out.Email = e.shownUser(s, l.User)
	if !out.Known && e.name(s, "user", string(l.User)) == string(l.User) {
		out.Name, out.Email = cmp.Or(l.Email, string(l.User)), l.Email
	}
	return out
}
