package cloudapi

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// The vendor's discovery: a client asks by SOAP 1.1 where a service is, and remembers the answer for a day (imodel-native, BuddiClient).
const (
	PathDiscovery = "/discovery.asmx"
	NamespaceURL  = "http://tempuri.org/" // of GetUrl
	ActionGetURL  = NamespaceURL + "GetUrl"
	namespaceSOAP = "http://schemas.xmlsoap.org/soap/envelope/"

	MaxSOAP      = 64 << 10 // bytes in a message
	maxSOAPDepth = 16
	maxSOAPText  = 2048 // bytes in the text of one element that is read
)

// Names of services, and what is behind them for clients that could not ask (as of 2020; later ones know other addresses).
const (
	ServicePolicy    = "EntitlementPolicyService.Url"
	ServicePosting   = "UsageLoggingServices.RealtimeLogging.Url"
	ServiceLocation  = "UsageLoggingServices.Location.Url"
	ServiceAccessKey = "UsageLoggingServices.AccessKey.Url"
)

// ErrOtherCall says that a message is sound and asks for something else than GetUrl, such as GetRegions.
var ErrOtherCall = errors.New("it is no GetUrl")

// GetURL asks where a service is.
type GetURL struct {
	Name   string // one of the Service constants, or any other
	Region int
}

// Message is the request in SOAP.
func (g GetURL) Message() []byte {
	return envelope("<GetUrl xmlns=\"" + NamespaceURL + "\"><urlName>" + escape(g.Name) + "</urlName><region>" + strconv.Itoa(g.Region) + "</region></GetUrl>")
}

// GetURLAnswer is the answer to GetUrl.
func GetURLAnswer(url string) []byte {
	return envelope("<GetUrlResponse xmlns=\"" + NamespaceURL + "\"><GetUrlResult>" + escape(url) + "</GetUrlResult></GetUrlResponse>")
}

// SOAPFault is an answer that says what was wrong. With client, it was the caller's mistake. It goes with status 500.
func SOAPFault(client bool, text string) []byte {
	code := "soap:Server"
	if client {
		code = "soap:Client"
	}
	return envelope("<soap:Fault><faultcode>" + code + "</faultcode><faultstring>" + escape(text) + "</faultstring></soap:Fault>")
}

func envelope(body string) []byte {
	return []byte(`<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="` + namespaceSOAP + `"><soap:Body>` + body + `</soap:Body></soap:Envelope>`)
}

func escape(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s)) // a strings.Builder takes everything
	return b.String()
}

// ReadGetURL reads a request. A sound message that asks for something else is ErrOtherCall; entities, a document type, processing
// instructions, a field given twice, and what is too large or too deep are refused.
func ReadGetURL(message []byte) (GetURL, error) {
	fields, err := readCall(message, "GetUrl", "urlName", "region")
	if err != nil {
		return GetURL{}, err
	}
	name, region := fields["urlName"], fields["region"]
	g := GetURL{Name: name.text}
	switch n, err := strconv.Atoi(region.text); {
	case name.text == "":
		return GetURL{}, errors.New("urlName is missing")
	case region.text != "" && (err != nil || n < 0):
		return GetURL{}, fmt.Errorf("region %.20q is no number", region.text)
	default:
		g.Region = n
	}
	return g, nil
}

// ReadGetURLAnswer reads the address from an answer, with the strictness of ReadGetURL. A fault is ErrOtherCall.
func ReadGetURLAnswer(message []byte) (string, error) {
	fields, err := readCall(message, "GetUrlResponse", "GetUrlResult")
	return fields["GetUrlResult"].text, err
}

// ReplaceURL is an answer with another address, and everything else in it byte for byte as it was.
func ReplaceURL(message []byte, url string) ([]byte, error) {
	fields, err := readCall(message, "GetUrlResponse", "GetUrlResult")
	if err != nil {
		return nil, err
	}
	at, there := fields["GetUrlResult"]
	if !there || at.to == at.from {
		return nil, errors.New("it names no address")
	}
	return bytes.Join([][]byte{message[:at.from], []byte(escape(url)), message[at.to:]}, nil), nil
}

// field is an element with text: what it says, and where in the message that is written.
type field struct {
	text     string
	from, to int64
}

// readCall reads the elements of the named call in the message's body. Those that are not in names are passed over.
func readCall(message []byte, call string, names ...string) (map[string]field, error) {
	if len(message) > MaxSOAP {
		return nil, fmt.Errorf("the message is larger than %d bytes", MaxSOAP)
	}
	text := bytes.TrimPrefix(message, []byte("\ufeff"))
	shift := int64(len(message) - len(text))
	d := xml.NewDecoder(bytes.NewReader(text))
	var (
		path   []xml.Name
		fields = map[string]field{}
		found  bool // the call
		other  bool // something else in its place
		done   bool // the envelope is closed
	)
	wanted := func() string { // the field that path is in
		if len(path) == 4 && found && path[3].Space == NamespaceURL {
			if slices.Contains(names, path[3].Local) {
				return path[3].Local
			}
		}
		return ""
	}
	for {
		before := d.InputOffset()
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("it is no XML that can be taken: %w", err)
		}
		switch tok := tok.(type) {
		case xml.Directive:
			return nil, errors.New("it has a document type")
		case xml.ProcInst:
			if before != 0 || tok.Target != "xml" {
				return nil, errors.New("it has a processing instruction")
			}
		case xml.StartElement:
			path = append(path, tok.Name)
			switch {
			case done:
				return nil, errors.New("there is more behind the envelope")
			case len(path) > maxSOAPDepth:
				return nil, errors.New("it nests too deep")
			case len(path) == 1 && tok.Name != (xml.Name{Space: namespaceSOAP, Local: "Envelope"}):
				return nil, errors.New("it is no SOAP 1.1 envelope")
			case len(path) == 3 && path[1] == (xml.Name{Space: namespaceSOAP, Local: "Body"}):
				if found || other {
					return nil, errors.New("it asks for several things")
				}
				found = tok.Name == xml.Name{Space: NamespaceURL, Local: call}
				other = !found
			case wanted() != "":
				if _, twice := fields[wanted()]; twice {
					return nil, fmt.Errorf("%s is given twice", wanted())
				}
				fields[wanted()] = field{from: d.InputOffset() + shift, to: d.InputOffset() + shift}
			case len(path) > 4 && path[1].Local == "Body" && slices.Contains(names, path[3].Local):
				return nil, fmt.Errorf("%s is no text", path[3].Local)
			}
		case xml.EndElement:
			if n := wanted(); n != "" {
				f := fields[n]
				f.text, f.to = strings.TrimSpace(f.text), before+shift
				if len(f.text) > maxSOAPText {
					return nil, fmt.Errorf("%s is longer than %d bytes", n, maxSOAPText)
				}
				fields[n] = f
			}
			path = path[:len(path)-1]
			done = len(path) == 0
		case xml.CharData:
			if n := wanted(); n != "" {
				f := fields[n]
				f.text += string(tok)
				fields[n] = f
			}
		}
	}
	switch {
	case !done:
		return nil, errors.New("it ends too early")
	case !found:
		return nil, ErrOtherCall
	}
	return fields, nil
}
