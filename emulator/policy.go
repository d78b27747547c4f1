package emulator

import (
	"crypto/rand"
	"net/http"
	"strconv"
	"time"

	"sitegate/upstream/cloudapi"
)

// PolicyTerms are what the cloud writes into policies, and what goes wrong with them. The zero value is what the vendor's had in 2019: seven days,
// offline use of everything but capped products, a posting each hour.
type PolicyTerms struct {
	Life            time.Duration // how long a policy is good; zero: seven days; negative: it has ended already
	PostingInterval time.Duration // whole minutes; zero: 60
	NoOffline       bool          // AllowOfflineUsage is FALSE for all
	OfflineCapped   bool          // and TRUE for capped products, too
	Misspelt        bool          // a requested product's version is in Vesrion
	HoldAtOnce      bool          // a policy that allows a capped product makes the machine active; otherwise its first real-time posting does
	Blind           bool          // it denies nothing for another machine, as a cloud that has not heard of it yet

	WrongKey bool // signs with a key that is not that of its certificate
	Altered  bool // changes the policy after signing
	Short    bool // gives half a token
}

// SetPolicyTerms puts terms in force for the policies to come.
func (e *Emulator) SetPolicyTerms(t PolicyTerms) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.desktops.terms = t
}

// PolicyTerms are those in force.
func (e *Emulator) PolicyTerms() PolicyTerms {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.desktops.terms
}

// ShapePolicies has each policy changed before it is signed; nil: none is. f is called with a lock held.
func (e *Emulator) ShapePolicies(f func(*cloudapi.Policy)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.desktops.shape = f
}

// Policies is how many policies were signed.
func (e *Emulator) Policies() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.desktops.given
}

// limitExceeded is the qualifier in which this stand-in says that another machine is active, with the vendor's sentence (R7) as its prompt. Where
// the vendor's cloud puts the machine's name is not public: no gateway may count on it.
func limitExceeded(machine string) cloudapi.Qualifier {
	return cloudapi.Qualifier{Name: cloudapi.QualifierMachineLimitExceeded, Value: "true", Type: "bool",
		Prompt: `It seems your Virtuoso license is active on another machine. Please close the application on "` + machine + `" and try again.`}
}

// verdict is what the cloud makes of one product that is asked for.
type verdict struct {
	product cloudapi.Product
	license cloudapi.License // what it would be used under; without an id: nothing
	no      *cloudapi.Problem
	known   bool // the product
}

// judge decides on one product for a user on a machine. The caller holds the lock.
func (e *Emulator) judge(user, machine string, s cloudapi.SecurableWanted, now time.Time) verdict {
	product := string(s.ProductID)
	v := verdict{}
	v.product, v.known = e.products[product]
	if !v.known {
		v.no = &cloudapi.Problem{Reason: cloudapi.ReasonUnknown}
		return v
	}
	v.license, v.no = e.claimOf(user, product, now)
	if v.no != nil || e.desktops.terms.Blind {
		return v
	}
	v.no = nil
	if o := e.rival(desktopHold(user, machine, "", v.license), now); o != nil {
		v.no = &cloudapi.Problem{Reason: cloudapi.ReasonMachineActive, MachineName: o.MachineName, Since: &o.Since, LicenseID: o.LicenseID, Kind: o.Kind}
	}
	return v
}

func (e *Emulator) getPolicy(w http.ResponseWriter, r *http.Request, user string) {
	ask, ok := readVendor(w, r, cloudapi.ReadPolicyRequest)
	if !ok {
		return
	}
	ask.UserID, ask.AccessKey = user, ""
	e.givePolicy(w, ask, user)
}

func (e *Emulator) getPolicyWithAccessKey(w http.ResponseWriter, r *http.Request) {
	ask, ok := readVendor(w, r, cloudapi.ReadPolicyRequest)
	if !ok {
		return
	}
	e.mu.Lock()
	known := e.desktops.keys[ask.AccessKey]
	e.mu.Unlock()
	if !known || ask.MachineSID == "" {
		http.Error(w, "unknown access key", http.StatusUnauthorized)
		return
	}
	e.givePolicy(w, ask, "")
}

