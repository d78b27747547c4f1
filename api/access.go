package api

import "time"

// The paths of who administers.
const (
	PathAPITokens = "/v1/api-tokens"
	PathAccounts  = "/v1/accounts"
)

// APITokenRequest is the body of POST /v1/api-tokens.
type APITokenRequest struct {
	Name string `json:"name"` // small letters, digits, and . _ - between them
	Role string `json:"role"` // viewer, operator or admin
	// Scopes are what it is good for, of what the role allows; none: all of it.
	Scopes []string `json:"scopes,omitempty"`
	ForMS  int64    `json:"for_ms"`
	By     string   `json:"by,omitempty"`
}

// NewAPIToken is an API token when it was made: it is not shown again.
type NewAPIToken struct {
	Token string `json:"token"`
	Name  string `json:"name"`
	Role  string `json:"role"`
	// Scopes are what it is good for, of what the role allows; none: all of it.
	Scopes []string  `json:"scopes,omitempty"`
	Until  time.Time `json:"until"`
}

// APIToken is what is known of an API token.
type APIToken struct {
	Name string `json:"name"`
	Role string `json:"role"`
	// Scopes are what it is good for, of what the role allows; none: all of it.
	Scopes []string  `json:"scopes,omitempty"`
	By     string    `json:"by"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	Used   time.Time `json:"used,omitzero"` // last, to the hour
}

// LocalAccountRequest is the body of POST /v1/accounts and of POST
// /v1/accounts/{name}/reset.
type LocalAccountRequest struct {
	Name     string `json:"name,omitempty"` // small letters, digits, and . _ - between them
	Role     string `json:"role"`           // viewer, operator or admin
	Password string `json:"password"`
	By       string `json:"by,omitempty"`
}

// LocalAccount is what is known of a local account.
type LocalAccount struct {
	Name    string    `json:"name"`
	Role    string    `json:"role"`
	By      string    `json:"by"`
	Since   time.Time `json:"since"`
	Changed time.Time `json:"changed"` // when the password was set
}
