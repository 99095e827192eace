// Package wire is the only place where Sluice's own types and the generated
// protobuf types meet the outside: JSON as people and scripts read it, and
// errors as gRPC and HTTP carry them. It exists so that REST, `-o json` and
// the browser see one encoding, whatever generated code does by default.
package wire