// givePolicy answers with a signed policy; user is empty for a server.
func (e *Emulator) givePolicy(w http.ResponseWriter, ask cloudapi.PolicyRequest, user string) {
	now := e.now()
	e.mu.Lock()
	t := e.desktops.terms
	life := t.Life
	if life == 0 {
		life = 7 * 24 * time.Hour
	}
	from := now
	if life < 0 {
		from = now.Add(2 * life)
	}
	p := e.policy(ask, user, now, now.Add(life))
	if user == "" && e.account != nil { // a client takes no policy that is of nobody
		p.RequestData.UserID, p.UserData.UserID = e.account.ID, e.account.ID
	}
	if e.desktops.shape != nil {
		e.desktops.shape(&p)
	}
	token, err := e.desktops.token(p, from, now.Add(life))
	if err == nil && t.HoldAtOnce && user != "" {
		for _, s := range ask.RequestedSecurables {
			if v := e.judge(user, ask.MachineName, s, now); v.no == nil {
				e.desktopActive(user, ask.MachineName, "policy", v.license, now)
			}
		}
	}
	e.mu.Unlock()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, http.StatusOK, token)
}

// policy is what the cloud says to a request. The caller holds the lock.
func (e *Emulator) policy(ask cloudapi.PolicyRequest, user string, now, until time.Time) cloudapi.Policy {
	for i := range ask.RequestedSecurables {
		ask.RequestedSecurables[i].Misspelt = e.desktops.terms.Misspelt
	}
	u := e.users[user]
	account := ""
	name := ""
	if e.account != nil {
		account, name = e.account.ID, e.account.Name
	}
	p := cloudapi.Policy{
		PolicyID: rand.Text(), PolicyVersion: "1.0", CreatedOn: cloudapi.Date{Time: now}, ExpiresOn: cloudapi.Date{Time: until},
		RequestData: ask, MachineSignature: rand.Text(), AppliesToUserID: user,
		UserData: cloudapi.UserData{UserID: user, OrganizationID: account, Country: u.Country, UltimateID: account, UltimateCountryID: account + "-" + u.Country},
		MetaData: cloudapi.MetaData{SiteName: name, LicensingMode: "SELECT"},
		Defaults: e.defaults(),
	}
	for _, s := range ask.RequestedSecurables {
		v := verdict{}
		if user == "" {
			v.product, v.known = e.products[string(s.ProductID)]
		} else {
			v = e.judge(user, ask.MachineName, s, now)
		}
		if !v.known {
			continue // nothing is said of it, so that the client is not entitled
		}
		id := "sec-" + v.product.ID + "-" + s.Feature
		p.AppliesToSecurables = append(p.AppliesToSecurables, id)
		sec := cloudapi.Securable{SecurableID: id, ProductID: s.ProductID, ProductName: v.product.Name, Feature: s.Feature, Version: "0.0.0.0"}
		if v.product.Capped == cloudapi.CappedYes {
			value := "FALSE"
			if e.desktops.terms.OfflineCapped {
				value = "TRUE"
			}
			sec.Overrides = append(sec.Overrides, cloudapi.Qualifier{Name: cloudapi.QualifierAllowOfflineUsage, Value: value, Type: "bool", Prompt: "You must Sign In to use this application."})
		}
		acl := cloudapi.ACL{PrincipalID: user, SecurableID: id, AccessKind: cloudapi.AccessAllowed, ExpiresOn: cloudapi.Date{Time: v.license.EndsAt}}
		if user == "" || v.license.ID != "" && v.license.AssignedTo == "" {
			acl.PrincipalID = account
		}
		acl.Overrides = append(acl.Overrides, cloudapi.Qualifier{Name: cloudapi.QualifierUsageType, Value: usageTypeOf(v.license), Type: "string"})
		if v.no != nil {
			acl.AccessKind = cloudapi.AccessDenied
			if v.no.Reason == cloudapi.ReasonMachineActive {
				acl.Overrides = append(acl.Overrides, limitExceeded(v.no.MachineName))
			}
		}
		p.Securables, p.ACLs = append(p.Securables, sec), append(p.ACLs, acl)
	}
	return p
}

