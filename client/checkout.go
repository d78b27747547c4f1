package client

import (
	"context"
	"errors"
	"net/http"
	"time"

	"sitegate/api"
)

// CheckOut takes a license along until then, to be used on this machine away
// from the network; until the zero time for as long as the site usually gives one.
// Where it is not known whether that was done, it is given back.
func (c *Client) CheckOut(ctx context.Context, product string, until time.Time) (*api.Checkout, error) {
	id, err := newID()
	if err != nil {
		return nil, err
	}
	req := api.CheckoutRequest{ID: id, Product: product, Machine: c.cfg.Machine, Client: c.cfg.Client, Until: until.UTC()}
	var got api.Checkout
	if _, err := c.obtain(ctx, api.PathCheckouts, c.own(api.PathCheckouts, id), req, &got); err != nil {
		return nil, err
	}
	return &got, nil
}

// Return gives a checkout of this machine back before its end. That it was given
// back already is no error.
func (c *Client) Return(ctx context.Context, id string) error {
	_, err := c.call(ctx, http.MethodDelete, c.own(api.PathCheckouts, id), nil, nil)
	if errors.Is(err, ErrAlreadyEnded) {
		return nil
	}
	return err
}
