package api

import _ "embed"

//go:embed openapi.yaml
var openapi []byte

// OpenAPI is this contract as an OpenAPI 3.1 document, in YAML.
func OpenAPI() []byte { return openapi }
