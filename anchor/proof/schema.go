package proof

import _ "embed"

//go:embed verdict.schema.json
var schema []byte

// Schema returns the JSON Schema (draft 2020-12) of what [Verdict.JSON] writes.
// It says of each code, level and outcome what it means.
func Schema() []byte { return schema }
