package sluicev1

import _ "embed"

// OpenAPI is the description of the REST face, generated from the protos.
//
//go:embed openapi.swagger.json
var OpenAPI []byte
