package cloudapi_test

import (
	"errors"
	"strings"
	"testing"

	"sitegate/upstream/cloudapi"
)

func TestGetURLIsReadAsWritten(t *testing.T) {
	for _, want := range []cloudapi.GetURL{{Name: cloudapi.ServicePolicy}, {Name: `a<b>&"c"`, Region: 102}} {
		if got, err := cloudapi.ReadGetURL(want.Message()); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

func TestGetURLIsReadInOtherHands(t *testing.T) {
	want := cloudapi.GetURL{Name: cloudapi.ServiceLocation, Region: 102}
	for name, m := range map[string]string{
		"another prefix, a header, a byte order mark": "\ufeff" + `<?xml version="1.0"?>
			<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:t="http://tempuri.org/"><s:Header><x xmlns="urn:x"><urlName>no</urlName></x></s:Header>
			<s:Body><t:GetUrl><t:region>102</t:region><t:urlName> UsageLoggingServices.Location.Url </t:urlName></t:GetUrl></s:Body></s:Envelope>`,
		"a field nobody knows, and CDATA": soap(`<GetUrl xmlns="http://tempuri.org/"><new><a/></new><urlName><![CDATA[UsageLoggingServices.Location.Url]]></urlName><region>102</region></GetUrl>`),
	} {
		if got, err := cloudapi.ReadGetURL([]byte(m)); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
	}
}

func soap(body string) string {
	return `<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>` + body + `</soap:Body></soap:Envelope>`
}

func TestGetURLRefusesWhatIsNotPlain(t *testing.T) {
	const call = `<GetUrl xmlns="http://tempuri.org/"><urlName>a</urlName><region>0</region></GetUrl>`
	for name, m := range map[string]string{
		"nothing":                     "",
		"no XML":                      "urlName=a",
		"a document type":             `<!DOCTYPE x [<!ENTITY e "a">]>` + soap(call),
		"an entity":                   soap(`<GetUrl xmlns="http://tempuri.org/"><urlName>&e;</urlName></GetUrl>`),
		"a processing instruction":    `<?php x ?>` + soap(call),
		"too large":                   soap(call + strings.Repeat(" ", cloudapi.MaxSOAP)),
		"too deep":                    soap(call + strings.Repeat("<a>", 50)),
		"cut short":                   soap(call)[:150],
		"two calls":                   soap(call + call),
		"two names":                   soap(`<GetUrl xmlns="http://tempuri.org/"><urlName>a</urlName><urlName>b</urlName></GetUrl>`),
		"a name of elements":          soap(`<GetUrl xmlns="http://tempuri.org/"><urlName>a<b/></urlName></GetUrl>`),
		"no name":                     soap(`<GetUrl xmlns="http://tempuri.org/"><region>0</region></GetUrl>`),
		"a region that is no number":  soap(`<GetUrl xmlns="http://tempuri.org/"><urlName>a</urlName><region>x</region></GetUrl>`),
		"SOAP 1.2":                    strings.ReplaceAll(soap(call), "http://schemas.xmlsoap.org/soap/envelope/", "http://www.w3.org/2003/05/soap-envelope"),
		"more behind it":              soap(call) + soap(call),
		"another encoding":            `<?xml version="1.0" encoding="utf-7"?>` + soap(call),
		"a very long name":            soap(`<GetUrl xmlns="http://tempuri.org/"><urlName>` + strings.Repeat("a", 3000) + `</urlName></GetUrl>`),
		"a name in another namespace": soap(`<GetUrl xmlns="http://tempuri.org/"><urlName xmlns="urn:x">a</urlName></GetUrl>`),
	} {
		if got, err := cloudapi.ReadGetURL([]byte(m)); err == nil || errors.Is(err, cloudapi.ErrOtherCall) {
			t.Errorf("%s: got %+v, %v, want it refused", name, got, err)
		}
	}
}

func TestGetURLKnowsOtherCalls(t *testing.T) {
	for _, m := range []string{soap(`<GetRegions xmlns="http://tempuri.org/"/>`), soap(`<GetUrl xmlns="urn:other"><urlName>a</urlName></GetUrl>`), soap("")} {
		if _, err := cloudapi.ReadGetURL([]byte(m)); !errors.Is(err, cloudapi.ErrOtherCall) {
			t.Errorf("%s: got %v, want %v", m, err, cloudapi.ErrOtherCall)
		}
	}
	if _, err := cloudapi.ReadGetURLAnswer(cloudapi.SOAPFault(true, "no such name")); !errors.Is(err, cloudapi.ErrOtherCall) {
		t.Errorf("a fault: got %v, want %v", err, cloudapi.ErrOtherCall)
	}
}

func TestOnlyTheAddressIsReplaced(t *testing.T) {
	const old = "\ufeff" + `<?xml version="1.0" encoding="utf-8"?><!-- of today --><S:Envelope xmlns:S='http://schemas.xmlsoap.org/soap/envelope/'  ><S:Body>
  <GetUrlResponse xmlns="http://tempuri.org/" ><GetUrlResult >https://cloud.test/a?b=1&amp;c=2</GetUrlResult><More>x</More></GetUrlResponse></S:Body></S:Envelope>` + "\r\n"
	if got, err := cloudapi.ReadGetURLAnswer([]byte(old)); err != nil || got != "https://cloud.test/a?b=1&c=2" {
		t.Fatalf("got %q, %v", got, err)
	}
	got, err := cloudapi.ReplaceURL([]byte(old), "https://gate.site.test/x?d&e")
	want := strings.Replace(old, "https://cloud.test/a?b=1&amp;c=2", "https://gate.site.test/x?d&amp;e", 1)
	if err != nil || string(got) != want {
		t.Errorf("got\n%s, %v, want\n%s", got, err, want)
	}
	for _, m := range []string{soap(`<GetUrlResponse xmlns="http://tempuri.org/"><GetUrlResult/></GetUrlResponse>`), soap(`<GetUrlResponse xmlns="http://tempuri.org/"/>`)} {
		if got, err := cloudapi.ReplaceURL([]byte(m), "https://gate.site.test"); err == nil {
			t.Errorf("%s: got %s, want it refused", m, got)
		}
	}
}

func FuzzDiscovery(f *testing.F) {
	f.Add(cloudapi.GetURL{Name: "a", Region: 1}.Message())
	f.Add(cloudapi.GetURLAnswer("https://cloud.test/a"))
	f.Add(cloudapi.SOAPFault(false, "x"))
	f.Fuzz(func(t *testing.T, m []byte) {
		cloudapi.ReadGetURL(m)
		if old, err := cloudapi.ReadGetURLAnswer(m); err == nil && old != "" {
			put, err := cloudapi.ReplaceURL(m, "https://gate.site.test/a")
			if err != nil {
				t.Errorf("it was read, and has no place for another address: %v", err)
			}
			if len(put) > cloudapi.MaxSOAP {
				return // longer than what is read, by the new address
			}
			if got, err := cloudapi.ReadGetURLAnswer(put); err != nil || got != "https://gate.site.test/a" {
				t.Errorf("got %q, %v", got, err)
			}
		}
	})
}
