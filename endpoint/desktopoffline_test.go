package endpoint

import (
	"errors"
	"testing"
	"time"

	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// signedAt is a policy for Ada on WS-1: 3201 is not kept to one machine, 3101 is.
func signedAt(at time.Time) *cloudapi.SignedPolicy {
	q := func(name, value string) cloudapi.Qualifier { return cloudapi.Qualifier{Name: name, Value: value} }
	date := func(days int) cloudapi.Date { return cloudapi.Date{Time: at.AddDate(0, 0, days)} }
	return &cloudapi.SignedPolicy{NotBefore: at, Expires: date(7).Time, Policy: cloudapi.Policy{
		PolicyID: "p", CreatedOn: date(0), ExpiresOn: date(7), AppliesToUserID: "ada", UserData: cloudapi.UserData{UserID: "ada"},
		RequestData: cloudapi.PolicyRequest{UserID: "ada", MachineName: "WS-1"},
		ACLs: []cloudapi.ACL{{PrincipalID: "ada", SecurableID: "s-3201", AccessKind: cloudapi.AccessAllowed},
			{PrincipalID: "ada", SecurableID: "s-3101", AccessKind: cloudapi.AccessAllowed, ExpiresOn: date(100)}},
		Securables: []cloudapi.Securable{{SecurableID: "s-3201", ProductID: "3201"}, {SecurableID: "s-3101", ProductID: "3101", Overrides: []cloudapi.Qualifier{q("AllowOfflineUsage", "FALSE")}}},
		Defaults:   []cloudapi.Qualifier{q("AllowOfflineUsage", "TRUE"), q("OfflineDuration", "5")},
	}}
}

func TestAPolicyIsServedAgainAsLongAsTheVendorMeantIt(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		change func(*cloudapi.SignedPolicy)
		of     askedFor
		after  time.Duration
		want   error
	}{
		"an hour later":                      {after: time.Hour},
		"in another case":                    {of: policyFor("ADA", "ws-1", "3201")},
		"capped, which the rules decide":     {of: policyFor("ada", "WS-1", "3101")},
		"both":                               {of: policyFor("ada", "WS-1", "3101", "3201")},
		"capped, after the offline days":     {of: policyFor("ada", "WS-1", "3101"), after: 6 * day},
		"after the offline days":             {after: 5 * day, want: spentDays},
		"after its dates":                    {of: policyFor("ada", "WS-1", "3101"), after: 7 * day, want: spentDates},
		"before its dates":                   {after: -time.Hour, want: spentDates},
		"on a clock that is a little behind": {after: -30 * time.Second},
		"the token ends first":               {change: func(p *cloudapi.SignedPolicy) { p.Expires = at.Add(day) }, after: day, want: spentDates},
		"another user":                       {of: policyFor("ben", "WS-1", "3201"), want: spentUser},
		"nobody":                             {of: policyFor("", "WS-1", "3201"), want: spentUser},
		"a server's": {change: func(p *cloudapi.SignedPolicy) {
			p.Policy.AppliesToUserID, p.Policy.UserData.UserID = "", ""
		}, want: spentUser},
		"signed for one, applies to another": {change: func(p *cloudapi.SignedPolicy) { p.Policy.UserData.UserID = "ben" }, want: spentUser},
		"another machine":                    {of: policyFor("ada", "WS-10", "3201"), want: spentMachine},
		"of no machine":                      {change: func(p *cloudapi.SignedPolicy) { p.Policy.RequestData.MachineName = "" }, want: spentMachine},
		"another product":                    {of: policyFor("ada", "WS-1", "3202"), want: spentProduct},
		"denied":                             {change: func(p *cloudapi.SignedPolicy) { p.Policy.ACLs[0].AccessKind = cloudapi.AccessDenied }, want: spentProduct},
		"denied for one principal of two": {change: func(p *cloudapi.SignedPolicy) {
			p.Policy.ACLs = append(p.Policy.ACLs, cloudapi.ACL{PrincipalID: "all", SecurableID: "s-3201", AccessKind: cloudapi.AccessDenied})
		}, want: spentProduct},
		"the right ends before the policy": {change: func(p *cloudapi.SignedPolicy) { p.Policy.ACLs[0].ExpiresOn = cloudapi.Date{Time: at.Add(day)} }, after: day, want: spentProduct},
		"no offline use":                   {change: func(p *cloudapi.SignedPolicy) { p.Policy.Defaults[0].Value = "FALSE" }, want: spentOffline},
		"nothing said of offline use":      {change: func(p *cloudapi.SignedPolicy) { p.Policy.Defaults = nil }, want: spentOffline},
		"no number of days":                {change: func(p *cloudapi.SignedPolicy) { p.Policy.Defaults[1].Value = "many" }, want: spentDays},
		"seven days where none are said":   {change: func(p *cloudapi.SignedPolicy) { p.Policy.Defaults = p.Policy.Defaults[:1] }, after: 7*day - time.Second},
		"made long before it was signed":   {change: func(p *cloudapi.SignedPolicy) { p.Policy.CreatedOn = cloudapi.Date{Time: at.Add(-6 * day)} }, want: spentDays},
		"a checkout": {change: func(p *cloudapi.SignedPolicy) {
			p.Policy.Defaults = append(p.Policy.Defaults, cloudapi.Qualifier{Name: "IsCheckedOut", Value: "True"})
		}, want: spentCheckout},
	} {
		p, of := signedAt(at), c.of
		if of.machine == "" {
			of = policyFor("ada", "WS-1", "3201")
		}
		if c.change != nil {
			c.change(p)
		}
		got := stillGood(p, of, func(id license.ProductID) bool { return id == "3101" }, at.Add(c.after))
		if !errors.Is(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