func usageTypeOf(l cloudapi.License) string {
	switch l.Kind {
	case cloudapi.LicenseVirtuoso:
		return cloudapi.UsePractitioner
	case cloudapi.LicenseTrial:
		return cloudapi.UseTrial
	}
	return cloudapi.UseProduction
}

// defaults are the qualifiers of every policy, with the values that were seen in 2019. The caller holds the lock.
func (e *Emulator) defaults() []cloudapi.Qualifier {
	t := e.desktops.terms
	offline := "TRUE"
	if t.NoOffline {
		offline = "FALSE"
	}
	posting := t.PostingInterval
	if posting == 0 {
		posting = time.Hour
	}
	return []cloudapi.Qualifier{
		{Name: cloudapi.QualifierHeartbeatInterval, Value: "1", Type: "int"},
		{Name: cloudapi.QualifierPolicyInterval, Value: "240", Type: "int"},
		{Name: cloudapi.QualifierOfflineDuration, Value: "7", Type: "int"},
		{Name: "LoginGracePeriod", Value: "7", Type: "int"},
		{Name: cloudapi.QualifierAllowOfflineUsage, Value: offline, Type: "bool", Prompt: "You must Sign In to use this application."},
		{Name: cloudapi.QualifierTimeToKeepUnSentLogs, Value: strconv.Itoa(int(posting / time.Minute)), Type: "int"},
		{Name: "FrequencyToSend", Value: "24", Type: "int"},
		{Name: "LogRecordsToSendFT2", Value: "75000", Type: "int"},
		{Name: "MaxLogFileDurationInMinutes", Value: "360", Type: "int"},
		{Name: "HotpathRetryAttempts", Value: "4", Type: "int"},
		{Name: "UseAlertingService", Value: "Disabled", Type: "string"},
		{Name: cloudapi.QualifierIsCheckedOut, Value: "false", Type: "bool"},
		{Name: cloudapi.QualifierUsageType, Value: cloudapi.UseProduction, Type: "string"},
		{Name: cloudapi.QualifierMachineLimitExceeded, Value: "false", Type: "bool"},
		{Name: "Version", Value: "0.0.0.0", Type: "string"},
	}
}

func (e *Emulator) webEntitlement(w http.ResponseWriter, r *http.Request, user string) {
	ask, ok := readVendor(w, r, cloudapi.ReadEntitlementRequest)
	if !ok {
		return
	}
	var a cloudapi.EntitlementAnswer
	a.Result.Entitlements = []cloudapi.Entitlement{}
	now := e.now()
	e.mu.Lock()
	for _, s := range ask.RequestedSecurables {
		v := e.judge(user, ask.MachineName, s, now)
		is := cloudapi.Entitlement{ProductID: s.ProductID, FeatureString: s.Feature, LicenseStatus: cloudapi.StatusAllowed, PrincipalID: user, ExpiresOn: cloudapi.Date{Time: v.license.EndsAt}}
		switch {
		case v.license.ID == "":
			is.LicenseStatus = cloudapi.StatusNoLicense
		case v.no != nil:
			is.LicenseStatus = cloudapi.StatusDenied
		case v.license.Kind == cloudapi.LicenseTrial:
			is.LicenseStatus = cloudapi.StatusAllowedTrial
		}
		a.Result.Entitlements = append(a.Result.Entitlements, is)
	}
	e.mu.Unlock()
	answer(w, http.StatusOK, a)
}
