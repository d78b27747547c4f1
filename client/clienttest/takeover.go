package clienttest

import (
	"net/http"
	"time"

	"sitegate/api"
)

// request asks the active machine to let go, where the gateway's Asks lets it.
func (g *Gateway) request(w http.ResponseWriter, r *http.Request, email string) {
	req, ok := read[api.WaitRequest](w, r)
	if !ok || !g.entitled(w, req.Product) {
		return
	}
	got := api.Wait{ID: req.ID, Product: req.Product, Machine: req.Machine, Since: time.Now().UTC(), Asks: g.Asks}
	p := g.conflict(email, req.Machine.ID, req.Product)
	switch {
	case p == nil:
		got.Free, got.Asks = true, ""
	case g.Asks == "":
		refuse(w, problem("takeover-refused", http.StatusConflict, "At this site the other machine cannot be asked.", "Wait until it is free."))
		return
	default:
		g.waits[email] = &wait{Wait: got}
		for _, s := range g.sessions {
			if s.user == email && s.Machine.ID != req.Machine.ID {
				g.say(email, s.Machine.ID, api.Notice{Kind: api.KindRequested, ID: req.ID, Product: req.Product, Machine: req.Machine.Name,
					Text: req.Machine.Name + " asks for your license."})
			}
		}
	}
	answer(w, http.StatusOK, got)
}

func (g *Gateway) decline(w http.ResponseWriter, r *http.Request, email string) {
	req, ok := read[api.MachineRequest](w, r)
	if !ok {
		return
	}
	x := g.waits[email]
	if x == nil || x.ID != r.PathValue("id") || x.Asks == "" {
		refuse(w, problem("unknown-request", http.StatusNotFound, "There is no such request."))
		return
	}
	x.Declined = true
	g.say(email, x.Machine.ID, api.Notice{Kind: api.KindDeclined, ID: x.ID, Product: x.Product, Machine: req.Machine.Name,
		Text: "The other machine does not let go."})
	w.WriteHeader(http.StatusNoContent)
}

func (g *Gateway) letGo(w http.ResponseWriter, r *http.Request, email string) {
	req, ok := read[api.MachineRequest](w, r)
	if !ok {
		return
	}
	s := g.sessions[r.PathValue("id")]
	if s == nil || s.user != email || s.Machine.ID != req.Machine.ID {
		refuse(w, problem("not-yours", http.StatusForbidden, "There is no such session on this machine."))
		return
	}
	s.Ending = &api.Ending{Reason: "let-go", Until: time.Now().UTC()}
	g.say(email, s.Machine.ID, api.Notice{Kind: api.KindEnding, ID: s.ID, Product: s.Product, Machine: s.Machine.Name,
		Reason: "let-go", Text: "You let go: close it now."})
	w.WriteHeader(http.StatusNoContent)
}
