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

// Hold asks the cloud to keep a hold. Nil, nil: agreed. A denial is the cloud's answer; an error says that it could not be asked.
func (c *Client) Hold(ctx context.Context, f license.Fence, h license.CloudHold) (*license.Denial, error) {
	got, err := c.batches.do(ctx, cloudapi.Operation{Hold: &cloudapi.HoldRequest{Fence: fromFence(f), Hold: fromHold(h)}})
	if err == nil && got.LeaseMS <= 0 {
		err = fmt.Errorf("%w: a grant without a lease", ErrGarbage)
	}
	if r := (*refusal)(nil); errors.As(err, &r) {
		if d := toDenial(r.Problem, h); d != nil {
			return d, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("asking the cloud for a hold: %w", asError(err))
	}
	return nil, nil
}

// Release gives one hold back. It may be repeated.
func (c *Client) Release(ctx context.Context, f license.Fence, h license.CloudHold) error {
	_, err := c.batches.do(ctx, cloudapi.Operation{Release: &cloudapi.ReleaseRequest{Fence: fromFence(f), Key: h.Key, MachineID: h.Machine.ID,
		MachineName: h.Machine.Name, Ref: h.Ref.String()}})
	if err != nil {
		return fmt.Errorf("giving a hold back to the cloud: %w", asError(err))
	}
	return nil
}

// RenewHolds renews everything the site holds, from its full list, and returns what the cloud does not agree to. A conflict without a machine
// is one about the right itself: the license was moved, or has ended.
func (c *Client) RenewHolds(ctx context.Context, f license.Fence, holds []license.CloudHold) ([]license.HoldConflict, error) {
	if len(holds) > cloudapi.MaxHolds {
		return nil, fmt.Errorf("renewing holds: the site has %d, more than the %d that one renewal takes", len(holds), cloudapi.MaxHolds)
	}
	req := cloudapi.RenewRequest{Fence: fromFence(f), Holds: make([]cloudapi.Hold, 0, len(holds))}
	asked := make(map[string]license.CloudHold, len(holds)) // by reference
	for _, h := range holds {
		req.Holds = append(req.Holds, fromHold(h))
		asked[h.Ref.String()] = h
	}
	body, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	var got cloudapi.RenewAnswer
	err = c.do(ctx, call{method: http.MethodPost, path: cloudapi.PathHoldsRenew, body: body, max: maxSmall + 1024*int64(len(holds))}, &got)
	if err == nil && got.LeaseMS <= 0 {
		err = fmt.Errorf("%w: a renewal without a lease", ErrGarbage)
	}
	if err != nil {
		return nil, fmt.Errorf("renewing holds: %w", asError(err))
	}
	var conflicts []license.HoldConflict
	for _, x := range got.Conflicts {
		h, ok := asked[x.Ref]
		if !ok || h.Key != x.Key {
			return nil, fmt.Errorf("renewing holds: %w: a conflict about a hold that was not asked for", ErrGarbage)
		}
		k := license.HoldConflict{Key: x.Key, Ref: h.Ref, Machine: license.Machine{Name: cut(x.MachineName)}}
		if x.Since != nil {
			k.Since = license.TimeOf(*x.Since)
		}
		conflicts = append(conflicts, k)
	}
	return conflicts, nil
}

// HeldCheckouts lists the checkouts of this site that the cloud has in its books, by the id they were asked for with. What is not there has
// been returned, has ended, or was checked in by the vendor's service.
func (c *Client) HeldCheckouts(ctx context.Context) ([]license.Checkout, error) {
	var got cloudapi.HoldList
	err := c.do(ctx, call{method: http.MethodGet, path: cloudapi.PathHolds, max: cloudapi.MaxBody}, &got)
	if err == nil && got.Holds == nil { // nothing is not a list of nothing
		err = fmt.Errorf("%w: an answer without a list", ErrGarbage)
	}
	if err != nil {
		return nil, fmt.Errorf("asking the cloud what this site holds: %w", asError(err))
	}
	held := []license.Checkout{}
	for _, h := range got.Holds {
		if h.Kind != cloudapi.HoldCheckout {
			continue
		}
		id, err := license.ParseID(h.Ref)
		if err != nil {
			return nil, fmt.Errorf("asking the cloud what this site holds: %w: %s", ErrGarbage, clip(err.Error()))
		}
		if h.Until == nil || !soundID(h.UserID) || !soundID(h.ProductID) || !soundID(h.LicenseID) || len(h.MachineID) > cloudapi.MaxID {
			return nil, fmt.Errorf("asking the cloud what this site holds: %w: checkout %s does not say whose, of what, where or until when", ErrGarbage, id)
		}
		held = append(held, license.Checkout{ID: id, User: license.UserID(h.UserID), Product: license.ProductID(h.ProductID), License: license.LicenseID(h.LicenseID),
			Machine: license.Machine{ID: h.MachineID, Name: cut(h.MachineName)}, Since: license.TimeOf(h.Since), Until: license.TimeOf(*h.Until)})
	}
	return held, nil
}

// toDenial translates a refusal; nil: it is not about the license.
func toDenial(p cloudapi.Problem, h license.CloudHold) *license.Denial {
	d := &license.Denial{Product: h.Product, License: h.License, Elsewhere: true}
	if p.Until != nil {
		d.Until = license.TimeOf(*p.Until)
	}
	switch p.Reason {
	case cloudapi.ReasonMachineActive:
		d.Reason = license.MachineActive
		d.Machine.Name = cut(p.MachineName)
		if p.Since != nil {
			d.Since = license.TimeOf(*p.Since)
		}
		if soundID(p.LicenseID) {
			d.Holding = license.LicenseID(p.LicenseID)
		}
		if p.Kind == cloudapi.HoldCheckout {
			d.By = license.HoldCheckout
		}
	case cloudapi.ReasonNotAssigned, cloudapi.ReasonUnknown: // what the cloud does not know it has not assigned
		d.Reason = license.NotAssigned
	case cloudapi.ReasonLicenseEnded:
		d.Reason = license.LicenseEnded
	case cloudapi.ReasonUserBlocked:
		d.Reason = license.UserBlocked
	case cloudapi.ReasonTooLong:
		d.Reason = license.CheckoutTooLong
	case cloudapi.ReasonNoCountry:
		d.Reason = license.NoCountry
	case cloudapi.ReasonCountry:
		d.Reason = license.WrongCountry
	case cloudapi.ReasonFeatureLevel:
		d.Reason = license.FeatureLevel
	case cloudapi.ReasonCheckoutOff:
		d.Reason = license.CheckoutOff
	default:
		return nil
	}
	return d
}

// asError gives a refusal that is no denial the shape of the other errors.
func asError(err error) error {
	var r *refusal
	switch {
	case !errors.As(err, &r):
		return err
	case r.Reason == cloudapi.ReasonStaleFence:
		return ErrStaleFence
	}
	return &StatusError{http.StatusConflict, clip(r.Reason), clip(r.Detail)}
}

func fromFence(f license.Fence) cloudapi.Fence {
	return cloudapi.Fence{Epoch: f.Epoch, Term: f.Term, Order: f.Order}
}

func fromHold(h license.CloudHold) cloudapi.Hold {
	out := cloudapi.Hold{Key: h.Key, UserID: string(h.User), LicenseID: string(h.License), ProductID: string(h.Product),
		MachineID: h.Machine.ID, MachineName: h.Machine.Name, Kind: cloudapi.HoldSession, Ref: h.Ref.String(), Provisional: h.Provisional, Feature: h.Feature}
	if h.Kind == license.HoldCheckout {
		until := h.Until.Std()
		out.Kind, out.Until, out.WrittenOff = cloudapi.HoldCheckout, &until, h.WrittenOff
	}
	return out
}
