package cloudapi

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// What policies and requests for them are read by where they are plain; the tags of the types tell readJSON the same.

// The fields, by the object they are in.
var (
	fieldsOfPolicy = []string{"PolicyId", "PolicyVersion", "PolicyCreatedOn", "PolicyExpiresOn", "RequestData", "MachineSignature", "AppliesToUserId", "AppliesToSecurableIds",
		"ACLs", "SecurableData", "UserData", "MetaData", "DefaultQualifiers"}
	fieldsOfRequest   = []string{"MachineSID", "AccessKey", "UserId", "CheckedOutDate", "RequestedSecurables", "MachineName", "ClientDateTime", "Locale", "AppliesTo", "ProjectId"}
	fieldsOfWanted    = []string{"ProductId", "FeatureString", "Version", "Vesrion"}
	fieldsOfACL       = []string{"PrincipalId", "SecurableId", "AccessKind", "ExpiresOn", "QualifierOverrides"}
	fieldsOfSecurable = []string{"SecurableId", "ProductId", "ProductName", "FeatureString", "Version", "QualifierOverrides"}
	fieldsOfUser      = []string{"UserId", "OrganizationId", "UsageCountryISO", "UltimateId", "UltimateCountryId"}
	fieldsOfMeta      = []string{"SiteName", "LicensingMode"}
	fieldsOfQualifier = []string{"MessageId", "Name", "Value", "Type", "Prompt"}
)

// readPolicy reads a policy.
func readPolicy(data []byte) (Policy, error) {
	var fast Policy
	if readPlain(data, MaxPolicy, fast.plain) {
		return fast, nil
	}
	var d Policy
	err := readJSON(data, MaxPolicy, &d)
	return d, err
}

// readPolicyRequest reads a request for one.
func readPolicyRequest(data []byte) (PolicyRequest, error) {
	var fast PolicyRequest
	if readPlain(data, MaxPolicyRequest, fast.plain) {
		return fast, nil
	}
	var r PolicyRequest
	err := readJSON(data, MaxPolicyRequest, &r)
	return r, err
}

func (d *Policy) plain(p *plain) {
	for m := p.fields(fieldsOfPolicy); m.next(p); {
		switch m.name {
		case "PolicyId":
			d.PolicyID = p.text()
		case "PolicyVersion":
			d.PolicyVersion = json.Number(strings.Clone(p.number()))
		case "PolicyCreatedOn":
			d.CreatedOn = p.date()
		case "PolicyExpiresOn":
			d.ExpiresOn = p.date()
		case "RequestData":
			d.RequestData.plain(p)
		case "MachineSignature":
			d.MachineSignature = p.text()
		case "AppliesToUserId":
			d.AppliesToUserID = p.text()
		case "AppliesToSecurableIds":
			d.AppliesToSecurables = listOf(p, func(s *string, p *plain) { *s = p.text() })
		case "ACLs":
			d.ACLs = listOf(p, (*ACL).plain)
		case "SecurableData":
			d.Securables = listOf(p, (*Securable).plain)
		case "UserData":
			d.UserData.plain(p)
		case "MetaData":
			d.MetaData.plain(p)
		case "DefaultQualifiers":
			d.Defaults = listOf(p, (*Qualifier).plain)
		default:
			p.skip()
		}
	}
}

func (r *PolicyRequest) plain(p *plain) {
	for m := p.fields(fieldsOfRequest); m.next(p); {
		switch m.name {
		case "MachineSID":
			r.MachineSID = p.text()
		case "AccessKey":
			r.AccessKey = p.text()
		case "UserId":
			r.UserID = p.text()
		case "CheckedOutDate":
			r.CheckedOutDate = p.date()
		case "RequestedSecurables":
			r.RequestedSecurables = listOf(p, (*SecurableWanted).plain)
		case "MachineName":
			r.MachineName = p.text()
		case "ClientDateTime":
			r.ClientDateTime = p.text()
		case "Locale":
			r.Locale = p.text()
		case "AppliesTo":
			r.AppliesTo = p.text()
		case "ProjectId":
			r.ProjectID = p.text()
		default:
			p.skip()
		}
	}
}

