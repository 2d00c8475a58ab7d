// SPDX-License-Identifier: Apache-2.0

// Package schema holds database schemas, RFC 7047 section 3.2: tables, columns
// and their types, parsed from JSON and printed back as get_schema answers.
//
// A Schema is immutable after Parse. Tables and columns are sorted by name and
// know their index, so that a row is a slice and a set of columns a list of
// numbers. References are resolved to tables at parse time: a schema that Parse
// accepts needs no further checks.
package schema
