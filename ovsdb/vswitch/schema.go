// SPDX-License-Identifier: Apache-2.0

package vswitch

import (
	_ "embed"

	"github.com/weirswitch/weir/ovsdb/schema"
)

// Name is the name of the Open_vSwitch schema, and so of its database.
const Name = "Open_vSwitch"

//go:embed vswitch.ovsschema
var schemaJSON string

//go:embed server.ovsschema
var serverSchemaJSON string

// SchemaJSON returns the Open_vSwitch schema: the same tables, columns, types,
// version and cksum as Open vSwitch 3.1's vswitch.ovsschema.
func SchemaJSON() []byte { return []byte(schemaJSON) }

// ServerSchemaJSON returns the _Server schema 1.2.0.
func ServerSchemaJSON() []byte { return []byte(serverSchemaJSON) }

// Schema parses the Open_vSwitch schema.
func Schema() *schema.Schema { return mustParse(SchemaJSON()) }

// ServerSchema parses the _Server schema.
func ServerSchema() *schema.Schema { return mustParse(ServerSchemaJSON()) }

// mustParse parses a schema that is part of the program.
func mustParse(text []byte) *schema.Schema {
	s, err := schema.Parse(text)
	if err != nil {
		panic(err)
	}
	return s
}
