package desktop

import (
	"strconv"
	"time"
)

const noProject = "00000000-0000-0000-0000-000000000000"

// use is one session's, from its first record to its latest, until it is posted.
type use struct {
	Product     Product
	Policy      string // id
	Principal   string
	Securable   string
	Ultimate    string
	Country     string
	UsageType   string
	User        string
	Correlation string
	Source      string
	From, To    time.Time
}

// featureUse is a piece of use of a feature; a zero To: it goes on.
type featureUse struct {
	use
	Feature string
}

func (a *Application) source() string {
	switch {
	case a.checkedOut:
		return "Checkout"
	case a.c.cfg.RealTime:
		return "RealTime"
	}
	return "Offline"
}

func (a *Application) use(from, to time.Time) use {
	p := a.Policy()
	u := use{Product: a.want, Policy: p.PolicyID, Ultimate: string(p.UserData.UltimateSAPID), Country: p.UserData.UsageCountryISO,
		User: p.UserData.UserID, Correlation: a.correlation, Source: a.source(), From: from.UTC(), To: to.UTC()}
	if u.Ultimate == "" || u.Ultimate == "0" {
		u.Ultimate = p.UserData.UltimateID
	}
	if acl := p.acl(a.want); acl != nil {
		u.Principal, u.Securable = acl.PrincipalID, acl.SecurableID
	}
	q, _ := p.qualifier(a.want, "UsageType")
	u.UsageType = q.Value
	return u
}

// record says that the product is in use: it makes the session's open record longer.
func (a *Application) record(now time.Time) {
	a.c.mu.Lock()
	defer a.c.mu.Unlock()
	kept := &a.c.kept
	for i := range kept.Usage {
		if kept.Usage[i].Correlation == a.correlation {
			kept.Usage[i].To = now.UTC()
			kept.save() // what cannot be kept is lost, as there
			return
		}
	}
	kept.Usage = append(kept.Usage, a.use(now, now))
	kept.save()
}

// sheet is a use as a row of a file.
func (c *Client) sheet(u use) []string {
	stamp := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
	return []string{u.Ultimate, u.Principal, u.Product.ID, u.Country, u.Product.Feature, u.User, c.cfg.Machine, SID(c.cfg.Machine), c.cfg.Login,
		userSID(c.cfg.Login, c.cfg.Machine), u.Policy, strconv.FormatInt(versionNumber(u.Product.Version), 10), noProject, u.Correlation, "1", u.Source, u.UsageType,
		stamp(u.From), stamp(u.To), stamp(c.now()), "1"}
}

var sheetColumns = []string{"UltimateId", "PrincipalId", "ProductId", "UsageCountryISO", "FeatureString", "IMSId", "MachineName", "ComputerSID", "Username",
	"UserSID", "PolicyId", "ProductVersion", "ProjectId", "CorrelationId", "LogVersion", "LogPostingSource", "UsageType", "StartTimeUTC", "EndTimeUTC",
	"EntryDate", "PartitionId"}
