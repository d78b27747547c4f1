package emulator

import (
	"errors"
	"net/http"

	"sitegate/upstream/cloudapi"
)

// faultWire is Fault over HTTP.
type faultWire struct {
	Prefix       string          `json:"prefix"`
	DelayMS      cloudapi.Millis `json:"delay_ms,omitempty"`
	Hang         bool            `json:"hang,omitempty"`
	Cut          bool            `json:"cut,omitempty"`
	Lose         bool            `json:"lose,omitempty"`
	Short        bool            `json:"short,omitempty"`
	Again        bool            `json:"again,omitempty"`
	Status       int             `json:"status,omitempty"`
	Body         string          `json:"body,omitempty"`
	Location     string          `json:"location,omitempty"`
	Type         string          `json:"type,omitempty"`
	RetryAfterMS cloudapi.Millis `json:"retry_after_ms,omitempty"`
	Times        int             `json:"times,omitempty"`
}

// Control is the knobs over HTTP: JSON in and out, for whoever runs the emulator, never on the address that the cloud answers on.
//
//	GET, PUT, DELETE /faults      one PUT per prefix (prefix, delay_ms, hang, cut, lose, short, again, status, body, location, type, retry_after_ms, times); DELETE clears all
//	POST /keys/rotate, /keys/drop-old
//	POST /cursors/lose
//	POST /data/lose               {keep: [user ids]}: almost nothing is left of users, products and licenses
//	POST /data/find               undoes it
//	GET, PUT /users · /products · /licenses    PUT one object; DELETE /users/{id}, /licenses/{id}
//	PUT /account
//	POST /assign                  {license_id, user_id}; an empty user takes it away; the vendor's act, whatever the move lock says
//	POST /move                    {license_id, to_user_id, by, note}: the administrator's, under the move lock
//	POST /repair                  {license_id, user_id, service_request}: the service's, for the license of a deleted user
//	GET /assignments              who got which license from whom, oldest first
//	POST /checkin                 {ref}: the service's, for a checkout of which the machine is lost
//	POST /email                   {user_id, email}: another address, the same user
//	POST /password                {user_id, password}
//	GET /usage                    {records, duplicates}
//	PUT /usage/refused            {users: [ids]}: no record of theirs is taken
//	GET /holds?site=S
//	GET /active?user=U            the machines a user is active on
//	GET, PUT /policies            how policies are made (PolicyTerms): posting_interval, no_offline, wrong_key, …
//	POST /policies/rotate         another key and certificate
//	POST /tokens                  {user_id, kind, issuer, ttl_ms}: a token as if the user had signed in; kind is bearer or saml: {token}
//	POST /checkouts               {user_id, machine_name, products, until}: the portal's checkout; answers the .belic file
//	GET /desktops                 what desktop clients have: {holds, postings, feature_logs, rows}
//	POST, DELETE /elsewhere       {user_id, machine_name}: active on a machine of no site
func (e *Emulator) Control() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /faults", func(w http.ResponseWriter, r *http.Request) {
		list := []faultWire{}
		for _, f := range e.Faults() {
			list = append(list, faultWire{f.Prefix, cloudapi.MillisOf(f.Delay), f.Hang, f.Cut, f.Lose, f.Short, f.Again, f.Status, f.Body, f.Location, f.Type, cloudapi.MillisOf(f.RetryAfter), f.Times})
		}
		answer(w, http.StatusOK, list)
	})
	m.HandleFunc("PUT /faults", take(func(f faultWire) error {
		e.SetFault(Fault{f.Prefix, f.DelayMS.Duration(), f.Hang, f.Cut, f.Lose, f.Short, f.Again, f.Status, f.Body, f.Location, f.Type, f.RetryAfterMS.Duration(), f.Times})
		return nil
	}))
	m.HandleFunc("DELETE /faults", do(e.ClearFaults))
	m.HandleFunc("POST /keys/rotate", do(e.RotateKeys))
	m.HandleFunc("POST /keys/drop-old", do(e.DropOldKeys))
	m.HandleFunc("POST /cursors/lose", do(e.LoseCursors))
	m.HandleFunc("POST /data/lose", take(func(d struct {
		Keep []string `json:"keep"`
	}) error {
		e.LoseData(d.Keep...)
		return nil
	}))
	m.HandleFunc("POST /data/find", do(e.FindData))

	m.HandleFunc("GET /users", give(e.Users))
	m.HandleFunc("GET /products", give(e.Products))
	m.HandleFunc("GET /licenses", give(e.Licenses))
	m.HandleFunc("PUT /users", take(func(u cloudapi.User) error { e.PutUser(u); return nil }))
	m.HandleFunc("PUT /products", take(func(p cloudapi.Product) error { e.PutProduct(p); return nil }))
	m.HandleFunc("PUT /licenses", take(func(l cloudapi.License) error { e.PutLicense(l); return nil }))
	m.HandleFunc("PUT /account", take(func(a cloudapi.Account) error { e.SetAccount(a); return nil }))
	m.HandleFunc("DELETE /users/{id}", func(w http.ResponseWriter, r *http.Request) {
		e.DeleteUser(r.PathValue("id"))
		w.WriteHeader(http.StatusNoContent)
	})
	m.HandleFunc("DELETE /licenses/{id}", func(w http.ResponseWriter, r *http.Request) {
		e.DeleteLicense(r.PathValue("id"))
		w.WriteHeader(http.StatusNoContent)
	})
	m.HandleFunc("POST /assign", take(func(a struct {
		LicenseID string `json:"license_id"`
		UserID    string `json:"user_id"`
	}) error {
		return e.Assign(a.LicenseID, a.UserID)
	}))
	m.HandleFunc("POST /move", take(func(a struct {
		LicenseID string `json:"license_id"`
		cloudapi.MoveRequest
	}) error {
		_, err := e.Move(a.LicenseID, a.ToUserID, a.By, a.Note)
		return err
	}))
	m.HandleFunc("POST /repair", take(func(a struct {
		LicenseID      string `json:"license_id"`
		UserID         string `json:"user_id"`
		ServiceRequest string `json:"service_request"`
	}) error {
		return e.RepairAssignment(a.LicenseID, a.UserID, a.ServiceRequest)
	}))
	m.HandleFunc("POST /checkin", take(func(a struct {
		Ref string `json:"ref"`
	}) error {
		if !e.CheckIn(a.Ref) {
			return errors.New("no such checkout is out")
		}
		return nil
	}))
	m.HandleFunc("GET /assignments", give(e.Assignments))
	m.HandleFunc("POST /email", take(func(a struct {
		UserID string `json:"user_id"`
		Email  string `json:"email"`
	}) error {
		return e.ChangeEmail(a.UserID, a.Email)
	}))
	m.HandleFunc("POST /password", take(func(a struct {
		UserID   string `json:"user_id"`
		Password string `json:"password"`
	}) error {
		e.SetPassword(a.UserID, a.Password)
		return nil
	}))

	m.HandleFunc("GET /usage", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, map[string]any{"records": e.Usage(), "duplicates": e.UsageDuplicates()})
	})
	m.HandleFunc("PUT /usage/refused", take(func(u struct {
		Users []string `json:"users"`
	}) error {
		e.RefuseUsageOf(u.Users...)
		return nil
	}))
	m.HandleFunc("GET /holds", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, cloudapi.HoldList{Holds: e.Holds(r.URL.Query().Get("site"))})
	})
	m.HandleFunc("GET /active", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, e.Active(r.URL.Query().Get("user")))
	})
	type elsewhere struct {
		UserID      string `json:"user_id"`
		MachineName string `json:"machine_name"`
	}
	m.HandleFunc("POST /elsewhere", take(func(a elsewhere) error { return e.HoldElsewhere(a.UserID, a.MachineName) }))
	m.HandleFunc("DELETE /elsewhere", take(func(a elsewhere) error { e.ReleaseElsewhere(a.UserID); return nil }))

	e.desktopKnobs(m)

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
		m.ServeHTTP(w, r)
	})
}

func do(f func()) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		f()
		w.WriteHeader(http.StatusNoContent)
	}
}

func give[T any](f func() T) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, f()) }
}

func take[T any](f func(T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var v T
		if !read(w, r, &v) {
			return
		}
		if err := f(v); err != nil {
			p := cloudapi.Problem{Reason: cloudapi.ReasonInvalid, Detail: err.Error()}
			if no := (*refused)(nil); errors.As(err, &no) {
				p = no.Problem
			}
			answer(w, http.StatusConflict, p)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}
