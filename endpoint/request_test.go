package endpoint

import (
	"net/http"
	"testing"

	"sitegate/api"
	"sitegate/license"
)

func TestRequestsDeclineAndLetGoOverHTTP(t *testing.T) {
	node := filled(t)
	r := newRig(t, node)
	session, ask := newUUID(t), newUUID(t)
	begin := api.StartRequest{ID: session, Product: "road", Machine: ws101, Fences: true}
	in := api.WaitRequest{ID: ask, Product: "road", Machine: ws202}
	var got api.Wait
	r.want(t, http.StatusOK, "ada", "POST", api.PathRequests, in).into(t, &got)
	if !got.Free || got.Asks != "" {
		t.Fatalf("got %+v with nothing in the way; want free", got)
	}
	r.want(t, http.StatusCreated, "ada", "POST", api.PathSessions, begin)
	p := r.want(t, http.StatusConflict, "ada", "POST", api.PathRequests, in).problem(t)
	if p.Code != string(license.TakeoverRefused) || p.Machine != "WS-101" || p.By != "session" || len(p.Next) == 0 {
		t.Fatalf("got %+v; want %s, naming WS-101", p, license.TakeoverRefused)
	}

	node.do(t, license.Configure{Settings: license.Settings{Takeover: license.TakeoverAsk}})
	r.want(t, http.StatusCreated, "ada", "POST", api.PathRequests, in).into(t, &got)
	if got.Asks != api.AsksAsk || got.Free || got.ID != ask {
		t.Fatalf("got %+v; want the other machine asked", got)
	}
	r.want(t, http.StatusOK, "ada", "POST", api.PathRequests, in) // again
	decline := api.PathRequests + "/" + ask + "/decline"
	r.want(t, http.StatusForbidden, "ada", "POST", decline, api.MachineRequest{Machine: ws202})
	r.want(t, http.StatusNotFound, "ben", "POST", decline, api.MachineRequest{Machine: ws101})
	r.want(t, http.StatusBadRequest, "ada", "POST", decline, api.MachineRequest{})
	r.want(t, http.StatusNoContent, "ada", "POST", decline, api.MachineRequest{Machine: ws101})
	var me api.Me
	r.want(t, http.StatusOK, "ada", "GET", api.PathMe, nil).into(t, &me)
	if len(me.Waiting) != 1 || !me.Waiting[0].Declined || me.Waiting[0].Asks != api.AsksAsk {
		t.Fatalf("got %+v; want a declined request", me.Waiting)
	}

	letGo := api.PathSessions + "/" + session + "/let-go"
	r.want(t, http.StatusForbidden, "ada", "POST", letGo, api.MachineRequest{Machine: ws202})
	r.want(t, http.StatusForbidden, "ben", "POST", letGo, api.MachineRequest{Machine: ws101})
	r.want(t, http.StatusNoContent, "ada", "POST", letGo, api.MachineRequest{Machine: ws101})
	r.want(t, http.StatusConflict, "ada", "POST", api.PathSessions+"/"+session+"/heartbeat", api.MachineRequest{Machine: ws101})
	r.want(t, http.StatusConflict, "ada", "POST", api.PathSessions, api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws202})
	r.want(t, http.StatusNoContent, "ada", "DELETE", api.PathSessions+"/"+session, api.MachineRequest{Machine: ws101})
	r.want(t, http.StatusNoContent, "ada", "DELETE", api.PathRequests+"/"+ask, nil)
	r.want(t, http.StatusCreated, "ada", "POST", api.PathSessions, api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101})
}

// Who takes over, and until when the other machine has, is in the answers.
func TestATakeoverOverHTTP(t *testing.T) {
	node := filled(t)
	r := newRig(t, node)
	node.do(t, license.Configure{Settings: license.Settings{Takeover: license.TakeoverGrace}})
	session, ask := newUUID(t), newUUID(t)
	r.want(t, http.StatusCreated, "ada", "POST", api.PathSessions, api.StartRequest{ID: session, Product: "road", Machine: ws101, Fences: true})
	var got api.Wait
	r.want(t, http.StatusCreated, "ada", "POST", api.PathRequests, api.WaitRequest{ID: ask, Product: "road", Machine: ws202}).into(t, &got)
	if got.Asks != api.AsksGrace || got.Until.IsZero() {
		t.Fatalf("got %+v; want a takeover with an end", got)
	}
	var s api.Session
	r.want(t, http.StatusOK, "ada", "GET", api.PathSessions+"/"+session, nil).into(t, &s)
	if s.Ending == nil || s.Ending.Reason != license.EndTakeover || s.Ending.Machine != "WS-202" || !s.Ending.Until.Equal(got.Until) {
		t.Fatalf("got the ending %+v; want it for WS-202 at %v", s.Ending, got.Until)
	}
	p := r.want(t, http.StatusConflict, "ada", "POST", api.PathSessions, api.StartRequest{ID: newUUID(t), Product: "flow", Machine: ws101}).problem(t)
	if p.Code != string(license.TakeoverUnderWay) || p.Until.IsZero() {
		t.Fatalf("got %+v; want %s until the end", p, license.TakeoverUnderWay)
	}
	r.want(t, http.StatusNoContent, "ada", "DELETE", api.PathRequests+"/"+ask, nil)
	var after api.Session
	r.want(t, http.StatusOK, "ada", "GET", api.PathSessions+"/"+session, nil).into(t, &after)
	if after.Ending != nil {
		t.Errorf("got the ending %+v of a request that was given up; want none", after.Ending)
	}
}
