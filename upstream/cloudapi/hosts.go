package cloudapi

// The vendor has published no complete list of its hosts. These are put together from what its libraries and its knowledge base name, and what is
// beside them; a site adds its own.

// SignInHosts are the targets that desktops need in the clear of a tunnel: sign-in, portal and agreement.
func SignInHosts() []string {
	return []string{
		"ims.bentley.com:443",                            // sign-in, tokens
		"imsoidc.bentley.com:443",                        // the older one
		"connect-agreement.bentley.com:443",              // is the agreement accepted?
		"connect.bentley.com:443",                        // the portal
		"connect-wsg20.bentley.com:443",                  // projects
		"waz-search.bentley.com:443",                     // profile, notifications
		"connect-entitlementmanagement.bentley.com:443",  // the portal of licenses
		"connect-productsettingsservice.bentley.com:443", // settings
	}
}

// RelayedHosts are those whose requests decide who may work: discovery, entitlement and usage. They are for the relay, which sees them, and not for a tunnel,
// which does not.
func RelayedHosts() []string {
	return []string{"buddi.bentley.com", "connect-ulastm.bentley.com", "ulas.bentley.com"}
}
