package endpoint

import (
	"net/http"

	"sitegate/api"
	"sitegate/license"
)

// who may call a route.
type who uint8

const (
	user   who = iota // a bearer token, within the rate limit
	anyone            // nobody is asked who they are
	byRole            // an administrator who has the role, or who comes by the operator's socket
)

// route is one line of the API.
type route struct {
	method, path string
	who          who
	role         license.Authority // that an administrator needs
	// scopes are those of which an API token needs one that has any; zero: to look is what
	// ReadScope is for, and nothing else is for such a token.
	scopes  license.TokenScopes
	quiet   bool         // logged at debug: there are many of them and little to say
	long    bool         // waits for what happens: it bounds its own time
	large   bool         // takes a whole file, or the time to work through a lot
	most    int64        // bytes of its body; zero: as large says
	upgrade bool         // may become a websocket
	pages   http.Handler // says to browsers that they are turned away; nil: a problem document does
	do      func(*call) (reply, error)
}

// oneOf are the scopes of which an API token needs one.
func (rt route) oneOf() license.TokenScopes {
	if rt.scopes == 0 && rt.method == http.MethodGet {
		return license.ReadScope
	}
	return rt.scopes
}

// routes is the whole API.
func (e *Endpoint) routes() []route {
	const id = "/{id}"
	return []route{
		{method: "POST", path: api.PathSessions, do: body(e.start)},
		{method: "GET", path: api.PathSessions + id, do: e.session},
		{method: "POST", path: api.PathSessions + id + "/heartbeat", quiet: true, do: body(e.heartbeat)},
		{method: "DELETE", path: api.PathSessions + id, do: e.stop},
		{method: "POST", path: api.PathCheckouts, do: body(e.checkOut)},
		{method: "GET", path: api.PathCheckouts, do: e.checkouts},
		{method: "DELETE", path: api.PathCheckouts + id, do: e.giveBack},
		{method: "POST", path: api.PathWaits, do: body(e.wait)},
		{method: "DELETE", path: api.PathWaits + id, do: e.endWait},
		{method: "POST", path: api.PathSignOut, do: body(e.signOut)},
		{method: "POST", path: api.PathRequests, do: body(e.request)},
		{method: "DELETE", path: api.PathRequests + id, do: e.endWait},
		{method: "POST", path: api.PathRequests + id + "/decline", do: body(e.decline)},
		{method: "POST", path: api.PathSessions + id + "/let-go", do: body(e.letGo)},
		{method: "POST", path: api.PathMachineKey, do: body(e.bindKey)},
		{method: "GET", path: api.PathMe, do: e.me},
		{method: "POST", path: api.PathRefresh, do: e.refresh},
		{method: "GET", path: api.PathNotices, long: true, upgrade: true, do: e.notices},
		{method: "GET", path: api.PathNotices + "/poll", quiet: true, long: true, do: e.poll},
		{method: "GET", path: api.PathNotices + "/events", long: true, do: e.events},

		{method: "GET", path: "/openapi.yaml", who: anyone, do: document(api.OpenAPI())},
		{method: "GET", path: "/asyncapi.yaml", who: anyone, do: document(api.AsyncAPI())},
		{method: "GET", path: api.PathCA, who: anyone, do: e.siteCA},
		{method: "GET", path: "/healthz", who: anyone, quiet: true, do: health},
		{method: "GET", path: "/readyz", who: anyone, quiet: true, do: e.ready},
		{method: "GET", path: "/metrics", who: anyone, quiet: true, do: e.showMetrics()},

		{method: "GET", path: api.PathStatus, who: byRole, role: license.Viewer, do: e.status},
		{method: "GET", path: api.PathMembers, who: byRole, role: license.Viewer, do: e.members},
		{method: "POST", path: api.PathMembers + id + "/remove", who: byRole, role: license.Admin, scopes: license.ClusterScope, do: body(e.remove)},
		{method: "POST", path: api.PathTokens, who: byRole, role: license.Admin, scopes: license.ClusterScope, do: body(e.token)},
		{method: "POST", path: api.PathRekey, who: byRole, role: license.Admin, scopes: license.ClusterScope, do: body(e.rekey)},
		{method: "POST", path: api.PathStepDown, who: byRole, role: license.Admin, scopes: license.ClusterScope, do: e.stepDown},
		{method: "POST", path: api.PathDrain, who: byRole, role: license.Admin, scopes: license.ClusterScope, do: body(e.drain)},
		{method: "POST", path: api.PathLeave, who: byRole, role: license.Admin, scopes: license.ClusterScope, do: e.leave},
		{method: "GET", path: api.PathAPITokens, who: byRole, role: license.Admin, do: e.tokens},
		{method: "POST", path: api.PathAPITokens, who: byRole, role: license.Admin, scopes: license.AccessScope, do: body(e.makeToken)},
		{method: "DELETE", path: api.PathAPITokens + id, who: byRole, role: license.Admin, scopes: license.AccessScope, do: e.revokeToken},
		{method: "GET", path: api.PathAccounts, who: byRole, role: license.Admin, do: e.accounts},
		{method: "POST", path: api.PathAccounts, who: byRole, role: license.Admin, scopes: license.AccessScope, do: body(e.makeAccount)},
		{method: "POST", path: api.PathAccounts + id + "/reset", who: byRole, role: license.Admin, scopes: license.AccessScope, do: body(e.resetAccount)},
		{method: "DELETE", path: api.PathAccounts + id, who: byRole, role: license.Admin, scopes: license.AccessScope, do: e.removeAccount},
		{method: "POST", path: api.PathSessions + id + "/release", who: byRole, role: license.Operator, scopes: license.SessionsScope, do: body(e.release)},
		{method: "POST", path: api.PathCheckouts + id + "/write-off", who: byRole, role: license.Operator, scopes: license.CheckoutsScope, do: body(e.writeOff)},
		{method: "POST", path: api.PathCheckouts + "/import", who: byRole, role: license.Operator, scopes: license.CheckoutsScope, large: true, do: body(e.importCheckout)},
		{method: "POST", path: api.PathCheckouts + "/bulk", who: byRole, role: license.Operator, scopes: license.CheckoutsScope, large: true, do: body(e.bulk)},
		{method: "POST", path: api.PathUsers + id + "/checkouts", who: byRole, role: license.Operator, scopes: license.CheckoutsScope, do: body(e.checkOutFor)},
		{method: "GET", path: api.PathUsers + id + "/checkouts", who: byRole, role: license.Operator, do: e.checkoutsOf},
		{method: "POST", path: api.PathLicenses + id + "/move", who: byRole, role: license.Operator, scopes: license.LicensesScope, do: body(e.move)},
		{method: "POST", path: api.PathUsers + id + "/block", who: byRole, role: license.Operator, scopes: license.MachinesScope, do: body(e.blockUser)},
		{method: "POST", path: api.PathUsers + id + "/unblock", who: byRole, role: license.Operator, scopes: license.MachinesScope, do: body(e.unblockUser)},
		{method: "POST", path: api.PathUsers + id + "/release", who: byRole, role: license.Operator, scopes: license.SessionsScope, do: body(e.releaseUser)},
		{method: "POST", path: api.PathUsers + id + "/forget-key", who: byRole, role: license.Operator, scopes: license.MachinesScope, do: body(e.forgetKey)},
		{method: "GET", path: api.PathUsers + id + "/removal", who: byRole, role: license.Operator, do: e.removal},
		{method: "POST", path: api.PathUsers + id + "/personal-data", who: byRole, role: license.Admin, large: true, scopes: license.AuditScope, do: body(e.personalData)},
		{method: "POST", path: api.PathUsers + id + "/erase", who: byRole, role: license.Admin, scopes: license.AuditScope, do: body(e.erasePerson)},
		{method: "POST", path: api.PathMachines + "/block", who: byRole, role: license.Operator, scopes: license.MachinesScope, do: body(e.blockMachine)},
		{method: "POST", path: api.PathMachines + "/unblock", who: byRole, role: license.Operator, scopes: license.MachinesScope, do: body(e.unblockMachine)},
		{method: "GET", path: api.PathBlocks, who: byRole, role: license.Viewer, do: e.blocks},
		{method: "GET", path: api.PathReminders, who: byRole, role: license.Viewer, do: e.reminders},
		{method: "POST", path: api.PathRestore + "/accept", who: byRole, role: license.Admin, scopes: license.ClusterScope, do: body(e.acceptRestore)},
		{method: "GET", path: api.PathPeaks, who: byRole, role: license.Viewer, large: true, do: e.peaks},
		{method: "GET", path: api.PathRefused, who: byRole, role: license.Viewer, do: e.refusedUsage},
		{method: "POST", path: api.PathRefused + "/resend", who: byRole, role: license.Operator, scopes: license.UsageScope, large: true, do: body(e.resendUsage)},
		{method: "GET", path: api.PathAudit, who: byRole, role: license.Viewer, large: true, do: e.auditUsage},
		{method: "GET", path: api.PathTrail, who: byRole, role: license.Viewer, large: true, do: e.audit},
		{method: "GET", path: api.PathTrail + "/verify", who: byRole, role: license.Viewer, large: true, do: e.verifyAudit},
		{method: "POST", path: api.PathTrail + "/export", who: byRole, role: license.Admin, scopes: license.AuditScope, do: body(e.exportAudit)},
		{method: "POST", path: api.PathTrail + "/erase", who: byRole, role: license.Admin, scopes: license.AuditScope, do: body(e.eraseNames)},
		{method: "POST", path: api.PathMaintenance, who: byRole, role: license.Operator, scopes: license.ClusterScope, do: body(e.maintain)},
		{method: "POST", path: api.PathBypass, who: byRole, role: license.Operator, scopes: license.ClusterScope, do: body(e.beginBypass)},
		{method: "POST", path: api.PathBypass + "/over", who: byRole, role: license.Operator, scopes: license.ClusterScope, do: body(e.endBypass)},
		{method: "POST", path: api.PathTime + "/accept", who: byRole, role: license.Admin, scopes: license.ClusterScope, do: body(e.acceptTime)},
		{method: "GET", path: api.PathTrust, who: byRole, role: license.Viewer, do: e.trust},
		{method: "POST", path: api.PathTrust + "/accept", who: byRole, role: license.Admin, scopes: license.AccessScope, do: body(e.acceptKeys)},
		{method: "GET", path: api.PathMirror + "/records", who: byRole, role: license.Operator, large: true, do: e.mirrorRecords},
		{method: "POST", path: api.PathMirror + "/import", who: byRole, role: license.Admin, scopes: license.LicensesScope, large: true, do: body(e.importMirror)},
		{method: "POST", path: api.PathMirror + "/files", who: byRole, role: license.Admin, scopes: license.LicensesScope, large: true, most: maxPortal, do: e.importFiles},
		{method: "GET", path: api.PathMirror + "/malformed", who: byRole, role: license.Operator, large: true, do: e.malformed},
		{method: "POST", path: api.PathMirror + "/accept", who: byRole, role: license.Admin, scopes: license.LicensesScope, do: body(e.acceptShrink)},
		{method: "GET", path: api.PathOpen, who: byRole, role: license.Viewer, quiet: true, do: e.open},
		{method: "GET", path: api.PathLearned, who: byRole, role: license.Viewer, quiet: true, do: e.learned},
		{method: "GET", path: api.PathProducts, who: byRole, role: license.Viewer, quiet: true, do: e.products},
		{method: "GET", path: api.PathTrend, who: byRole, role: license.Viewer, quiet: true, do: e.showTrend},
		{method: "GET", path: api.PathRefusals, who: byRole, role: license.Viewer, quiet: true, do: e.refusals},
		{method: "GET", path: api.PathObserved, who: byRole, role: license.Viewer, large: true, do: e.observed},
		{method: "GET", path: api.PathHistory, who: byRole, role: license.Viewer, do: e.history},
		{method: "GET", path: api.PathSiteUsers, who: byRole, role: license.Viewer, quiet: true, do: e.siteUsers},
		{method: "GET", path: api.PathSiteUsers + id, who: byRole, role: license.Viewer, do: e.oneUser},
		{method: "GET", path: api.PathSiteLicenses, who: byRole, role: license.Viewer, quiet: true, do: e.siteLicenses},
		{method: "GET", path: api.PathSiteLicenses + id, who: byRole, role: license.Viewer, do: e.oneLicense},
		{method: "GET", path: api.PathReport, who: byRole, role: license.Viewer, large: true, do: e.report},
		{method: "GET", path: api.PathSettings, who: byRole, role: license.Viewer, do: e.settings},
		{method: "GET", path: api.PathSiteAudit, who: byRole, role: license.Viewer, large: true, do: e.siteAudit},
		{method: "GET", path: api.PathNodeSettings, who: byRole, role: license.Operator, do: e.nodeSettings},
		{method: "POST", path: api.PathDoctor, who: byRole, role: license.Operator, scopes: license.ClusterScope, large: true, do: e.examine},
		{method: "GET", path: api.PathSiteEvents, who: byRole, role: license.Viewer, quiet: true, long: true, do: e.siteEvents},
	}
}

// notThere answers what no route takes: 405 where the path exists, else 404.
func (e *Endpoint) notThere(mux *http.ServeMux) func(*call) (reply, error) {
	return func(c *call) (reply, error) {
		var allow []string
		for _, m := range []string{"GET", "POST", "DELETE"} {
			other := c.r.Clone(c.r.Context())
			other.Method = m
			if _, pattern := mux.Handler(other); pattern != "" && pattern != "/" {
				allow = append(allow, m)
			}
		}
		if len(allow) > 0 {
			return reply{}, methodError{allow}
		}
		return reply{}, &trouble{code: api.CodeNotFound}
	}
}
