package main

import (
	"cmp"
	"log/slog"
	"net/http"

	"sitegate/api"
	"sitegate/endpoint"
	"sitegate/endpoint/console"
)

// newConsole makes the pages that administrators look at. Whoever asks for one was let in
// before, by the socket or with a role, or turned away.
func newConsole(ep *endpoint.Endpoint, log *slog.Logger) (*console.Console, error) {
	return console.New(console.Config{API: ep.Within(), Logger: log, SignIn: console.Base + "sign-in", Who: func(r *http.Request) (console.Administrator, *api.Problem) {
		a := endpoint.AdministratorOf(r.Context())
		who := console.Administrator{Name: cmp.Or(a.Name, "operator"), Role: a.Role.String()}
		if a.Way == endpoint.ByAccount || a.Way == endpoint.ByOIDC && r.Header.Get("Authorization") == "" { // by a cookie
			who.SignOut = console.Base + "sign-out"
		}
		if a.Way == endpoint.ByAccount {
			who.Password = console.Base + "sign-in/password"
		}
		return who, endpoint.RefusalOf(r.Context())
	}})
}
