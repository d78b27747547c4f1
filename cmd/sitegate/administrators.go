package main

import (
	"net/http"

	"sitegate/configs"
	"sitegate/endpoint"
	"sitegate/license"
	"sitegate/upstream/egress"
)

// administrators is whose people and access tokens administer, and which role they have.
func administrators(a configs.Administrators, out *http.Client) *endpoint.AdminIssuer {
	roles := map[string]license.Authority{}
	for role, values := range map[license.Authority][]string{license.Viewer: a.Viewers, license.Operator: a.Operators, license.Admin: a.Admins} {
		for _, v := range values {
			roles[v] = max(roles[v], role)
		}
	}
	is := &endpoint.AdminIssuer{Issuer: endpoint.Issuer{URL: a.Issuer, Audience: a.Audience, EmailsVerified: a.EmailsVerified, Client: out}, Claim: a.Claim, Roles: roles}
	if a.ClientID != "" {
		is.Code = &endpoint.CodeFlow{ClientID: a.ClientID}
		if file := a.ClientSecretFile; file != "" {
			is.Code.Secret = func() (string, error) { return egress.ReadSecret(file) }
		}
	}
	return is
}
