package endpoint

import (
	"net/http"

	"sitegate/api"
)

// who may call a route.
type who uint8

const (
	user     who = iota // a bearer token, within the rate limit
	anyone              // nobody is asked who they are
	operator            // only on the operator's socket
)

// route is one line of the API.
type route struct {
	method, path string
	who          who
	quiet        bool // logged at debug: there are many of them and little to say
	long         bool // waits for what happens: it bounds its own time
	large        bool // takes a whole file, or the time to work through a lot
	do           func(*call) (reply, error)
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
		{method: "GET", path: api.PathMe, do: e.me},
		{method: "POST", path: api.PathRefresh, do: e.refresh},
		{method: "GET", path: api.PathNotices, do: e.notices},
		{method: "GET", path: api.PathNotices + "/poll", quiet: true, long: true, do: e.poll},
		{method: "GET", path: api.PathNotices + "/events", long: true, do: e.events},

		{method: "GET", path: "/openapi.yaml", who: anyone, do: document(api.OpenAPI())},
		{method: "GET", path: "/asyncapi.yaml", who: anyone, do: document(api.AsyncAPI())},
		{method: "GET", path: "/healthz", who: anyone, quiet: true, do: health},
		{method: "GET", path: "/readyz", who: anyone, quiet: true, do: e.ready},
		{method: "GET", path: "/metrics", who: anyone, quiet: true, do: e.showMetrics()},

		{method: "GET", path: api.PathStatus, who: operator, do: e.status},
		{method: "GET", path: api.PathMembers, who: operator, do: e.members},
		{method: "POST", path: api.PathMembers + id + "/remove", who: operator, do: body(e.remove)},
		{method: "POST", path: api.PathTokens, who: operator, do: body(e.token)},
		{method: "POST", path: api.PathStepDown, who: operator, do: e.stepDown},
		{method: "POST", path: api.PathDrain, who: operator, do: body(e.drain)},
		{method: "POST", path: api.PathLeave, who: operator, do: e.leave},
		{method: "POST", path: api.PathSessions + id + "/release", who: operator, do: body(e.release)},
		{method: "POST", path: api.PathCheckouts + id + "/write-off", who: operator, do: body(e.writeOff)},
		{method: "POST", path: api.PathCheckouts + "/bulk", who: operator, large: true, do: body(e.bulk)},
		{method: "POST", path: api.PathUsers + id + "/checkouts", who: operator, do: body(e.checkOutFor)},
		{method: "GET", path: api.PathUsers + id + "/checkouts", who: operator, do: e.checkoutsOf},
		{method: "POST", path: api.PathLicenses + id + "/move", who: operator, do: body(e.move)},
		{method: "POST", path: api.PathUsers + id + "/block", who: operator, do: body(e.blockUser)},
		{method: "POST", path: api.PathUsers + id + "/unblock", who: operator, do: body(e.unblockUser)},
		{method: "POST", path: api.PathUsers + id + "/release", who: operator, do: body(e.releaseUser)},
		{method: "GET", path: api.PathUsers + id + "/removal", who: operator, do: e.removal},
		{method: "POST", path: api.PathMachines + "/block", who: operator, do: body(e.blockMachine)},
		{method: "POST", path: api.PathMachines + "/unblock", who: operator, do: body(e.unblockMachine)},
		{method: "GET", path: api.PathBlocks, who: operator, do: e.blocks},
		{method: "GET", path: api.PathReminders, who: operator, do: e.reminders},
		{method: "POST", path: api.PathRestore + "/accept", who: operator, do: body(e.acceptRestore)},
		{method: "GET", path: api.PathPeaks, who: operator, large: true, do: e.peaks},
		{method: "GET", path: api.PathRefused, who: operator, do: e.refusedUsage},
		{method: "POST", path: api.PathRefused + "/resend", who: operator, large: true, do: body(e.resendUsage)},
		{method: "GET", path: api.PathAudit, who: operator, large: true, do: e.auditUsage},
		{method: "POST", path: api.PathMaintenance, who: operator, do: body(e.maintain)},
		{method: "POST", path: api.PathTime + "/accept", who: operator, do: body(e.acceptTime)},
		{method: "GET", path: api.PathMirror + "/records", who: operator, large: true, do: e.mirrorRecords},
		{method: "POST", path: api.PathMirror + "/import", who: operator, large: true, do: body(e.importMirror)},
		{method: "GET", path: api.PathMirror + "/malformed", who: operator, large: true, do: e.malformed},
		{method: "POST", path: api.PathMirror + "/accept", who: operator, do: body(e.acceptShrink)},
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