func (s *SecurableWanted) plain(p *plain) {
	right := false
	for m := p.fields(fieldsOfWanted); m.next(p); {
		switch m.name {
		case "ProductId":
			s.ProductID = p.product()
		case "FeatureString":
			s.Feature = p.text()
		case "Version", "Vesrion":
			if p.null() {
				continue
			}
			if v, is := p.text(), m.name == "Version"; is || !right {
				s.Version, s.Misspelt, right = v, !is, is
			}
		default:
			p.skip()
		}
	}
}

func (a *ACL) plain(p *plain) {
	for m := p.fields(fieldsOfACL); m.next(p); {
		switch m.name {
		case "PrincipalId":
			a.PrincipalID = p.text()
		case "SecurableId":
			a.SecurableID = p.text()
		case "AccessKind":
			kind, err := strconv.ParseUint(p.number(), 10, 31)
			if err != nil {
				p.fail()
			}
			a.AccessKind = AccessKind(kind)
		case "ExpiresOn":
			a.ExpiresOn = p.date()
		case "QualifierOverrides":
			a.Overrides = listOf(p, (*Qualifier).plain)
		default:
			p.skip()
		}
	}
}

func (s *Securable) plain(p *plain) {
	for m := p.fields(fieldsOfSecurable); m.next(p); {
		switch m.name {
		case "SecurableId":
			s.SecurableID = p.text()
		case "ProductId":
			s.ProductID = p.product()
		case "ProductName":
			s.ProductName = p.text()
		case "FeatureString":
			s.Feature = p.text()
		case "Version":
			s.Version = p.text()
		case "QualifierOverrides":
			s.Overrides = listOf(p, (*Qualifier).plain)
		default:
			p.skip()
		}
	}
}

func (u *UserData) plain(p *plain) {
	for m := p.fields(fieldsOfUser); m.next(p); {
		switch m.name {
		case "UserId":
			u.UserID = p.text()
		case "OrganizationId":
			u.OrganizationID = p.text()
		case "UsageCountryISO":
			u.Country = p.text()
		case "UltimateId":
			u.UltimateID = p.text()
		case "UltimateCountryId":
			u.UltimateCountryID = p.text()
		default:
			p.skip()
		}
	}
}

func (d *MetaData) plain(p *plain) {
	for m := p.fields(fieldsOfMeta); m.next(p); {
		switch m.name {
		case "SiteName":
			d.SiteName = p.text()
		case "LicensingMode":
			d.LicensingMode = p.text()
		default:
			p.skip()
		}
	}
}

// plain reads a qualifier. A policy has many, and their texts go no further than it does.
func (q *Qualifier) plain(p *plain) {
	for m := p.fields(fieldsOfQualifier); m.next(p); {
		switch m.name {
		case "MessageId":
			q.MessageID = p.word()
		case "Name":
			q.Name = p.word()
		case "Value":
			if p.peek() == '"' {
				q.Value = p.word()
			} else if q.Value = p.literal(); q.Value == "null" {
				q.Value = ""
			}
		case "Type":
			q.Type = p.word()
		case "Prompt":
			q.Prompt = p.word()
		default:
			p.skip()
		}
	}
}

// listOf reads an array.
func listOf[T any](p *plain, read func(*T, *plain)) []T {
	if p.null() {
		return nil
	}
	list := []T{}
	for m := p.items(); m.next(p); {
		var zero T
		list = append(list, zero)
		read(&list[len(list)-1], p)
	}
	return list
}

func (p *plain) product() ProductID {
	if p.peek() == '"' {
		return ProductID(strings.Clone(digits(p.word())))
	}
	n := p.number()
	if _, err := strconv.ParseUint(n, 10, 63); err != nil {
		p.fail()
	}
	return ProductID(strings.Clone(n))
}

func (p *plain) date() Date {
	s := p.word()
	if s == "" {
		return Date{}
	}
	at, err := parseDate(s)
	if err != nil {
		p.fail()
	}
	return Date{at}
}

// parseDate takes RFC 3339, and the same without a zone.
func parseDate(s string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		at, err = time.Parse("2006-01-02T15:04:05", s) // which takes a fraction, too
	}
	return at.UTC(), err
}
