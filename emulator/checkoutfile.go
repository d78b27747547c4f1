package emulator

import (
	"encoding/base64"
	"slices"
	"time"

	"sitegate/upstream/cloudapi"
)

// CheckoutFile makes a checkout and its .belic file, as an administrator does in the portal: the policy of a user and a machine until then. The
// machine holds the license in the cloud's books until that end, or CheckIn with the file's policy id.
func (e *Emulator) CheckoutFile(userID, machineName string, until time.Time, products ...string) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	u, there := e.users[userID]
	if !there {
		return nil, &refused{cloudapi.Problem{Reason: cloudapi.ReasonUnknown, Detail: "no such user"}}
	}
	ask := cloudapi.PolicyRequest{MachineName: machineName, UserID: u.ID, CheckedOutDate: cloudapi.Date{Time: now}, ClientDateTime: now.Format(time.RFC3339), Locale: "en", AppliesTo: cloudapi.AppliesTo}
	var holds []cloudapi.Hold
	for _, product := range products {
		s := cloudapi.SecurableWanted{ProductID: cloudapi.ProductID(product), Version: "10.0.0.0"}
		ask.RequestedSecurables = append(ask.RequestedSecurables, s)
		v := e.judge(u.ID, machineName, s, now)
		h := desktopHold(u.ID, machineName, "", v.license)
		h.Kind, h.Until = cloudapi.HoldCheckout, &until
		no := v.no
		if no == nil {
			no = e.refusal(h, now)
		}
		if no != nil {
			return nil, &refused{*no}
		}
		holds = append(holds, h)
	}
	p := e.policy(ask, u.ID, now, until)
	i := slices.IndexFunc(p.Defaults, func(q cloudapi.Qualifier) bool { return q.Name == cloudapi.QualifierIsCheckedOut })
	p.Defaults[i].Value = "true"
	for i := range p.ACLs {
		p.ACLs[i].ExpiresOn = cloudapi.Date{Time: until}
	}
	token, err := e.desktops.token(p, now, until)
	if err != nil {
		return nil, err
	}
	for _, h := range holds {
		h.Ref = p.PolicyID
		h.Key += " " + h.LicenseID
		e.keep(desktopSite, h, cloudapi.Fence{}, now)
	}
	return []byte(token + "\n" + base64.StdEncoding.EncodeToString(e.desktops.signs().cert.Raw)), nil
}
