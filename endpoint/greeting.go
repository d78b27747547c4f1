package endpoint

import (
	"slices"
	"time"

	"sitegate/api"
	"sitegate/license"
	"sitegate/notice"
	"sitegate/phrase"
)

// greeting is what a client reads first, and the token from which it is told. With a
// gap, that is the state's: what it already shows is not told again.
func (e *Endpoint) greeting(recovered bool, from notice.Token, caller Caller, lang phrase.Lang) (hello api.Hello, me *api.Me, after notice.Token) {
	hello = api.Hello{Recovered: recovered, Time: e.gw.Now().Std(), Node: e.gw.Cluster().Node, Nodes: e.nodes(), PingMS: pingEvery.Milliseconds(),
		ExpiresMS: max(0, e.auth.left(&caller, time.Now())).Milliseconds(), GraceMS: tokenGrace.Milliseconds(), Retry: e.sockets.retry()}
	after = from
	e.gw.View(func(s *license.State) {
		h := s.Head()
		hello.Cluster, hello.BeatMS = h.Cluster, beat(h.Settings.TTL()).Milliseconds()
		if !recovered {
			after = notice.Token{Epoch: h.Epoch, Seq: h.Seq}
			state := about(s, caller, lang)
			me = &state
		}
	})
	hello.Epoch, hello.Seq = after.Epoch, after.Seq
	return hello, me, after
}

// nodes are the base URLs of all nodes, those of the configuration first.
func (e *Endpoint) nodes() []string {
	all := append([]string{}, e.cfg.Nodes...)
	if e.cfg.OtherNodes != nil {
		for _, url := range e.cfg.OtherNodes() {
			if url != "" && !slices.Contains(all, url) {
				all = append(all, url)
			}
		}
	}
	return all
}

// others are the base URLs of the other nodes.
func (e *Endpoint) others() []string {
	return slices.DeleteFunc(e.nodes(), func(url string) bool { return url == e.cfg.URL })
}
