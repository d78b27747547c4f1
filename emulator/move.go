package emulator

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"sitegate/upstream/cloudapi"
)

// Assignment is one line of the cloud's books about who got a license from whom.
type Assignment struct {
	LicenseID string    `json:"license_id"`
	From      string    `json:"from,omitempty"` // user id, which may be no one's any more; empty: nobody had it
	To        string    `json:"to,omitempty"`   // user id; empty: nobody has it now
	At        time.Time `json:"at"`
	By        string    `json:"by,omitempty"`
	Note      string    `json:"note,omitempty"`
	// ServiceRequest is what the vendor's service did it for; empty: it was a move, or Assign.
	ServiceRequest string `json:"service_request,omitempty"`
}

const maxAssignments = 10_000 // of which the books keep the last

// refused is a refusal as an error, for the knobs.
type refused struct{ cloudapi.Problem }

func (r *refused) Error() string { return r.Reason + ": " + r.Detail }

// Reason is why a knob was refused, one of cloudapi's; empty: for no such reason.
func Reason(err error) string {
	var r *refused
	if errors.As(err, &r) {
		return r.Reason
	}
	return ""
}

// locked says until when a license that was assigned at that time may not be moved at now; false: it may (R10).
func locked(assigned, now time.Time) (until time.Time, _ bool) {
	opens := assigned.Add(cloudapi.MoveFree + cloudapi.MoveLock)
	return opens, !now.Before(assigned.Add(cloudapi.MoveFree)) && now.Before(opens)
}

// assignable says why a license cannot be given to a user, whoever asks for it. The caller holds the lock.
func (e *Emulator) assignable(licenseID, userID string) error {
	u, known := e.users[userID]
	_, there := e.licenses[licenseID]
	no := func(reason, detail string) error {
		return &refused{cloudapi.Problem{Reason: reason, Detail: detail, LicenseID: licenseID, UserID: userID}}
	}
	switch {
	case !there:
		return &refused{cloudapi.Problem{Reason: cloudapi.ReasonUnknown, Detail: fmt.Sprintf("no license %q", licenseID)}}
	case !known:
		return no(cloudapi.ReasonUnknown, fmt.Sprintf("no user %q", userID))
	case u.Blocked:
		return no(cloudapi.ReasonUserBlocked, userID+" is blocked")
	case u.OtherAccount:
		return no(cloudapi.ReasonOtherAccount, "another account has claimed "+userID)
	case u.Country == "":
		return no(cloudapi.ReasonNoCountry, userID+" has no entitlement country")
	}
	return nil
}

// found says that the license is not one of a user who was deleted, which only the vendor's service can give to another (R11). The caller
// holds the lock.
func (e *Emulator) found(l cloudapi.License) error {
	if _, there := e.users[l.AssignedTo]; there || l.AssignedTo == "" {
		return nil
	}
	return &refused{cloudapi.Problem{Reason: cloudapi.ReasonUserNotFound, LicenseID: l.ID, AssigneeID: l.AssignedTo,
		Detail: "the license is assigned to a user who was deleted: this takes a service request"}}
}

// Move assigns a license to another user, as an administrator does in the portal: in the first 24 h after its assignment, or when the 30 days
// after those are over (R10). To the user who has it already it does nothing.
func (e *Emulator) Move(licenseID, toUserID, by, note string) (cloudapi.License, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l, there := e.licenses[licenseID]
	_, known := e.users[toUserID]
	now := e.now()
	switch {
	case there && known && l.AssignedTo == toUserID:
		return l, nil
	case there && !now.Before(l.EndsAt):
		return cloudapi.License{}, &refused{cloudapi.Problem{Reason: cloudapi.ReasonLicenseEnded, LicenseID: licenseID, Until: &l.EndsAt,
			Detail: "the license has ended at " + l.EndsAt.Format(time.RFC3339)}}
	}
	if err := e.found(l); err != nil {
		return cloudapi.License{}, err
	}
	if err := e.assignable(licenseID, toUserID); err != nil {
		return cloudapi.License{}, err
	}
	if l.AssignedTo != "" && l.AssignedAt != nil {
		if until, shut := locked(*l.AssignedAt, now); shut {
			return cloudapi.License{}, &refused{cloudapi.Problem{Reason: cloudapi.ReasonMoveLocked, LicenseID: licenseID, AssigneeID: l.AssignedTo, Until: &until,
				Detail: "assigned to " + l.AssignedTo + " and locked until " + until.Format(time.RFC3339)}}
		}
	}
	return e.give(l, Assignment{To: toUserID, By: by, Note: note}), nil
}

