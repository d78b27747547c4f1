package api

import _ "embed"

//go:embed openapi.yaml
var openapi []byte

// OpenAPI is this contract as an OpenAPI 3.1 document, in YAML.
func OpenAPI() []byte { return openapi }

//go:embed asyncapi.yaml
var asyncapi []byte

// AsyncAPI is the contract of the notices websocket as an AsyncAPI 3.1 document, in
// YAML. What it shares with OpenAPI it refers to there, as openapi.yaml beside it.
func AsyncAPI() []byte { return asyncapi }
