package desktop

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// The services, by the names that discovery knows them by.
const (
	PolicyService    = "EntitlementPolicyService.Url"
	PostingService   = "UsageLoggingServices.RealtimeLogging.Url"
	LocationService  = "UsageLoggingServices.Location.Url"
	AccessKeyService = "UsageLoggingServices.AccessKey.Url"
)

// urlsLast is how long an answer of discovery is good for.
const urlsLast = 24 * time.Hour

// Find is the address of a service, as the client goes to it now.
func (c *Client) Find(ctx context.Context, service string) string { return c.find(ctx, service) }

type foundURL struct {
	url   string
	until time.Time
}

// find is a service's address: as discovery said within a day, as it says now, or as the client was built with.
func (c *Client) find(ctx context.Context, service string) string {
	c.mu.Lock()
	known := c.urls[service]
	c.mu.Unlock()
	if c.now().Before(known.until) {
		return known.url
	}
	found, err := c.discover(ctx, service)
	if err != nil {
		return c.cfg.Defaults[service]
	}
	c.mu.Lock()
	c.urls[service] = foundURL{found, c.now().Add(urlsLast)}
	c.mu.Unlock()
	return found
}

const getURL = `<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema"><soap:Body><GetUrl xmlns="http://tempuri.org/"><urlName>%s</urlName><region>%d</region></GetUrl></soap:Body></soap:Envelope>`

func (c *Client) discover(ctx context.Context, service string) (string, error) {
	answer, err := c.call(ctx, http.MethodPost, c.cfg.Discovery, false, fmt.Appendf(nil, getURL, service, c.cfg.Region),
		"Content-Type", "text/xml; charset=utf-8", "SOAPAction", `"http://tempuri.org/GetUrl"`)
	if err != nil {
		return "", err
	}
	var soap struct {
		XMLName xml.Name `xml:"http://schemas.xmlsoap.org/soap/envelope/ Envelope"`
		Found   string   `xml:"Body>GetUrlResponse>GetUrlResult"`
	}
	if err := xml.Unmarshal(answer, &soap); err != nil {
		return "", err
	}
	if soap.Found = strings.TrimSpace(soap.Found); soap.Found == "" {
		return "", errors.New("discovery knows no " + service)
	}
	return strings.TrimSuffix(soap.Found, "/"), nil
}
