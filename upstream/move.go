package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// Move asks the cloud to assign a license to another user; asking again is harmless. Nil, nil: it has done so. A denial is the cloud's
// answer, license.CloudCannot of a cloud that takes no moves from a site; an error says that it could not be asked.
func (c *Client) Move(ctx context.Context, m license.Move) (*license.Denial, error) {
	body, err := json.Marshal(cloudapi.MoveRequest{ToUserID: string(m.To), By: m.By, Note: m.Note})
	if err != nil {
		return nil, err
	}
	var got cloudapi.Moved
	err = c.do(ctx, call{method: http.MethodPost, path: cloudapi.PathMove(string(m.License)), limit: cloudapi.PathLicenses, body: body}, &got)
	if err == nil && (got.License.ID != string(m.License) || got.License.AssignedTo != string(m.To)) {
		err = fmt.Errorf("%w: a move of another license, or to another user", ErrGarbage)
	}
	if r := (*refusal)(nil); errors.As(err, &r) {
		if d := toMoveDenial(r.Problem, m); d != nil {
			return d, nil
		}
	}
	if s := (*StatusError)(nil); errors.As(err, &s) && s.Reason == cloudapi.ReasonNotOffered {
		return &license.Denial{Reason: license.CloudCannot, License: m.License}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("asking the cloud to move a license: %w", asError(err))
	}
	return nil, nil
}

// toMoveDenial translates a refusal; nil: it is not about the move.
func toMoveDenial(p cloudapi.Problem, m license.Move) *license.Denial {
	d := &license.Denial{License: m.License}
	if p.Until != nil {
		d.Until = license.TimeOf(*p.Until)
	}
	if soundID(p.AssigneeID) {
		d.Person = license.UserID(p.AssigneeID)
	}
	switch p.Reason {
	case cloudapi.ReasonMoveLocked:
		d.Reason = license.MoveLocked
		return d
	case cloudapi.ReasonUserNotFound:
		d.Reason = license.UserNotFound
		return d
	case cloudapi.ReasonLicenseEnded:
		d.Reason = license.LicenseEnded
		return d
	case cloudapi.ReasonUnknown:
		if p.UserID == "" {
			d.Reason = license.UnknownLicense
			return d
		}
		d.Reason = license.UnknownUser
	case cloudapi.ReasonUserBlocked:
		d.Reason = license.UserBlocked
	case cloudapi.ReasonOtherAccount:
		d.Reason = license.OtherAccount
	case cloudapi.ReasonNoCountry:
		d.Reason = license.NoCountry
	default:
		return nil
	}
	d.Person = m.To
	return d
}