// Assign gives a license to a user from now on, or for the empty user takes it from whoever has it: as the vendor itself may, whom no lock holds back.
// What stands in the way of every assignment stands in the way of this one.
func (e *Emulator) Assign(licenseID, userID string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	l, there := e.licenses[licenseID]
	if userID != "" || !there {
		if err := e.assignable(licenseID, userID); err != nil {
			return err
		}
	}
	if err := e.found(l); err != nil {
		return err
	}
	e.give(l, Assignment{To: userID})
	return nil
}

// RepairAssignment gives the license of a user who was deleted to another, as the vendor's service does on request (R11, category Licensing
// assistance). It is an assignment like any other, and starts the lock anew.
func (e *Emulator) RepairAssignment(licenseID, toUserID, serviceRequest string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if serviceRequest == "" {
		return errors.New("the service does this on request only: which one?")
	}
	if err := e.assignable(licenseID, toUserID); err != nil {
		return err
	}
	l := e.licenses[licenseID]
	if e.found(l) == nil {
		return fmt.Errorf("license %s is not one of a deleted user: move it", licenseID)
	}
	e.give(l, Assignment{To: toUserID, ServiceRequest: serviceRequest})
	return nil
}

// give writes an assignment down. The caller holds the lock.
func (e *Emulator) give(l cloudapi.License, a Assignment) cloudapi.License {
	now := e.now()
	a.LicenseID, a.From, a.At = l.ID, l.AssignedTo, now
	l.AssignedTo, l.AssignedAt = a.To, &now
	if a.To == "" {
		l.AssignedAt = nil
	}
	e.putLicense(l)
	e.assignments = append(e.assignments, a)
	if extra := len(e.assignments) - maxAssignments; extra > 0 {
		e.assignments = slices.Delete(e.assignments, 0, extra)
	}
	return l
}

// Assignments are the books of who got which license from whom, by Move, Assign and RepairAssignment, oldest first.
func (e *Emulator) Assignments() []Assignment {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]Assignment{}, e.assignments...)
}

// ChangeEmail gives a user another address. Assignments and holds stay (R11).
func (e *Emulator) ChangeEmail(userID, email string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	u, there := e.users[userID]
	if !there {
		return fmt.Errorf("no user %q", userID)
	}
	if other, taken := e.user(email); taken && other.ID != userID {
		return fmt.Errorf("%s has the address %q", other.ID, email)
	}
	u.Email = email
	e.putUser(u)
	return nil
}

// postMove answers POST cloudapi.PathMove.
func (e *Emulator) postMove(w http.ResponseWriter, r *http.Request, _ string) {
	if e.NoMoves {
		refuse(w, http.StatusNotFound, cloudapi.ReasonNotOffered, "this cloud takes no moves from a site")
		return
	}
	var req cloudapi.MoveRequest
	if !read(w, r, &req) {
		return
	}
	id := r.PathValue("id")
	switch {
	case len(id) > cloudapi.MaxID || req.ToUserID == "" || len(req.ToUserID) > cloudapi.MaxID:
		refuse(w, http.StatusBadRequest, cloudapi.ReasonInvalid, fmt.Sprintf("license and to_user_id are 1 to %d bytes each", cloudapi.MaxID))
		return
	case strings.TrimSpace(req.By) == "" || len(req.By) > cloudapi.MaxName || len(req.Note) > cloudapi.MaxNote:
		refuse(w, http.StatusBadRequest, cloudapi.ReasonInvalid, fmt.Sprintf("by is 1 to %d bytes, note at most %d", cloudapi.MaxName, cloudapi.MaxNote))
		return
	}
	l, err := e.Move(id, req.ToUserID, req.By, req.Note)
	var no *refused
	if errors.As(err, &no) {
		answer(w, http.StatusConflict, no.Problem)
		return
	}
	answer(w, http.StatusOK, cloudapi.Moved{License: l})
}
