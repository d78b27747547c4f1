package main

import (
	"net/http"

	"sitegate/api"
	"sitegate/license"
)

// administer is how a route is added for administrators: see endpoint.Administer.
type administer func(pattern string, needed license.Authority, oneOf license.TokenScopes, h http.Handler)

// refusing answers with an error, as the API does; see endpoint.Refuse.
type refusing func(w http.ResponseWriter, err error)

// nodeRoutes are what is done to a node.
type nodeRoutes struct {
	debug      http.Handler // gives a debug bundle
	takeBackup http.Handler // gives a backup
	makeBackup http.Handler // has the node make one
	reload     http.Handler
}

// addRoutes adds to the API what is no line of the endpoint's table: what is done to a node, and
// with usage that somebody carries. The document of the API has them with x-added.
func addRoutes(add administer, n nodeRoutes, usage *usageDoor) {
	add("GET "+pathDebug, license.Admin, license.ClusterScope, n.debug)
	add("GET "+api.PathBackup, license.Admin, license.ClusterScope, n.takeBackup)
	add("POST "+api.PathBackup, license.Admin, license.ClusterScope, n.makeBackup)
	add("POST "+api.PathReload, license.Admin, license.ClusterScope, n.reload)
	usage.install(add)
}
